//! Writes the CAR of a file: depth first, from any source, one block in memory at a time.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;
use futures::{Stream, stream};

use super::{header, prefix};
use crate::{
    BlockSource, StoreError,
    ids::{self, Digest32},
    walk::Walk,
};

/// Is a block that occurs twice in the tree sent twice?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dups {
    Yes,
    No,
}

struct Sender {
    source: Arc<dyn BlockSource>,
    walk: Walk,
    /// Digests sent, kept only where repeats are left out: 32 bytes a block.
    sent: Option<HashSet<Digest32>>,
    ready: VecDeque<Bytes>,
}

/// The archive as pieces. A missing or damaged block ends the stream with an error, so that the
/// receiver sees a broken transfer and not a short file.
pub(crate) fn send(
    source: Arc<dyn BlockSource>,
    root: &Cid,
    dups: Dups,
) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + Send + use<>, StoreError> {
    let sender = Sender {
        source,
        walk: Walk::new(root, u64::MAX)?,
        sent: (dups == Dups::No).then(HashSet::new),
        ready: VecDeque::from([header(root)]),
    };
    Ok(stream::try_unfold(sender, |mut sender| async move { Ok(sender.next().await?.map(|piece| (piece, sender))) }))
}

impl Sender {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            let Some(cid) = self.walk.expected() else { return Ok(None) };
            let place = self.source.place();
            let block = self.source.fetch(&cid).await?.check(&cid, &place)?;
            self.walk.accept(block.clone(), &place)?;
            let block = block.open(&cid, &place)?;
            if self.is_first(&cid)? {
                self.ready.push_back(prefix(&cid, block.len()));
                if !block.is_empty() {
                    self.ready.push_back(block);
                }
            }
        }
    }

    fn is_first(&mut self, cid: &Cid) -> Result<bool, StoreError> {
        let digest = ids::digest(cid)?;
        Ok(self.sent.as_mut().is_none_or(|sent| sent.insert(digest)))
    }
}
