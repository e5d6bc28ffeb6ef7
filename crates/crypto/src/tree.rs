//! SHA-256 trees: how everything published is committed to.
//!
//! Purpose: one root for a vector of words or a list of items, hashable leaf by leaf and by ranges of blocks, so that
//! workers that never meet produce the root of the whole.
//! Steps: leaves are hashed with their kind and index, rows are padded with 32 zero bytes to a power of two, and the
//! top is hashed with the kind and the number of leaves.
//! Attacks answered: a node passed off as a leaf (prefixes 0, 1, 2), a leaf moved to another place (index), a vector
//! of one kind read as another (kind), a shorter vector with the same padded row (count).
//! Not protected: a root hides nothing. Leaves with little entropy are salted by whoever makes them.

mod hasher;
mod lanes;
mod proof;

use sha2::{Digest, Sha256};

pub use hasher::{TreeHasher, root, root_from_subtrees, subtree_root, vector_root, vector_subtree_root};
pub use lanes::LANES;
pub use proof::{proof, verify};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Words of a vector in one leaf.
pub const LEAF_WORDS: usize = 128;

/// Kinds of vectors. Lists have kinds of their own, below 0x20.
pub mod kind {
    pub const CIPHERTEXT: u8 = 0x20;
    pub const CHECK: u8 = 0x21;
    pub const SUM: u8 = 0x22;
    pub const MODEL: u8 = 0x23;
    pub const MATRIX: u8 = 0x24;
    pub const SHARES: u8 = 0x25;
}

const PADDING: Hash = [0; 32];

/// Hash of leaf `index` of a tree of this kind.
pub fn leaf_hash(kind: u8, index: u64, data: &[u8]) -> Hash {
    let mut h = Sha256::new();
    h.update(leaf_head(kind, index));
    h.update(data);
    h.finalize().into()
}

/// What is hashed before the data of a leaf.
fn leaf_head(kind: u8, index: u64) -> [u8; 10] {
    let mut head = [0; 10];
    head[1] = kind;
    head[2..].copy_from_slice(&index.to_be_bytes());
    head
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 65];
    bytes[0] = 1;
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

fn root_hash(kind: u8, leaves: u64, top: &Hash) -> Hash {
    let mut h = Sha256::new();
    h.update([2, kind]);
    h.update(leaves.to_be_bytes());
    h.update(top);
    h.finalize().into()
}

/// Rows above the leaves of a tree of this many: `ceil(log2 n)`, 0 for none.
fn height(leaves: u64) -> u32 {
    match leaves {
        0 | 1 => 0,
        n => u64::BITS - (n - 1).leading_zeros(),
    }
}

#[cfg(test)]
mod tests;
