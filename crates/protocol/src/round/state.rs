//! The states, in the order in which a round goes through them.

use serde::{Deserialize, Serialize};

/// Where a round stands. The order is that of the table in the module's documentation; the chain's events, not our
/// own intentions, move a round from one of them to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Announced,
    Promised,
    Training,
    Locked,
    Revealed,
    Audited,
    Scored,
    Admitted,
    Summed,
    Opened,
    Proposed,
    Settled,
    Void,
    Expired,
}

impl State {
    /// Nothing follows a state that is over, save its confirmation by the chain.
    pub fn is_over(self) -> bool {
        self >= Self::Settled
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Promised => "promised",
            Self::Training => "training",
            Self::Locked => "locked",
            Self::Revealed => "revealed",
            Self::Audited => "audited",
            Self::Scored => "scored",
            Self::Admitted => "admitted",
            Self::Summed => "summed",
            Self::Opened => "opened",
            Self::Proposed => "proposed",
            Self::Settled => "settled",
            Self::Void => "void",
            Self::Expired => "expired",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
