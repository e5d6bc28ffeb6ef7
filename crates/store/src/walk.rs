//! Reads a DAG in depth-first order, trusting the root CID and nothing else.
//!
//! A [`Walk`] is a value without I/O: it says which block comes next, and takes that block or
//! refuses it. Whoever drives it may get blocks from anywhere, and may change the source in
//! mid-file, since a refusal leaves the walk as it was.
//!
//! | attack | answer |
//! |---|---|
//! | wrong bytes for a block | hashed before a byte is parsed or passed on |
//! | blocks of another file, or out of order | only the next expected CID is asked for |
//! | sizes that lie, overflow or exceed the caller's bound | each child must have the size its parent says; the root's is compared with the bound before the first child |
//! | endless trees of tiny or empty nodes | no empty child, a depth limit, and inner nodes may not outweigh the file |
//!
//! Not protected: a publisher may still choose a clumsy layout within those limits.

use bytes::Bytes;
use cid::Cid;

use crate::{
    Block, MAX_DEPTH, Malformed, Refusal, StoreError,
    error::Place,
    ids::{self, RAW},
    pb::{self, Child, Node},
};

/// Inner nodes may weigh as much as the file and this much more.
pub(crate) const NODE_ALLOWANCE: u64 = 4 << 20;

#[derive(Clone, Debug)]
struct Expected {
    cid: Cid,
    /// What the parent says; only the root has none.
    size: Option<u64>,
    depth: u8,
}

#[derive(Debug)]
pub(crate) struct Walk {
    root: Cid,
    max: u64,
    /// The next block last.
    stack: Vec<Expected>,
    fresh: bool,
    /// The file's size, once the root is known.
    size: u64,
    nodes: u64,
}

impl Walk {
    /// Starts at an accepted CID; a file larger than `max` bytes is refused at its root.
    pub(crate) fn new(root: &Cid, max: u64) -> Result<Self, StoreError> {
        ids::digest(root)?;
        let stack = vec![Expected { cid: *root, size: None, depth: 0 }];
        Ok(Self { root: *root, max, stack, fresh: true, size: 0, nodes: 0 })
    }

    /// The CID of the only block that [`Walk::accept`] will take now; `None` at the end.
    pub(crate) fn expected(&self) -> Option<Cid> {
        self.stack.last().map(|e| e.cid)
    }

    /// Has no block been accepted yet?
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The file's size; final once the root has been accepted.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Takes the expected block and returns the file bytes in it (none for an inner node).
    pub(crate) fn accept(&mut self, block: Block, place: &Place) -> Result<Bytes, StoreError> {
        let Some(expected) = self.stack.last().cloned() else {
            let reason = Refusal::OutOfOrder;
            return Err(StoreError::Refused { cid: self.root.into(), place: place.clone(), reason });
        };
        let block = block.open(&expected.cid, place)?;
        let step = open(&expected.cid, &block).map_err(|reason| self.malformed(reason))?;
        if let Some(size) = expected.size
            && size != step.size()
        {
            return Err(self.malformed(Malformed::Sizes));
        }
        if self.fresh {
            self.bound(step.size())?;
        }
        match step {
            Step::Data(data) => {
                self.stack.pop();
                self.fresh = false;
                Ok(data)
            }
            Step::Inner(children, _) => {
                self.descend(&expected, block.len() as u64, children)?;
                Ok(Bytes::new())
            }
        }
    }

    fn bound(&mut self, size: u64) -> Result<(), StoreError> {
        if size > self.max {
            return Err(StoreError::TooLarge { cid: self.root.into(), size, max: self.max });
        }
        self.size = size;
        Ok(())
    }

    fn descend(&mut self, parent: &Expected, weight: u64, children: Vec<Child>) -> Result<(), StoreError> {
        if usize::from(parent.depth) >= MAX_DEPTH {
            return Err(self.malformed(Malformed::TooDeep));
        }
        let nodes = self.nodes.saturating_add(weight);
        if nodes > self.size.saturating_add(NODE_ALLOWANCE) {
            return Err(self.malformed(Malformed::TooManyNodes));
        }
        self.nodes = nodes;
        self.fresh = false;
        self.stack.pop();
        let depth = parent.depth + 1;
        let expect = |c: Child| Expected { cid: c.cid, size: Some(c.size), depth };
        self.stack.extend(children.into_iter().rev().map(expect));
        Ok(())
    }

    fn malformed(&self, reason: Malformed) -> StoreError {
        StoreError::Malformed { cid: self.root.into(), reason }
    }
}

/// A verified block, opened.
pub(crate) enum Step {
    Data(Bytes),
    /// Children and the sum of their sizes.
    Inner(Vec<Child>, u64),
}

impl Step {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Inner(_, size) => *size,
        }
    }

    pub(crate) fn into_children(self) -> Vec<Child> {
        match self {
            Self::Data(_) => Vec::new(),
            Self::Inner(children, _) => children,
        }
    }
}

/// Opens a block whose hash has been checked.
pub(crate) fn open(cid: &Cid, block: &Bytes) -> Result<Step, Malformed> {
    if cid.codec() == RAW {
        return Ok(Step::Data(block.clone()));
    }
    match pb::decode(block)? {
        Node::Leaf(range) => Ok(Step::Data(block.slice(range))),
        Node::Inner(children) => {
            // Cannot overflow: the decoder refused sums beyond 64 bits.
            let size = children.iter().map(|c| c.size).sum();
            Ok(Step::Inner(children, size))
        }
    }
}

#[cfg(test)]
mod tests;
