use std::collections::BTreeMap;
use std::fmt;

use almoner_protocol::types::SettleItem;
use almoner_protocol::{Address, B256};
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

/// What a final round paid, as it follows from its evidence; the list behind the root on chain says the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoundPayments {
    pub round: u64,
    pub settle_root: B256,
    pub settle_cid: String,
    pub lines: Vec<SettleItem>,
}

/// What an audit comes to, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Sound,
    /// Nothing contradicts, but something was not to be had: no proof for the payments, nor against them.
    Incomplete,
    Wrong,
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
    /// What was to be looked at and is not to be had, in the same order.
    pub first_missing: Option<Finding>,
    /// Scalars opened so far, per site.
    pub opened_scalars: BTreeMap<Address, u64>,
    /// Their limit.
    pub scalars_max: u32,
    /// Of final rounds whose settlement was recomputed.
    pub payments: Vec<RoundPayments>,
    /// What is no proof of anything, but worth knowing.
    pub notes: Vec<String>,
}

impl Report {
    /// What all of it comes to.
    pub fn verdict(&self) -> Verdict {
        match (&self.first_wrong, &self.first_missing) {
            (Some(_), _) => Verdict::Wrong,
            (None, Some(_)) => Verdict::Incomplete,
            (None, None) => Verdict::Sound,
        }
    }

    /// Whether everything held.
    pub fn is_sound(&self) -> bool {
        self.verdict() == Verdict::Sound && self.checks == self.held
    }
}
