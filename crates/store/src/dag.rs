//! Reads whole files and byte ranges out of any [`BlockSource`], verifying every block.

use bytes::{Bytes, BytesMut};
use cid::Cid;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{
    BlockSource, MAX_DEPTH, Malformed, StoreError,
    walk::{NODE_ALLOWANCE, Step, Walk, open},
};

/// Where file bytes go.
pub(crate) type Output<'a> = &'a mut (dyn AsyncWrite + Send + Unpin);

/// Blocks of a range fetched at once: hides one gateway's latency, holds at most 8 MiB.
const AHEAD: usize = 4;

/// Drives `walk` to its end with blocks from one source.
pub(crate) async fn finish<S>(source: &S, walk: &mut Walk, out: Output<'_>) -> Result<u64, StoreError>
where
    S: BlockSource + ?Sized,
{
    while let Some(cid) = walk.expected() {
        let block = source.fetch(&cid).await?;
        let data = walk.accept(block, &source.place())?;
        write(out, &cid, &data).await?;
    }
    Ok(walk.size())
}

pub(crate) async fn write(out: Output<'_>, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
    out.write_all(data).await.map_err(|source| StoreError::Output { cid: (*cid).into(), source })
}

/// One block, verified; `None` if the source does not have it.
pub(crate) async fn block<S>(source: &S, cid: &Cid) -> Result<Option<Bytes>, StoreError>
where
    S: BlockSource + ?Sized,
{
    crate::ids::digest(cid)?;
    match source.fetch(cid).await {
        Ok(block) => block.open(cid, &source.place()).map(Some),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A block of the part of the tree that overlaps the range.
struct Want {
    cid: Cid,
    start: u64,
    size: Option<u64>,
}

/// `len` bytes at `offset`, fetching only the blocks on the way to them.
///
/// Sizes are checked along that way only. A publisher can make a tree whose untouched part
/// contradicts its parents (a whole read refuses it); a range of it is still a function of the
/// CID, the same for every reader.
pub(crate) async fn range<S>(source: &S, root: &Cid, offset: u64, len: u64) -> Result<Bytes, StoreError>
where
    S: BlockSource + ?Sized,
{
    crate::ids::digest(root)?;
    let mut reader = Range { root: *root, offset, len, nodes: 0, pieces: Vec::new() };
    let mut wanted = vec![Want { cid: *root, start: 0, size: None }];
    for _ in 0..=MAX_DEPTH {
        let mut next = Vec::new();
        let mut blocks = stream::iter(wanted).map(|want| load(source, want)).buffered(AHEAD);
        while let Some((want, block)) = blocks.try_next().await? {
            reader.take(want, block, &mut next)?;
        }
        if next.is_empty() {
            return reader.finish();
        }
        wanted = next;
    }
    Err(reader.malformed(Malformed::TooDeep))
}

async fn load<S>(source: &S, want: Want) -> Result<(Want, Bytes), StoreError>
where
    S: BlockSource + ?Sized,
{
    let block = source.fetch(&want.cid).await?.open(&want.cid, &source.place())?;
    Ok((want, block))
}

struct Range {
    root: Cid,
    offset: u64,
    len: u64,
    nodes: u64,
    /// Start in the file and bytes, in any order: trees need not be level.
    pieces: Vec<(u64, Bytes)>,
}

impl Range {
    fn take(&mut self, want: Want, block: Bytes, next: &mut Vec<Want>) -> Result<(), StoreError> {
        let step = open(&want.cid, &block).map_err(|reason| self.malformed(reason))?;
        let size = step.size();
        match want.size {
            Some(expected) if expected != size => return Err(self.malformed(Malformed::Sizes)),
            Some(_) => {}
            None => self.inside(size)?,
        }
        match step {
            Step::Data(data) => self.cut(want.start, &data),
            Step::Inner(children, _) => {
                self.nodes = self.nodes.saturating_add(block.len() as u64);
                // Per level one node at each edge of the range may lie mostly outside it.
                if self.nodes > self.len.saturating_add(4 * NODE_ALLOWANCE) {
                    return Err(self.malformed(Malformed::TooManyNodes));
                }
                let mut start = want.start;
                for child in children {
                    if start < self.end() && start + child.size > self.offset {
                        next.push(Want { cid: child.cid, start, size: Some(child.size) });
                    }
                    start += child.size;
                }
            }
        }
        Ok(())
    }

    /// The end of the range; `inside` has shown that it does not overflow.
    fn end(&self) -> u64 {
        self.offset + self.len
    }

    fn inside(&self, size: u64) -> Result<(), StoreError> {
        if self.offset.checked_add(self.len).is_some_and(|end| end <= size) {
            return Ok(());
        }
        let (cid, offset, len) = (self.root.into(), self.offset, self.len);
        Err(StoreError::OutOfRange { cid, offset, len, size })
    }

    fn cut(&mut self, start: u64, data: &Bytes) {
        let from = self.offset.max(start);
        let to = self.end().min(start + data.len() as u64);
        if from < to {
            // Both differences are at most the block's length.
            let part = data.slice((from - start) as usize..(to - start) as usize);
            self.pieces.push((from, part));
        }
    }

    fn finish(mut self) -> Result<Bytes, StoreError> {
        self.pieces.sort_by_key(|(start, _)| *start);
        if let [(_, only)] = self.pieces.as_slice()
            && only.len() as u64 == self.len
        {
            return Ok(only.clone());
        }
        // No more than was read.
        let length = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        let mut out = BytesMut::with_capacity(length);
        for (_, piece) in &self.pieces {
            out.extend_from_slice(piece);
        }
        if out.len() as u64 != self.len {
            return Err(self.malformed(Malformed::Sizes));
        }
        Ok(out.freeze())
    }

    fn malformed(&self, reason: Malformed) -> StoreError {
        StoreError::Malformed { cid: self.root.into(), reason }
    }
}
