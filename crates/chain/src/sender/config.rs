use std::time::Duration;

/// Limits of a sender. Every wait is bounded, every price is capped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// Most gas of one transaction. EIP-7825 allows 2^24, and not every node says so before it fails.
    pub gas_ceiling: u64,
    /// Added to an estimate, in percent.
    pub gas_margin_percent: u64,
    /// Most wei paid for a unit of gas, base fee and tip together.
    pub fee_ceiling: u128,
    /// Least tip, in wei; nodes leave transactions without one lying.
    pub least_tip: u128,
    /// A pending transaction is broadcast again this often.
    pub rebroadcast_every: Duration,
    /// Fees are raised when a transaction has waited this many blocks, or this long where there are no blocks.
    pub bump_after_blocks: u64,
    pub bump_after: Duration,
    /// Then the call gives up; the transaction stays in the outbox.
    pub give_up_after: Duration,
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self {
            gas_ceiling: 1 << 24,
            gas_margin_percent: 20,
            fee_ceiling: 500_000_000_000,
            least_tip: 10_000_000,
            rebroadcast_every: Duration::from_secs(5),
            bump_after_blocks: 3,
            bump_after: Duration::from_secs(60),
            give_up_after: Duration::from_secs(600),
        }
    }
}
