//! Inner nodes of files that are read a range at a time: each range leads through them again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use cid::Cid;

use crate::{Block, MAX_BLOCK, ids::DAG_PB};

/// Nodes of so many files; a node of a file of a gigabyte has 50 kB.
const NODES: usize = 16;
/// What they take together.
const MOST: usize = 2 * MAX_BLOCK;

/// The latest, verified. What a CID names does not change, so none is ever out of date.
#[derive(Debug, Default)]
pub(super) struct Nodes(Mutex<VecDeque<(Cid, Block)>>);

impl Nodes {
    pub(super) fn get(&self, cid: &Cid) -> Option<Block> {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().find(|(known, _)| known == cid).map(|(_, block)| block.clone())
    }

    /// Keeps it if it is a node.
    pub(super) fn keep(&self, cid: &Cid, block: &Block) {
        if cid.codec() != DAG_PB {
            return;
        }
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|(known, _)| known != cid);
        nodes.push_back((*cid, block.clone()));
        while nodes.len() > NODES || nodes.iter().map(|(_, block)| block.len()).sum::<usize>() > MOST {
            nodes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ids::{RAW, cid_from_digest, sha256};

    fn node(codec: u64, bytes: Vec<u8>) -> (Cid, Block) {
        (cid_from_digest(codec, &sha256(&bytes)), Block::from(Bytes::from(bytes)))
    }

    #[test]
    fn the_latest_nodes_are_kept_within_bounds() {
        let nodes = Nodes::default();
        let (leaf, block) = node(RAW, vec![1]);
        nodes.keep(&leaf, &block);
        assert!(nodes.get(&leaf).is_none(), "a leaf is read once");
        let small: Vec<(Cid, Block)> = (0..=NODES as u8).map(|i| node(DAG_PB, vec![i])).collect();
        small.iter().for_each(|(cid, block)| nodes.keep(cid, block));
        assert!(nodes.get(&small[0].0).is_none() && small[1..].iter().all(|(cid, _)| nodes.get(cid).is_some()));
        let (large, block) = node(DAG_PB, vec![9; MOST]);
        nodes.keep(&large, &block);
        assert!(nodes.get(&large).is_some() && nodes.get(&small[NODES].0).is_none());
    }
}
