//! What a harness or a screen may follow: facts, never a weight or a hospital's loss.

use almoner_protocol::round::{Fault, State};
use almoner_protocol::{Address, B256, Bytes, Stage};

/// One account's part of a settled round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    pub account: Address,
    /// 0 hospital, 1 validator.
    pub role: u8,
    /// 2^32 = all of it.
    pub quality: u128,
    pub pay: u128,
    pub cumulative: u128,
}

/// Where the artefacts and roots of a finished round are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub round: u64,
    pub roots: Vec<(Stage, B256)>,
    pub cids: Vec<(Stage, Bytes)>,
    pub paid: Vec<Paid>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    RoundOpened {
        round: u64,
        ctx: B256,
    },
    State {
        round: u64,
        state: State,
    },
    /// A transaction of ours is included.
    Sent {
        round: u64,
        step: &'static str,
        gas: u64,
        seconds: f64,
    },
    Settled(Settlement),
    /// Void or expired; the pot is back or carried.
    Ended {
        round: u64,
        state: State,
        reason: String,
        /// Who did not do what.
        faults: Vec<Fault>,
    },
    /// All launched rounds are over.
    Idle,
}
