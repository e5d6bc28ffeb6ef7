//! The settle tree: positional, with sums of pay in its nodes, so that the root also states what a round pays.

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;

use crate::Error;
use crate::types::SettleItem;

/// A node: its hash and the pay below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettleNode {
    pub hash: B256,
    pub sum: u128,
}

/// All levels, leaves first; the lowest is padded with empty nodes to a power of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleTree {
    items: u32,
    levels: Vec<Vec<SettleNode>>,
}

/// `keccak256(0x00 ‖ abi.encode(SettleItem))` and the pay.
pub fn settle_leaf(item: &SettleItem) -> SettleNode {
    SettleNode { hash: keccak256([&[0][..], &item.abi_encode()].concat()), sum: item.pay }
}

/// `keccak256(0x01 ‖ left ‖ leftSum ‖ right ‖ rightSum)`.
fn parent(left: SettleNode, right: SettleNode) -> Result<SettleNode, Error> {
    let mut bytes = vec![1];
    for node in [left, right] {
        bytes.extend_from_slice(node.hash.as_slice());
        bytes.extend_from_slice(&node.sum.to_be_bytes());
    }
    let sum = left.sum.checked_add(right.sum).ok_or(Error::Overflow("sum of pay"))?;
    Ok(SettleNode { hash: keccak256(bytes), sum })
}

/// `keccak256(0x02 ‖ n ‖ top ‖ topSum)`.
fn close(items: u32, top: SettleNode) -> B256 {
    let mut bytes = vec![2];
    bytes.extend_from_slice(&items.to_be_bytes());
    bytes.extend_from_slice(top.hash.as_slice());
    bytes.extend_from_slice(&top.sum.to_be_bytes());
    keccak256(bytes)
}

impl SettleTree {
    pub fn new(items: &[SettleItem]) -> Result<Self, Error> {
        let count = u32::try_from(items.len()).map_err(|_| Error::Overflow("settle list"))?;
        let mut row: Vec<SettleNode> = items.iter().map(settle_leaf).collect();
        row.resize(items.len().next_power_of_two(), SettleNode::default());
        let mut levels = vec![row];
        while let Some(row) = levels.last().filter(|row| row.len() > 1) {
            let above = row.chunks_exact(2).map(|pair| parent(pair[0], pair[1])).collect::<Result<_, _>>()?;
            levels.push(above);
        }
        Ok(Self { items: count, levels })
    }

    fn top(&self) -> SettleNode {
        self.levels.last().and_then(|row| row.first()).copied().unwrap_or_default()
    }

    pub fn root(&self) -> B256 {
        close(self.items, self.top())
    }

    /// What the round pays.
    pub fn total(&self) -> u128 {
        self.top().sum
    }

    /// Siblings of leaf `index`, from the leaves up.
    pub fn proof(&self, index: u32) -> Option<Vec<SettleNode>> {
        let mut at = usize::try_from(index).ok().filter(|_| index < self.items)?;
        let mut siblings = Vec::new();
        for row in self.levels.iter().filter(|row| row.len() > 1) {
            siblings.push(*row.get(at ^ 1)?);
            at /= 2;
        }
        Some(siblings)
    }
}

/// Whether `item` stands at its index in the tree of `items` leaves under `root`.
pub fn verify_settle(root: B256, items: u32, item: &SettleItem, siblings: &[SettleNode]) -> bool {
    let depth = items.checked_next_power_of_two().map(u32::trailing_zeros);
    if item.index >= items || depth.is_none_or(|depth| siblings.len() != depth as usize) {
        return false;
    }
    let mut node = settle_leaf(item);
    for (level, sibling) in siblings.iter().enumerate() {
        let (left, right) = if item.index >> level & 1 == 0 { (node, *sibling) } else { (*sibling, node) };
        match parent(left, right) {
            Ok(above) => node = above,
            Err(_) => return false,
        }
    }
    close(items, node) == root
}
