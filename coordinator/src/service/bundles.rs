//! Sealed shares on their way to the members.
//!
//! Every member wants one blob of every bundle, and all ask at about the same time. So a bundle that was just read serves
//! whoever comes by, and a member begins where the others are: bundles are read about once for all of them together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use almoner_protocol::{Address, Bytes, MAX_COMMITTEE, SealedShares, decode_list};
use almoner_store::{Cid, Store};
use futures::Stream;
use futures::stream::{self, StreamExt};
use tokio::sync::OnceCell;

use crate::CoordinatorError;

/// Largest bundle: a full committee's blobs.
const MAX_BUNDLE: u64 = (MAX_COMMITTEE as u64) * (1 << 15);
/// Bundles that are held: 16 MiB at most.
const RECENT: usize = 8;

/// One participant's blobs by committee index; none where it is not a list of them.
type Blobs = Arc<OnceCell<Vec<SealedShares>>>;

#[derive(Debug)]
pub(crate) struct Bundles {
    store: Arc<dyn Store>,
    /// By CID, the one begun last at the end.
    recent: Mutex<VecDeque<(Bytes, Blobs)>>,
}

impl Bundles {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, recent: Mutex::default() }
    }

    /// A member's blob of each of the bundles, in whatever order; empty where there is none, so that the member complains.
    pub(crate) fn shares_of(
        self: Arc<Self>,
        member: u16,
        mut bundles: Vec<(Address, Bytes)>,
    ) -> impl Stream<Item = Result<(Address, Bytes), CoordinatorError>> {
        let newest = self.recent().back().map(|(cid, _)| cid.clone());
        let start = bundles.iter().position(|(_, cid)| Some(cid) == newest.as_ref());
        bundles.rotate_left(start.unwrap_or_default());
        stream::iter(bundles).then(move |(participant, cid)| {
            let bundles = Arc::clone(&self);
            async move { Ok((participant, bundles.share_of(&cid, member).await?)) }
        })
    }

    async fn share_of(&self, cid: &Bytes, member: u16) -> Result<Bytes, CoordinatorError> {
        if cid.is_empty() {
            return Ok(Bytes::new());
        }
        let blobs = self.blobs(cid);
        let blobs = blobs.get_or_try_init(|| self.read(cid)).await?;
        Ok(blobs.get(usize::from(member)).map(|blob| blob.0.clone()).unwrap_or_default())
    }

    fn blobs(&self, cid: &Bytes) -> Blobs {
        let mut recent = self.recent();
        if let Some((_, blobs)) = recent.iter().find(|(known, _)| known == cid) {
            return blobs.clone();
        }
        while recent.len() >= RECENT {
            recent.pop_front();
        }
        let blobs = Blobs::default();
        recent.push_back((cid.clone(), blobs.clone()));
        blobs
    }

    async fn read(&self, cid: &[u8]) -> Result<Vec<SealedShares>, CoordinatorError> {
        let cid = Cid::try_from(cid).map_err(|e| CoordinatorError::Bug(format!("locked CID: {e}")))?;
        let bundle = self.store.get(&cid, MAX_BUNDLE).await?;
        Ok(decode_list(&bundle, MAX_COMMITTEE).unwrap_or_default())
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<(Bytes, Blobs)>> {
        // Changed by single calls, so a panic elsewhere leaves a usable value.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use almoner_protocol::encode_list;
    use almoner_store::{Block, BlockSource, MemoryStore, Place, StoreError};
    use futures::TryStreamExt;
    use futures::future::join_all;

    use super::*;

    const SITES: u8 = 30;

    /// Counts what is read.
    #[derive(Debug)]
    struct Counting(MemoryStore, AtomicUsize);

    #[tonic::async_trait]
    impl BlockSource for Counting {
        async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            // As with a disk: others go on meanwhile.
            tokio::task::yield_now().await;
            self.0.fetch(cid).await
        }

        fn place(&self) -> Place {
            self.0.place()
        }
    }

    #[tonic::async_trait]
    impl Store for Counting {
        async fn put(&self, bytes: bytes::Bytes) -> Result<Cid, StoreError> {
            self.0.put(bytes).await
        }

        async fn put_file(&self, path: &std::path::Path) -> Result<Cid, StoreError> {
            self.0.put_file(path).await
        }
    }

    fn blob(participant: u8, member: u8) -> Vec<u8> {
        vec![participant, member, 7]
    }

    async fn dealt() -> (Arc<Counting>, Vec<(Address, Bytes)>) {
        let store = Arc::new(Counting(MemoryStore::default(), AtomicUsize::new(0)));
        let mut bundles = Vec::new();
        for participant in 0..SITES {
            let items: Vec<_> = (0..SITES).map(|member| SealedShares(blob(participant, member).into())).collect();
            let cid = store.put(encode_list(&items).into()).await.unwrap();
            bundles.push((Address::repeat_byte(participant), cid.to_bytes().into()));
        }
        (store, bundles)
    }

    async fn collected(bundles: &Arc<Bundles>, member: u8, all: &[(Address, Bytes)]) -> Vec<(Address, Bytes)> {
        let shares = Arc::clone(bundles).shares_of(member.into(), all.to_vec());
        let mut shares: Vec<_> = shares.try_collect().await.unwrap();
        shares.sort();
        shares
    }

    #[tokio::test]
    async fn everybody_gets_their_own_and_a_bundle_is_read_once_for_all() {
        let (store, all) = dealt().await;
        let bundles = Arc::new(Bundles::new(store.clone()));
        let members = 0..SITES;
        let answers = join_all(members.clone().map(|member| collected(&bundles, member, &all))).await;
        for (member, shares) in members.zip(answers) {
            let own = |participant| (Address::repeat_byte(participant), blob(participant, member).into());
            assert_eq!(shares, (0..SITES).map(own).collect::<Vec<_>>());
        }
        assert_eq!(store.1.load(Ordering::Relaxed), usize::from(SITES));
        // Who comes later begins with what is still there.
        collected(&bundles, 3, &all).await;
        assert!(store.1.load(Ordering::Relaxed) < 2 * usize::from(SITES));
    }

    #[tokio::test]
    async fn what_is_no_bundle_has_no_shares_and_what_is_missing_is_an_error() {
        let (store, mut all) = dealt().await;
        all[0].1 = Bytes::new();
        all[1].1 = store.put("no list".into()).await.unwrap().to_bytes().into();
        let bundles = Arc::new(Bundles::new(store));
        let shares = collected(&bundles, 2, &all).await;
        assert_eq!((shares[0].1.len(), shares[1].1.len(), shares[2].1.len()), (0, 0, 3));
        let elsewhere = almoner_store::cid_of(b"elsewhere", almoner_store::Layout::V1_2025);
        let missing = vec![(Address::ZERO, elsewhere.to_bytes().into())];
        assert!(bundles.shares_of(0, missing).try_collect::<Vec<_>>().await.is_err());
    }
}
