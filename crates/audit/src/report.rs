use std::collections::BTreeMap;
use std::fmt;

use almoner_protocol::Address;
use serde::Serialize;

use crate::Kind;

/// Checks of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub checks: u64,
    pub held: u64,
}

/// Something wrong, and where to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// `None` where it concerns the federation and no single round.
    pub round: Option<u64>,
    /// The artefact it was found in.
    pub cid: Option<String>,
    /// The account it concerns.
    pub account: Option<Address>,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(round) = self.round {
            write!(f, "round {round}, ")?;
        }
        write!(f, "{}", self.kind)?;
        if let Some(account) = self.account {
            write!(f, " of {account}")?;
        }
        if let Some(cid) = &self.cid {
            write!(f, " ({cid})")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub federation: u64,
    pub rounds: u64,
    pub checks: u64,
    pub held: u64,
    pub by_kind: BTreeMap<Kind, Count>,
    /// In the order of the chain.
    pub first_wrong: Option<Finding>,
    /// Scalars opened so far, per site.
    pub opened_scalars: BTreeMap<Address, u64>,
    /// Their limit.
    pub scalars_max: u32,
    /// What is no proof of anything, but worth knowing.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether everything held.
    pub fn is_sound(&self) -> bool {
        self.first_wrong.is_none() && self.checks == self.held
    }
}
