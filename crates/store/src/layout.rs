//! Builds the UnixFS DAG of a file: fixed-size chunks as raw leaves, a balanced tree of dag-pb
//! nodes over them, CIDv1. The published layout is [`Layout::V1_2025`]; smaller ones exist so
//! that tests reach several levels with a few kilobytes.

use std::io::Read;

use bytes::Bytes;
use cid::Cid;

use crate::{
    MAX_BLOCK, StoreError,
    ids::{DAG_PB, RAW, cid_from_digest, sha256},
    pb::{Link, encode_inner},
};

/// Chunk size and links per node. Both are part of a file's identity: another layout gives the
/// same bytes another CID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    chunk: usize,
    width: usize,
}

impl Layout {
    /// The profile `unixfs-v1-2025` (IPIP-499): 1 MiB chunks, 1024 links, raw leaves, CIDv1.
    pub const V1_2025: Self = Self { chunk: 1 << 20, width: 1024 };

    /// A layout of another size, `None` if its blocks could exceed [`MAX_BLOCK`] or its tree
    /// would not shrink from level to level.
    pub fn custom(chunk: usize, width: usize) -> Option<Self> {
        // An encoded link with its block size takes under 80 bytes.
        let fits = (1..=MAX_BLOCK).contains(&chunk) && (2..=MAX_BLOCK / 80).contains(&width);
        fits.then_some(Self { chunk, width })
    }
}

/// Receives every block of a file once per occurrence, children before their parent.
pub(crate) type Sink<'a> = dyn FnMut(Cid, Bytes) -> Result<(), StoreError> + 'a;

/// The CID of `bytes` under `layout`; nothing is stored.
pub fn cid_of(bytes: &[u8], layout: Layout) -> Cid {
    let mut hasher = CidHasher::new(layout);
    hasher.write(bytes);
    hasher.finish()
}

/// [`cid_of`] for bytes that come in pieces; one chunk of them is held.
#[derive(Debug)]
pub struct CidHasher(Chunker);

impl CidHasher {
    pub fn new(layout: Layout) -> Self {
        Self(Chunker::new(layout))
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        // Cannot fail: only the sink returns errors, and this one returns none.
        self.0.write(bytes, &mut |_, _| Ok(())).expect("a sink that accepts everything");
    }

    /// The CID of the bytes so far.
    pub fn finish(self) -> Cid {
        // Cannot fail, for the same reason.
        self.0.finish(&mut |_, _| Ok(())).expect("a sink that accepts everything")
    }
}

/// Receives every block by reference.
type Keep<'a> = dyn FnMut(&Cid, &[u8]) -> Result<(), StoreError> + 'a;

/// Cuts bytes that come in pieces into leaves and builds the tree over them.
#[derive(Debug)]
pub(crate) struct Chunker {
    size: usize,
    builder: Builder,
    chunk: Vec<u8>,
}

impl Chunker {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { size: layout.chunk, builder: Builder::new(layout), chunk: Vec::new() }
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8], keep: &mut Keep<'_>) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            // A whole chunk is not copied.
            if self.chunk.is_empty() && bytes.len() >= self.size {
                let (whole, rest) = bytes.split_at(self.size);
                self.builder.keep_leaf(whole, keep)?;
                bytes = rest;
                continue;
            }
            let (head, rest) = bytes.split_at(bytes.len().min(self.size - self.chunk.len()));
            self.chunk.extend_from_slice(head);
            bytes = rest;
            if self.chunk.len() == self.size {
                self.builder.keep_leaf(&self.chunk, keep)?;
                self.chunk.clear();
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self, keep: &mut Keep<'_>) -> Result<Cid, StoreError> {
        // The empty file is one empty leaf; no other file has an empty leaf.
        if !self.chunk.is_empty() || self.builder.is_empty() {
            self.builder.keep_leaf(&self.chunk, keep)?;
        }
        self.builder.finish(&mut |cid, block| keep(&cid, &block))
    }
}

/// Builds the DAG of bytes in memory; leaves share the caller's buffer.
pub(crate) fn build(bytes: &Bytes, layout: Layout, sink: &mut Sink<'_>) -> Result<Cid, StoreError> {
    let mut builder = Builder::new(layout);
    for range in chunks(bytes.len(), layout.chunk) {
        builder.chunk(bytes.slice(range), sink)?;
    }
    builder.finish(sink)
}

/// Builds the DAG of a stream, one chunk in memory at a time. `on_error` names the stream.
pub(crate) fn build_from(
    input: &mut dyn Read,
    layout: Layout,
    on_error: &dyn Fn(std::io::Error) -> StoreError,
    sink: &mut Sink<'_>,
) -> Result<Cid, StoreError> {
    let mut builder = Builder::new(layout);
    let mut first = true;
    loop {
        let mut chunk = Vec::with_capacity(layout.chunk);
        (&mut *input).take(layout.chunk as u64).read_to_end(&mut chunk).map_err(on_error)?;
        // The empty file is one empty leaf; no other file has an empty leaf.
        if chunk.is_empty() && !first {
            break;
        }
        first = false;
        let last = chunk.len() < layout.chunk;
        builder.chunk(chunk.into(), sink)?;
        if last {
            break;
        }
    }
    builder.finish(sink)
}

fn chunks(len: usize, chunk: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = len.div_ceil(chunk).max(1);
    (0..count).map(move |i| i * chunk..len.min((i + 1) * chunk))
}

/// A link to a block just made. `below` is what its own links count already.
fn link(codec: u64, block: &[u8], size: u64, below: u64) -> Link {
    let cid = cid_from_digest(codec, &sha256(block));
    Link { cid, size, total: below + block.len() as u64 }
}

/// The link to a leaf.
fn leaf(chunk: &[u8]) -> Link {
    link(RAW, chunk, chunk.len() as u64, 0)
}

/// One list of finished children per level; a full list becomes a node when one more arrives.
#[derive(Debug)]
struct Builder {
    width: usize,
    levels: Vec<Vec<Link>>,
}

impl Builder {
    fn new(layout: Layout) -> Self {
        Self { width: layout.width, levels: vec![Vec::new()] }
    }

    fn chunk(&mut self, chunk: Bytes, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let leaf = leaf(&chunk);
        sink(leaf.cid, chunk)?;
        self.leaf(leaf, sink)
    }

    fn is_empty(&self) -> bool {
        self.levels.iter().all(Vec::is_empty)
    }

    fn leaf(&mut self, leaf: Link, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.push(0, leaf, sink)
    }

    fn keep_leaf(&mut self, chunk: &[u8], keep: &mut Keep<'_>) -> Result<(), StoreError> {
        let leaf = leaf(chunk);
        keep(&leaf.cid, chunk)?;
        self.leaf(leaf, &mut |cid, block| keep(&cid, &block))
    }

    fn push(&mut self, level: usize, link: Link, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        if self.levels[level].len() == self.width {
            self.close(level, sink)?;
        }
        self.levels[level].push(link);
        Ok(())
    }

    /// Makes the children waiting at `level` into one node a level higher.
    fn close(&mut self, level: usize, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let children = std::mem::take(&mut self.levels[level]);
        let block = encode_inner(&children);
        let size = children.iter().map(|c| c.size).sum();
        let node = link(DAG_PB, &block, size, children.iter().map(|c| c.total).sum());
        sink(node.cid, block.into())?;
        self.push(level + 1, node, sink)
    }

    fn finish(mut self, sink: &mut Sink<'_>) -> Result<Cid, StoreError> {
        let mut level = 0;
        loop {
            let top = level + 1 == self.levels.len();
            if let (true, [only]) = (top, self.levels[level].as_slice()) {
                return Ok(only.cid);
            }
            if !self.levels[level].is_empty() {
                self.close(level, sink)?;
            }
            level += 1;
        }
    }
}

#[cfg(test)]
mod tests;
