//! Paths: that a leaf stands at an index of a tree of known size.

use super::{Hash, PADDING, height, leaf_hash, node_hash, root_hash};

/// Siblings of leaf `index`, from the leaf row upwards, given all leaf hashes; `None` if there is no such leaf.
pub fn proof(leaf_hashes: &[Hash], index: u64) -> Option<Vec<Hash>> {
    let mut at = usize::try_from(index).ok().filter(|&i| i < leaf_hashes.len())?;
    let mut row = leaf_hashes.to_vec();
    let mut pad = PADDING;
    let mut siblings = Vec::new();
    for _ in 0..height(leaf_hashes.len() as u64) {
        siblings.push(row.get(at ^ 1).copied().unwrap_or(pad));
        row = row.chunks(2).map(|pair| node_hash(&pair[0], pair.get(1).unwrap_or(&pad))).collect();
        pad = node_hash(&pad, &pad);
        at /= 2;
    }
    Some(siblings)
}

/// Whether `data` is leaf `index` of the tree of `leaves` leaves with this root.
pub fn verify(root: &Hash, kind: u8, leaves: u64, index: u64, data: &[u8], siblings: &[Hash]) -> bool {
    if index >= leaves || siblings.len() != height(leaves) as usize {
        return false;
    }
    let mut hash = leaf_hash(kind, index, data);
    for (level, sibling) in siblings.iter().enumerate() {
        hash = match index >> level & 1 {
            0 => node_hash(&hash, sibling),
            _ => node_hash(sibling, &hash),
        };
    }
    root_hash(kind, leaves, &hash) == *root
}
