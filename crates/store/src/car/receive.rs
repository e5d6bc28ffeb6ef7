//! Feeds the sections of an archive to a walk.
//!
//! With `dups=y` each section must be the next expected block, and nothing is kept. With `dups=n` a block that
//! occurred before is left out, and with it everything below it: such blocks come from a bounded
//! cache, and what no longer is in it is asked for one by one (`repeats`).

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use cid::Cid;

use super::{CarError, CarReader, Dups};
use crate::{
    Block, BlockSource, Refusal, StoreError,
    dag::{Output, write},
    error::Place,
    ids::{self, Digest32},
    walk::Walk,
};

/// Bytes of blocks kept for repeats.
const CACHE: usize = 16 << 20;
/// Digests remembered, 32 bytes each. In a larger file later repeats are refused here, and the
/// caller fetches the rest block by block.
const SEEN: usize = 1 << 18;

/// Drives `walk` to its end with one archive. `dups` is what its sender announced: wrongly
/// announced repeats end in a refusal, never in wrong bytes.
pub(crate) async fn receive(
    mut reader: CarReader,
    walk: &mut Walk,
    repeats: &dyn BlockSource,
    dups: Dups,
    out: Output<'_>,
) -> Result<u64, StoreError> {
    let place = repeats.place();
    let mut memory = Memory::default();
    let mut section: Option<Bytes> = None;
    let mut ended = false;
    while let Some(cid) = walk.expected() {
        if section.is_none() && !ended {
            section = reader.next().await.map_err(|e| lift(e, &cid, &place))?;
            ended = section.is_none();
        }
        let name = cid.to_bytes();
        let block = match section.take_if(|s| s.starts_with(&name)) {
            Some(section) => Block::from(section.slice(name.len()..)),
            None => memory.recall(&cid, repeats, ended).await?,
        };
        let block = block.check(&cid, &place)?;
        let data = walk.accept(block.clone(), &place)?;
        if dups == Dups::No {
            memory.keep(ids::digest(&cid)?, block);
        }
        write(out, &cid, &data).await?;
    }
    Ok(walk.size())
}

fn lift(error: CarError, cid: &Cid, place: &Place) -> StoreError {
    let place = place.clone();
    match error {
        CarError::Bad(reason) => StoreError::Refused { cid: (*cid).into(), place, reason },
        CarError::Cut(detail) => unreachable(cid, place, detail),
    }
}

fn unreachable(cid: &Cid, place: Place, detail: String) -> StoreError {
    StoreError::Unreachable { place, what: format!("block {cid} of an archive"), detail }
}

/// Blocks met so far: all their digests (to a bound), the latest of their bytes (to a bound).
#[derive(Default)]
struct Memory {
    seen: HashSet<Digest32>,
    blocks: HashMap<Digest32, Block>,
    order: VecDeque<Digest32>,
    bytes: usize,
}

impl Memory {
    /// A block the archive did not send at its turn: a repeat, or the archive is not what was
    /// asked for.
    async fn recall(&self, cid: &Cid, repeats: &dyn BlockSource, ended: bool) -> Result<Block, StoreError> {
        let digest = ids::digest(cid)?;
        if let Some(block) = self.blocks.get(&digest) {
            return Ok(block.clone());
        }
        if self.seen.contains(&digest) {
            return repeats.fetch(cid).await;
        }
        let place = repeats.place();
        if ended {
            return Err(unreachable(cid, place, "the archive ended early".into()));
        }
        Err(StoreError::Refused { cid: (*cid).into(), place, reason: Refusal::OutOfOrder })
    }

    fn keep(&mut self, digest: Digest32, block: Block) {
        if self.seen.len() < SEEN {
            self.seen.insert(digest);
        }
        if self.blocks.contains_key(&digest) {
            return;
        }
        // A fixed charge per entry keeps a cache of tiny blocks small as well.
        self.bytes += cost(&block);
        self.order.push_back(digest);
        self.blocks.insert(digest, block);
        while self.bytes > CACHE {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.blocks.remove(&oldest) {
                self.bytes -= cost(&gone);
            }
        }
    }
}

fn cost(block: &Block) -> usize {
    block.len() + 128
}
