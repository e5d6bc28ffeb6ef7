//! What later rounds and claims depend on.

use std::collections::{BTreeMap, BTreeSet};

use almoner_protocol::{Address, Admitted, B256, CumulativeLedger};

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
    pub(crate) ledger: CumulativeLedger,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) head: Option<Head>,
    /// Sets admitted over the model that `head` names, by rounds that then failed.
    pub(crate) sets: Vec<BTreeSet<Address>>,
    /// After the last final round.
    pub(crate) ledger: CumulativeLedger,
    pub(crate) final_ledgers: Vec<FinalLedger>,
    pub(crate) last_admitted: Option<Admitted>,
    pub(crate) opened_scalars: BTreeMap<Address, u64>,
    /// Matrix roots by epoch and number of data blocks: hundreds of rounds share one.
    pub(crate) matrices: BTreeMap<(u32, u64), B256>,
}
