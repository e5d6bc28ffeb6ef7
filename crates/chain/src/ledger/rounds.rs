//! What was worked out from the events, kept so that each of them is looked at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cache::Events;
use super::round::{extend, key};
use super::{Ledger, ReadyRecord, RoundRecord};
use crate::LedgerError;
use crate::contracts::Rounds as R;

/// Federations whose rounds are kept; forgotten all at once when there are more.
const MAX_KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Rounds {
    of: BTreeMap<u64, Known>,
}

/// The rounds of one federation as far as its events were looked at.
#[derive(Debug, Default)]
pub(super) struct Known {
    federation: u64,
    reading: u64,
    looked_at: usize,
    rounds: Arc<Vec<RoundRecord>>,
    /// Offers for rounds that are not open yet.
    readies: BTreeMap<u64, Vec<ReadyRecord>>,
}

impl Rounds {
    /// What is known of a federation by this reading of the chain.
    pub(super) fn take(&mut self, federation: u64, reading: u64) -> Known {
        let known = self.of.remove(&federation).filter(|known| known.reading == reading);
        known.unwrap_or_else(|| Known { federation, reading, ..Known::default() })
    }

    pub(super) fn put(&mut self, federation: u64, known: Known) {
        if self.of.len() >= MAX_KEPT {
            self.of.clear();
        }
        self.of.insert(federation, known);
    }
}

impl Known {
    pub(super) fn rounds(&self) -> Arc<Vec<RoundRecord>> {
        self.rounds.clone()
    }

    /// With the events that were not looked at yet.
    pub(super) fn extended(mut self, ledger: &Ledger, events: &Events) -> Result<Self, LedgerError> {
        let news = events.get(self.looked_at..).unwrap_or_default();
        self.looked_at = events.len().max(self.looked_at);
        for log in ledger.of_rounds(news) {
            let Some(round) = key(log).filter(|(owner, _)| *owner == self.federation).map(|(_, round)| round) else {
                continue;
            };
            if let Some(e) = log.decode::<R::ReadyPosted>() {
                let ready = ReadyRecord { member: e.member, key_hash: e.keyHash, time: log.time };
                self.readies.entry(round).or_default().push(ready);
            } else if let Some(opened) = log.decode::<R::RoundOpened>() {
                let record = ledger.opened(opened, log, self.readies.remove(&round).unwrap_or_default())?;
                Arc::make_mut(&mut self.rounds).push(record);
            } else if let Some(record) =
                Arc::make_mut(&mut self.rounds).iter_mut().rev().find(|record| record.number == round)
            {
                extend(record, log)?;
            }
        }
        Ok(self)
    }
}
