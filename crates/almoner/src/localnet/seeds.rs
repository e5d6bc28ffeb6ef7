//! Where a local federation's randomness and time come from: the operating system, or one number from which all of it
//! follows.

use std::sync::Arc;

use almoner_devnet::{Clock, system_clock};
use almoner_protocol::sha256;

/// Block time of a seeded chain's first block: fixed, so that the same seed gives the same roots.
const SEEDED_TIME: u64 = 1_700_000_000;

/// Derives every key, salt, time, noise and shuffle of a run.
#[derive(Clone)]
pub struct Seeds {
    root: [u8; 32],
    pub seeded: bool,
    clock: Clock,
}

impl Seeds {
    /// From a number: anybody who knows it knows every key. Demo, tests and development only.
    pub fn insecure(seed: u64) -> Self {
        let root = sha256(&[b"almoner/localnet/v0".as_slice(), &seed.to_be_bytes()].concat());
        // No time passes by itself: blocks count the seconds.
        Self { root: root.0, seeded: true, clock: Arc::new(|| SEEDED_TIME) }
    }

    /// From the operating system.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut root = [0; 32];
        getrandom::fill(&mut root)?;
        Ok(Self { root, seeded: false, clock: system_clock() })
    }

    /// With another clock for the host, in unix seconds. It may do what host clocks do: stand still, or jump.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Seconds for every rule.
    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The seed of one use.
    pub fn derive(&self, label: &str, index: u64) -> [u8; 32] {
        sha256(&[&self.root, label.as_bytes(), &index.to_be_bytes()].concat()).0
    }
}

impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seeds").field("seeded", &self.seeded).finish_non_exhaustive()
    }
}
