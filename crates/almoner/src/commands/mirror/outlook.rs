//! What the daemon should have: whatever the chain names of this coordinator's federations, and the uploads that are named
//! by the lists of what was locked.

use std::collections::BTreeMap;
use std::sync::Arc;

use almoner_chain::{Ledger, RoundRecord};
use almoner_protocol::{Address, Stage};
use almoner_store::{BoundedStore, Cid, Store, StoreError, cid_from_bytes};

use super::Trouble;
use super::orders::{Orders, is_lost};
use crate::commands::retention::{Retention, named, named_by_all, uploads};

pub(super) struct Outlook {
    ledger: Ledger,
    store: Arc<BoundedStore>,
    account: Address,
    retention: Retention,
    /// Every federation, and how far its rounds were looked at; those of others are none of ours.
    federations: BTreeMap<u64, Option<Seen>>,
    pub(super) orders: Orders,
    /// Nothing was told since the last look.
    pub(super) fresh: bool,
}

/// Rounds that are done with, counted from the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    over: usize,
    /// Those whose uploads were ordered to be unpinned.
    forgotten: usize,
}

impl Outlook {
    pub(super) fn new(ledger: Ledger, store: Arc<BoundedStore>, account: Address, retention: Retention) -> Self {
        let (federations, orders) = (BTreeMap::new(), Orders::default());
        Self { ledger, store, account, retention, federations, orders, fresh: false }
    }

    /// Reads the chain if something was told since it was read.
    pub(super) async fn look(&mut self) -> Result<(), Trouble> {
        if self.fresh {
            return Ok(());
        }
        for number in 1.. {
            let seen = match self.federations.get(&number) {
                Some(seen) => *seen,
                None => match self.ledger.federation(number).await? {
                    Some(record) if record.params.coordinator == self.account => {
                        cid_from_bytes(&record.params.specCid).into_iter().for_each(|cid| self.orders.pin(cid));
                        Some(Seen::default())
                    }
                    Some(_) => None,
                    None => break,
                },
            };
            let seen = match seen {
                Some(seen) => {
                    let rounds = self.ledger.rounds(number).await?;
                    let old = self.retention.old(&rounds);
                    Some(order(&mut self.orders, self.store.as_ref(), &rounds, old, seen).await?)
                }
                None => None,
            };
            self.federations.insert(number, seen);
        }
        self.fresh = true;
        Ok(())
    }
}

/// Orders what these rounds name; of the first `old` ones the uploads are forgotten. Done again after an error, it orders
/// nothing twice.
async fn order(
    orders: &mut Orders,
    store: &dyn Store,
    rounds: &[RoundRecord],
    old: usize,
    mut seen: Seen,
) -> Result<Seen, Trouble> {
    for (index, round) in rounds.iter().enumerate().skip(seen.over) {
        let lock = round.stages.get(&Stage::Lock).and_then(|lock| cid_from_bytes(&lock.cid).ok());
        // The list is read once: it is known itself from then on.
        if index >= old && lock.is_some_and(|lock| !orders.knows(&lock)) {
            listed(uploads(store, round).await)?.into_iter().for_each(|cid| orders.pin(cid));
        }
        named(round).for_each(|cid| orders.pin(cid));
    }
    if seen.forgotten < old {
        let mut kept = named_by_all(rounds);
        // A later round may have been sent the same file again.
        for round in rounds.iter().skip(old) {
            kept.extend(listed(uploads(store, round).await)?);
        }
        for round in rounds.iter().take(old).skip(seen.forgotten) {
            let gone = listed(uploads(store, round).await)?.into_iter().filter(|cid| !kept.contains(cid));
            gone.for_each(|cid| orders.unpin(cid));
            seen.forgotten += 1;
        }
    }
    seen.over += rounds.iter().skip(seen.over).take_while(|round| round.is_over()).count();
    Ok(seen)
}

/// The uploads of a round. Where the list of them is lost, so is what they are called.
fn listed(read: Result<Vec<Cid>, StoreError>) -> Result<Vec<Cid>, Trouble> {
    match read {
        Err(error) if is_lost(&error) => Ok(Vec::new()),
        read => Ok(read?),
    }
}

#[cfg(test)]
mod tests;
