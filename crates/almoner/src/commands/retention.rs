//! What a coordinator no longer keeps of old rounds: the uploads. Lists, models, openings and settlements stay, so a round
//! remains to be read; adding its ciphertexts up once more takes a copy of somebody's who kept them.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use almoner_chain::{Ledger, RoundRecord};
use almoner_coordinator::Progress;
use almoner_protocol::types::LockItem;
use almoner_protocol::{Stage, decode_list};
use almoner_store::{BoundedStore, Cid, Store, StoreError, cid_from_bytes};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Above every lock list.
const MAX_LIST: u64 = 64 << 20;
const MAX_ITEMS: usize = 1 << 16;

/// `[retention]` of a coordinator's file. Without it everything is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    /// Uploads of so many rounds are kept, the newest; of all if not named.
    keep_rounds: Option<NonZeroU32>,
    /// The store takes no more than so much; nothing is taken for want of room then, and the log says so.
    quota_mib: Option<u64>,
}

impl Retention {
    pub(super) fn most(&self) -> Option<u64> {
        self.quota_mib.map(|mib| mib.saturating_mul(1 << 20))
    }

    /// Forgets what is too old, now and after each round, until the coordinator tells nothing more.
    pub(super) async fn follow(self, ledger: Ledger, store: Arc<BoundedStore>, mut told: Receiver<Progress>) {
        if self.keep_rounds.is_none() {
            return;
        }
        // Rounds of each federation that are done with.
        let mut done = Vec::new();
        loop {
            if let Err(error) = self.forget_old(&ledger, &store, &mut done).await {
                tracing::warn!(%error, "old uploads are kept for now");
            }
            loop {
                match told.recv().await {
                    Ok(Progress::Settled(_) | Progress::Ended { .. }) | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// How many of a federation's rounds, from the first, are too old.
    pub(super) fn old(self, rounds: &[RoundRecord]) -> usize {
        let Some(keep) = self.keep_rounds else { return 0 };
        let keep = usize::try_from(keep.get()).unwrap_or(usize::MAX);
        let old = rounds.len().saturating_sub(keep);
        rounds.iter().take(old).take_while(|round| round.is_over()).count()
    }

    async fn forget_old(
        self,
        ledger: &Ledger,
        store: &BoundedStore,
        done: &mut Vec<usize>,
    ) -> Result<(), anyhow::Error> {
        for number in 1.. {
            if ledger.federation(number).await?.is_none() {
                return Ok(());
            }
            let index = usize::try_from(number - 1)?;
            done.resize(done.len().max(index + 1), 0);
            let rounds = ledger.rounds(number).await?;
            let named = named_by_all(&rounds);
            for round in rounds.iter().take(self.old(&rounds)).skip(done[index]) {
                let freed = forget(store, round, &named).await?;
                if freed > 0 {
                    tracing::info!(round = round.number, mib = freed >> 20, "uploads of an old round are forgotten");
                }
                done[index] += 1;
            }
        }
        Ok(())
    }
}

async fn forget(store: &BoundedStore, round: &RoundRecord, named: &BTreeSet<Cid>) -> Result<u64, StoreError> {
    let uploads = match forgettable(store, round, named).await {
        Ok(uploads) => uploads,
        // Of another coordinator's federation on the same contracts.
        Err(error) if error.is_missing() => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut freed = 0;
    for cid in uploads {
        freed += store.forget(&cid).await?;
    }
    Ok(freed)
}

/// Of the uploads, what may be forgotten: nothing that rounds name, for a file of sealed shares may be the same as one of
/// their lists.
pub(super) async fn forgettable(
    store: &dyn Store,
    round: &RoundRecord,
    named: &BTreeSet<Cid>,
) -> Result<Vec<Cid>, StoreError> {
    Ok(uploads(store, round).await?.into_iter().filter(|cid| !named.contains(cid)).collect())
}

/// What the chain itself names of a round: what it began with, and the artefacts of its stages.
pub(super) fn named(round: &RoundRecord) -> impl Iterator<Item = Cid> {
    let cids = &round.cids;
    let opened = [&cids.spec, &cids.base, &cids.members, &cids.committee, &cids.validators];
    let all = opened.into_iter().chain(round.stages.values().map(|stage| &stage.cid));
    // A stage without an artefact has no CID.
    all.filter_map(|cid| cid_from_bytes(cid).ok())
}

pub(super) fn named_by_all(rounds: &[RoundRecord]) -> BTreeSet<Cid> {
    rounds.iter().flat_map(named).collect()
}

/// The files of the uploads that were received, by a round's list of what was locked: whoever commits by the chain may name
/// anything.
pub(super) async fn uploads(store: &dyn Store, round: &RoundRecord) -> Result<Vec<Cid>, StoreError> {
    let Some(lock) = round.stages.get(&Stage::Lock).and_then(|stage| cid_from_bytes(&stage.cid).ok()) else {
        return Ok(Vec::new());
    };
    let list = store.get(&lock, MAX_LIST).await?;
    let items: Vec<LockItem> = decode_list(&list, MAX_ITEMS).unwrap_or_default();
    let received = items.into_iter().filter(|item| !item.receipt.is_empty());
    let files = |item: LockItem| [item.manifest.ciphertextCid, item.manifest.checkCid, item.manifest.sharesCid];
    Ok(received.flat_map(files).filter_map(|cid| cid_from_bytes(&cid).ok()).collect())
}
