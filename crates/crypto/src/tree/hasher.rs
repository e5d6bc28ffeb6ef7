//! Streaming: leaves go in, in order; one hash per row is kept.

use super::lanes::{LANES, leaf_hashes};
use super::{Hash, LEAF_WORDS, PADDING, height, leaf_hash, node_hash, root_hash};
use crate::error::{CryptoError, Result};

/// Rows of a growing tree: entry `k` is a full subtree of `2^k` units that waits for its right sibling.
#[derive(Debug, Clone, Default)]
struct Rows(Vec<Option<Hash>>);

impl Rows {
    fn push(&mut self, mut hash: Hash) {
        for row in &mut self.0 {
            match row.take() {
                Some(left) => hash = node_hash(&left, &hash),
                None => {
                    *row = Some(hash);
                    return;
                }
            }
        }
        self.0.push(Some(hash));
    }

    /// Pushes leaves of `length` bytes, of which the last may be shorter; returns how many.
    fn extend(&mut self, kind: u8, first: u64, length: usize, bytes: &[u8]) -> u64 {
        let mut index = first;
        let mut groups = bytes.chunks_exact(LANES * length);
        for group in &mut groups {
            leaf_hashes(kind, index, group).into_iter().for_each(|hash| self.push(hash));
            index += LANES as u64;
        }
        for leaf in groups.remainder().chunks(length) {
            self.push(leaf_hash(kind, index, leaf));
            index += 1;
        }
        index - first
    }

    /// The top of a tree of the given height, padded on the right with `pad` units.
    fn top(&self, height: u32, mut pad: Hash) -> Hash {
        let mut open: Option<Hash> = None;
        for level in 0..height as usize {
            open = match (self.0.get(level).copied().flatten(), open) {
                (Some(left), Some(right)) => Some(node_hash(&left, &right)),
                (Some(left), None) | (None, Some(left)) => Some(node_hash(&left, &pad)),
                (None, None) => None,
            };
            pad = node_hash(&pad, &pad);
        }
        let full = self.0.get(height as usize).copied().flatten();
        full.or(open).unwrap_or(pad)
    }
}

/// Hashes the leaves of one tree as they come.
#[derive(Debug, Clone)]
pub struct TreeHasher {
    kind: u8,
    leaves: u64,
    rows: Rows,
}

impl TreeHasher {
    /// An empty tree of this kind.
    pub fn new(kind: u8) -> Self {
        Self { kind, leaves: 0, rows: Rows::default() }
    }

    /// Appends the next leaf.
    pub fn push(&mut self, data: &[u8]) {
        self.rows.push(leaf_hash(self.kind, self.leaves, data));
        self.leaves += 1;
    }

    /// Appends packed words of `word_bytes` each. Whole leaves, but for the last of a vector.
    pub fn extend(&mut self, word_bytes: usize, bytes: &[u8]) {
        self.leaves += self.rows.extend(self.kind, self.leaves, LEAF_WORDS * word_bytes, bytes);
    }

    /// Leaves so far.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root of the leaves so far.
    pub fn finish(&self) -> Hash {
        let top = self.rows.top(height(self.leaves), PADDING);
        root_hash(self.kind, self.leaves, &top)
    }
}

/// Root over a list of leaf data.
pub fn root<D: AsRef<[u8]>>(kind: u8, leaves: impl IntoIterator<Item = D>) -> Hash {
    let mut hasher = TreeHasher::new(kind);
    leaves.into_iter().for_each(|leaf| hasher.push(leaf.as_ref()));
    hasher.finish()
}

/// Root over packed words of `word_bytes` each.
pub fn vector_root(kind: u8, word_bytes: usize, bytes: &[u8]) -> Hash {
    let mut hasher = TreeHasher::new(kind);
    hasher.extend(word_bytes, bytes);
    hasher.finish()
}

/// Subtree root of the aligned range of `size` leaves (a power of two) that starts at leaf `first`. A range at the
/// end of a vector may hold fewer leaves and is padded like the whole.
pub fn subtree_root<D: AsRef<[u8]>>(
    kind: u8,
    first: u64,
    size: u64,
    leaves: impl IntoIterator<Item = D>,
) -> Result<Hash> {
    range_root(first, size, |rows| {
        let hashes = (first..).zip(leaves).map(|(index, leaf)| leaf_hash(kind, index, leaf.as_ref()));
        hashes.map(|hash| rows.push(hash)).count() as u64
    })
}

/// [`subtree_root`] over packed words.
pub fn vector_subtree_root(kind: u8, word_bytes: usize, first: u64, size: u64, bytes: &[u8]) -> Result<Hash> {
    range_root(first, size, |rows| rows.extend(kind, first, LEAF_WORDS * word_bytes, bytes))
}

/// `fill` pushes the leaves of the range, and says how many.
fn range_root(first: u64, size: u64, fill: impl FnOnce(&mut Rows) -> u64) -> Result<Hash> {
    check_range(first, size)?;
    let mut rows = Rows::default();
    let count = fill(&mut rows);
    if count > size {
        return Err(wrong_count("leaves of a range", size, count));
    }
    Ok(rows.top(height(size), PADDING))
}

/// Root of a tree of `leaves` leaves from the subtree roots of its ranges of `size` leaves each.
///
/// `size` may not exceed the padded row, so that a short vector has one representation only.
pub fn root_from_subtrees(kind: u8, leaves: u64, size: u64, subtrees: &[Hash]) -> Result<Hash> {
    check_range(0, size)?;
    let (total, low) = (height(leaves), height(size));
    let expected = leaves.div_ceil(size);
    if low > total || expected != subtrees.len() as u64 {
        return Err(wrong_count("subtree roots", expected, subtrees.len() as u64));
    }
    let mut rows = Rows::default();
    subtrees.iter().for_each(|&s| rows.push(s));
    let pad = (0..low).fold(PADDING, |p, _| node_hash(&p, &p));
    Ok(root_hash(kind, leaves, &rows.top(total - low, pad)))
}

fn check_range(first: u64, size: u64) -> Result<()> {
    if size.is_power_of_two() && first.is_multiple_of(size) {
        Ok(())
    } else {
        Err(wrong_count("aligned range", first.next_power_of_two(), size))
    }
}

fn wrong_count(what: &'static str, expected: u64, actual: u64) -> CryptoError {
    CryptoError::Length { what, expected: expected as usize, actual: actual as usize }
}
