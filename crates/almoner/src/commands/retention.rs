//! What a coordinator no longer keeps of old rounds: the uploads. Lists, models, openings and settlements stay, so a round
//! remains to be read; adding its ciphertexts up once more takes a copy of somebody's who kept them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use almoner_chain::{Ledger, LedgerError, RoundRecord};
use almoner_coordinator::Progress;
use almoner_protocol::types::LockItem;
use almoner_protocol::{Address, Stage, decode_list};
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
    pub(super) async fn follow(
        self,
        ledger: Ledger,
        store: Arc<BoundedStore>,
        account: Address,
        mut told: Receiver<Progress>,
    ) {
        if self.keep_rounds.is_none() {
            return;
        }
        // Rounds of each federation that are done with.
        let mut done = BTreeMap::new();
        loop {
            if let Err(error) = self.forget_old(&ledger, &store, account, &mut done).await {
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
        account: Address,
        done: &mut BTreeMap<u64, usize>,
    ) -> Result<(), anyhow::Error> {
        // What comes from here on may be needed though no chain names it yet.
        store.watch();
        let federations = federations(ledger, account).await?;
        // Nor does it name what came for a round that runs. That round's end is heard of.
        if federations.values().any(|rounds| rounds.last().is_some_and(|last| !last.is_over())) {
            return Ok(());
        }
        if federations.iter().all(|(number, rounds)| self.old(rounds) <= of(done, *number)) {
            return Ok(());
        }
        let Fate { gone, kept } = self.fate(store, &federations, done).await?;
        let freed = store.forget(gone, kept.into_iter().collect()).await?;
        done.extend(federations.iter().map(|(number, rounds)| (*number, self.old(rounds))));
        if freed > 0 {
            tracing::info!(mib = freed >> 20, "uploads of old rounds are forgotten");
        }
        Ok(())
    }

    /// What becomes of which objects, once of those rounds nothing is left that are `done`.
    async fn fate(
        self,
        store: &dyn Store,
        federations: &BTreeMap<u64, Vec<RoundRecord>>,
        done: &BTreeMap<u64, usize>,
    ) -> Result<Fate, StoreError> {
        let mut fate = Fate::default();
        for (number, rounds) in federations {
            let (old, newer) = rounds.split_at(self.old(rounds));
            fate.kept.extend(named_by_all(rounds));
            for round in newer {
                fate.kept.extend(uploads(store, round).await?);
            }
            for round in old.iter().skip(of(done, *number)) {
                fate.gone.extend(uploads_if_listed(store, round).await?);
            }
        }
        Ok(fate)
    }
}

/// What may be forgotten, but for what it has in common with what may not.
#[derive(Debug, Default)]
struct Fate {
    gone: Vec<Cid>,
    kept: BTreeSet<Cid>,
}

fn of(done: &BTreeMap<u64, usize>, number: u64) -> usize {
    done.get(&number).copied().unwrap_or_default()
}

/// The rounds of this coordinator's federations.
async fn federations(ledger: &Ledger, account: Address) -> Result<BTreeMap<u64, Vec<RoundRecord>>, LedgerError> {
    let mut found = BTreeMap::new();
    for number in 1.. {
        let Some(record) = ledger.federation(number).await? else { break };
        if record.params.coordinator == account {
            found.insert(number, ledger.rounds(number).await?.to_vec());
        }
    }
    Ok(found)
}

/// Where the list of them is gone, so is what they are called.
async fn uploads_if_listed(store: &dyn Store, round: &RoundRecord) -> Result<Vec<Cid>, StoreError> {
    match uploads(store, round).await {
        Err(error) if error.is_missing() => Ok(Vec::new()),
        uploads => uploads,
    }
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

#[cfg(test)]
pub(super) mod tests {
    use almoner_chain::{RoundStatus, StageRecord};
    use almoner_protocol::types::{Contribution, Descriptor, OpenCids};
    use almoner_protocol::{B256, Bytes, encode_list};

    use super::*;

    /// A round that is over, in which one site uploaded these files.
    async fn round(store: &dyn Store, number: u64, files: [&Bytes; 3]) -> RoundRecord {
        let mut cids = Vec::new();
        for file in files {
            cids.push(Bytes::from(store.put(file.0.clone()).await.unwrap().to_bytes()));
        }
        let [ciphertext, check, shares] = [&cids[0], &cids[1], &cids[2]].map(Clone::clone);
        let manifest =
            Contribution { ciphertextCid: ciphertext, checkCid: check, sharesCid: shares, ..Contribution::default() };
        let list = encode_list(&[LockItem { manifest, receipt: vec![1].into(), ..LockItem::default() }]);
        let cid = store.put(list.into()).await.unwrap().to_bytes().into();
        let lock = StageRecord { root: B256::ZERO, transcript: B256::ZERO, cid, time: 0, block: 0, tx: B256::ZERO };
        record(number, RoundStatus::Final, [(Stage::Lock, lock)].into())
    }

    /// A round of which nothing but this matters.
    pub(in crate::commands) fn record(
        number: u64,
        status: RoundStatus,
        stages: BTreeMap<Stage, StageRecord>,
    ) -> RoundRecord {
        RoundRecord {
            federation: 1,
            number,
            ctx: B256::ZERO,
            descriptor: Descriptor::default(),
            cids: OpenCids::default(),
            opened_at: 0,
            readies: vec![],
            promises: vec![],
            direct: vec![],
            reveals: vec![],
            locked: None,
            admitted: None,
            proposal: None,
            paid: None,
            status,
            stages,
        }
    }

    fn file(parts: &[u8]) -> Bytes {
        parts.iter().flat_map(|part| std::iter::repeat_n(*part, 1 << 20)).collect()
    }

    #[tokio::test]
    async fn an_upload_that_shares_blocks_with_a_forgotten_one_stays_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = BoundedStore::open(dir.path(), None).await.unwrap();
        let [old, check, again, one_alike] = [file(&[1, 2]), file(&[3, 4]), file(&[5, 6]), file(&[7, 1])];
        let rounds = vec![
            round(&store, 1, [&old, &check, &again]).await,
            round(&store, 2, [&one_alike, &again, &Bytes::from_static(b"shares")]).await,
        ];
        let retention = Retention { keep_rounds: NonZeroU32::new(1), quota_mib: None };
        let Fate { gone, kept } =
            retention.fate(&store, &[(1, rounds.clone())].into(), &BTreeMap::new()).await.unwrap();
        let forgotten = gone.clone();
        assert!(store.forget(gone, kept.into_iter().collect()).await.unwrap() > 3 << 20, "2, 3 and 4, and two roots");
        for cid in uploads(&store, &rounds[1]).await.unwrap() {
            store.get(&cid, u64::MAX).await.unwrap();
        }
        let mut left = 0;
        for cid in &forgotten {
            left += usize::from(store.get(cid, u64::MAX).await.is_ok());
        }
        assert_eq!(left, 1, "the one that was sent again");
    }
}
