use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, U256};

/// Where the chain's seconds come from. Injected, so that a seeded run has the same block times every time.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What mainnet allowed before it grew, and what other development nodes use.
pub const DEFAULT_GAS_LIMIT: u64 = 30_000_000;

/// The clock of the machine.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        // A machine set before 1970 has no better answer than the epoch itself.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    })
}

/// When a block counts as kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Its record is on the disk before the transaction is acknowledged: survives a power cut.
    #[default]
    Fsync,
    /// Its record was handed to the operating system: survives the end of the process, not a power cut.
    Buffered,
}

/// How a chain begins and how it is kept. `chain_id`, `accounts` and `gas_limit` are recorded with the first block
/// and must be the same at every later opening.
#[derive(Clone)]
pub struct DevnetConfig {
    pub chain_id: u64,
    /// Balances in genesis.
    pub accounts: Vec<(Address, U256)>,
    pub gas_limit: u64,
    pub clock: Clock,
    pub durability: Durability,
}

impl DevnetConfig {
    pub fn new(accounts: Vec<(Address, U256)>, clock: Clock) -> Self {
        Self { chain_id: 31_337, accounts, gas_limit: DEFAULT_GAS_LIMIT, clock, durability: Durability::default() }
    }
}

impl fmt::Debug for DevnetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevnetConfig")
            .field("chain_id", &self.chain_id)
            .field("accounts", &self.accounts)
            .field("gas_limit", &self.gas_limit)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
