//! What later rounds and claims depend on.

use std::collections::{BTreeMap, BTreeSet};

use almoner_protocol::{Address, Admitted, B256, CumulativeLedger};

use crate::RoundPayments;
use crate::tally::{Checked, Wrong};

/// The round whose model the next one starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) ctx: B256,
    pub(crate) model_root: B256,
}

/// A ledger that people may claim from.
#[derive(Clone, Debug)]
pub(crate) struct FinalLedger {
    /// When its root was credited.
    pub(crate) time: u64,
    pub(crate) amount: u128,
    /// As far as it could be known.
    pub(crate) ledger: Checked<CumulativeLedger>,
}

/// What could neither be recomputed nor read. What needs it is not looked at either.
pub(crate) fn unknown<T>() -> Checked<T> {
    Err(Wrong::missing("what it is held against could neither be recomputed nor read"))
}

#[derive(Debug)]
pub(crate) struct History {
    pub(crate) head: Option<Head>,
    /// Sets admitted over the model that `head` names, by rounds that then failed.
    pub(crate) sets: Vec<BTreeSet<Address>>,
    /// After the last final round.
    pub(crate) ledger: Checked<CumulativeLedger>,
    pub(crate) final_ledgers: Vec<FinalLedger>,
    /// `None` if no round admitted anybody.
    pub(crate) last_admitted: Option<Checked<Admitted>>,
    pub(crate) opened_scalars: BTreeMap<Address, u64>,
    /// Matrix roots by epoch and number of data blocks: hundreds of rounds share one.
    pub(crate) matrices: BTreeMap<(u32, u64), B256>,
    pub(crate) payments: Vec<RoundPayments>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            head: None,
            sets: Vec::new(),
            ledger: Ok(CumulativeLedger::default()),
            final_ledgers: Vec::new(),
            last_admitted: None,
            opened_scalars: BTreeMap::new(),
            matrices: BTreeMap::new(),
            payments: Vec::new(),
        }
    }
}
