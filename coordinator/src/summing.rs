//! A sum on its way into the store, written as the results of its ranges come. What is held of it are ranges that came
//! before their turn, and a few that wait for the disk: who posts more is answered once it is written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use almoner_crypto::ring::N;
use almoner_crypto::tree::{TreeHasher, kind};
use almoner_protocol::round::Posting;
use almoner_protocol::{B256, Bytes};
use almoner_store::{Incoming, Store, Whole};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::CoordinatorError;
use crate::ingress::Reply;
use crate::jobs::BlockRange;
use crate::model::blocking;

/// Ranges that may wait for the disk, of 4 MiB each: so much goes on while it writes.
const AHEAD: usize = 2;

/// Dropped before it is whole, nothing of it remains.
#[derive(Debug)]
pub(crate) struct Summing {
    parts: mpsc::UnboundedSender<Part>,
    /// How many were taken and are not written.
    waiting: Arc<AtomicUsize>,
    written: Mutex<Option<JoinHandle<Written>>>,
}

type Written = Result<(B256, Whole), CoordinatorError>;

#[derive(Debug)]
struct Part {
    range: BlockRange,
    /// Sums of the data blocks, 8 bytes a word; in the first range the check sums behind them.
    sums: Bytes,
    /// Of whoever is to wait until it is written.
    reply: Option<Reply<()>>,
}

impl Summing {
    /// Of so many blocks, the results of which come in any order.
    pub(crate) fn begin(store: &dyn Store, blocks: u32) -> Self {
        let (parts, mut come) = mpsc::unbounded_channel::<Part>();
        let mut file = SumFile::new(store.incoming(), blocks);
        let waiting = Arc::<AtomicUsize>::default();
        let fewer = waiting.clone();
        let written = tokio::spawn(async move {
            while !file.is_whole() {
                let part = come.recv().await;
                let Part { range, sums, reply } = part.ok_or(CoordinatorError::NotNow("the sum was given up"))?;
                file = blocking(move || file.take(range, sums)).await?;
                fewer.fetch_sub(1, Ordering::Relaxed);
                reply.map(|reply| reply.send(Ok(())));
            }
            blocking(move || file.finish()).await
        });
        Self { parts, waiting, written: Some(written).into() }
    }

    /// Takes a range. Whether it can be written says [`Self::keep`]: who posted it has done its part.
    pub(crate) fn take(&self, range: BlockRange, sums: Bytes, mut reply: Option<Reply<()>>) {
        let now = |reply: Option<Reply<()>>| reply.map(|reply| reply.send(Ok(())));
        if self.waiting.fetch_add(1, Ordering::Relaxed) < AHEAD {
            now(reply.take());
        }
        if let Err(mpsc::error::SendError(part)) = self.parts.send(Part { range, sums, reply }) {
            now(part.reply);
        }
    }

    /// Keeps it, once all ranges are there.
    pub(crate) async fn keep(&self, store: &dyn Store) -> Result<Posting, CoordinatorError> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        let written = written.ok_or(CoordinatorError::NotNow("the sum was kept before"))?;
        let (root, whole) = written.await.map_err(|error| CoordinatorError::Bug(error.to_string()))??;
        let cid = Bytes::from(whole.cid().to_bytes());
        store.keep(vec![whole]).await?;
        Ok(Posting { root, cid })
    }
}

/// The data sums of all blocks, then the check sums.
struct SumFile {
    incoming: Incoming,
    tree: TreeHasher,
    blocks: u32,
    /// The block whose turn it is.
    next: u32,
    early: BTreeMap<u32, (BlockRange, Bytes)>,
    check: Bytes,
}

impl SumFile {
    fn new(incoming: Incoming, blocks: u32) -> Self {
        let tree = TreeHasher::new(kind::SUM);
        Self { incoming, tree, blocks, next: 0, early: BTreeMap::new(), check: Bytes::new() }
    }

    fn is_whole(&self) -> bool {
        self.next >= self.blocks
    }

    fn take(mut self, range: BlockRange, sums: Bytes) -> Result<Self, CoordinatorError> {
        self.early.insert(range.first, (range, sums));
        while let Some((range, sums)) = self.early.remove(&self.next) {
            let (data, check) = sums.split_at(8 * N * range.blocks as usize);
            self.write(data)?;
            if range.first == 0 {
                self.check = Bytes::copy_from_slice(check);
            }
            self.next += range.blocks;
        }
        Ok(self)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), CoordinatorError> {
        self.tree.extend(8, words);
        Ok(self.incoming.write(words)?)
    }

    fn finish(mut self) -> Written {
        let check = std::mem::take(&mut self.check);
        self.write(&check)?;
        Ok((B256::from(self.tree.finish()), self.incoming.finish()?))
    }
}

#[cfg(test)]
mod tests {
    use almoner_crypto::encrypt::CHECK_BYTES;
    use almoner_crypto::tree::vector_root;
    use almoner_store::{EmbeddedStore, MemoryStore};
    use tokio::sync::oneshot;

    use super::*;

    const BLOCKS: u32 = 7;

    /// Ranges of two blocks, the last of one, and the file they make.
    fn ranges() -> (Vec<(BlockRange, Bytes)>, Vec<u8>) {
        let block = 8 * N;
        let file: Vec<u8> = (0..BLOCKS as usize * block + CHECK_BYTES).map(|i| (i % 251) as u8).collect();
        let (data, check) = file.split_at(BLOCKS as usize * block);
        let range = |first: u32| {
            let blocks = 2.min(BLOCKS - first);
            let at = first as usize * block;
            let mut sums = data[at..at + blocks as usize * block].to_vec();
            sums.extend_from_slice(if first == 0 { check } else { &[] });
            (BlockRange { first, blocks }, sums.into())
        };
        ((0..BLOCKS).step_by(2).map(range).collect(), file)
    }

    #[tokio::test]
    async fn ranges_in_any_order_make_one_file_with_the_checks_at_its_end() {
        let (ranges, file) = ranges();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let store = MemoryStore::new();
            let summing = Summing::begin(&store, BLOCKS);
            for at in order {
                let (reply, replied) = oneshot::channel();
                let (range, sums) = ranges[at].clone();
                summing.take(range, sums, Some(reply));
                replied.await.unwrap().unwrap();
            }
            let posting = summing.keep(&store).await.unwrap();
            assert_eq!(posting.root, B256::from(vector_root(kind::SUM, 8, &file)));
            let cid = almoner_store::cid_from_bytes(&posting.cid).unwrap();
            assert!(store.get(&cid, 1 << 30).await.unwrap() == file);
        }
    }

    #[tokio::test]
    async fn what_came_before_its_turn_is_all_that_is_held() {
        let (ranges, _) = ranges();
        let file = SumFile::new(MemoryStore::new().incoming(), BLOCKS);
        let take = |file: SumFile, at: usize| file.take(ranges[at].0, ranges[at].1.clone()).unwrap();
        let file = take(take(file, 0), 2);
        assert_eq!((file.next, file.early.len()), (2, 1));
        let file = take(file, 1);
        assert_eq!((file.next, file.early.len(), file.is_whole()), (6, 0, false));
        assert!(take(file, 3).is_whole());
    }

    #[tokio::test]
    async fn who_posts_faster_than_the_disk_writes_is_answered_later() {
        let (ranges, _) = ranges();
        let summing = Summing::begin(&MemoryStore::new(), BLOCKS);
        // On this one thread nothing is written before somebody waits.
        let mut replies: Vec<_> = ranges
            .into_iter()
            .map(|(range, sums)| {
                let (reply, replied) = oneshot::channel();
                summing.take(range, sums, Some(reply));
                replied
            })
            .collect();
        let at_once: Vec<bool> = replies.iter_mut().map(|reply| reply.try_recv().is_ok()).collect();
        assert_eq!(at_once, [true, true, false, false]);
        for late in replies.split_off(AHEAD) {
            late.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn one_that_is_given_up_leaves_nothing_and_keeps_nobody_waiting() {
        let (dir, (ranges, _)) = (tempfile::tempdir().unwrap(), ranges());
        let store = EmbeddedStore::open(dir.path()).await.unwrap();
        let empty = files(dir.path());
        let summing = Summing::begin(&store, BLOCKS);
        let (reply, replied) = oneshot::channel();
        summing.take(ranges[0].0, ranges[0].1.clone(), Some(reply));
        replied.await.unwrap().unwrap();
        let written = summing.written.lock().unwrap().take().unwrap();
        drop(summing);
        assert!(matches!(written.await.unwrap(), Err(CoordinatorError::NotNow(_))));
        assert_eq!(files(dir.path()), empty);
    }

    fn files(dir: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
    }
}
