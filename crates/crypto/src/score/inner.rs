//! Inner products of a ciphertext with a direction, block by block.

use super::Direction;
use crate::error::{Result, expect_len};
use crate::ring::{N, add, from_i128, mul, reduce};
use crate::widest;
use crate::words::{DATA_WORD_MAX, DROP_BITS, data_groups, malformed, unpack4};

/// Groups of four words summed before the sum leaves 64 bits: `128 · 2^48 · 2^7 ≤ 2^62`.
const GROUPS_PER_SUM: usize = 32;

/// `Σ c_i·g_i mod q` over one data block; a direction shorter than the block is zero behind its end.
pub fn inner_partial(block: &[u8], entries: &[i8]) -> Result<u64> {
    if entries.len() > N {
        expect_len("direction entries of a block", entries.len(), N)?;
    }
    let mut padded = [0i8; N];
    padded[..entries.len()].copy_from_slice(entries);
    let groups = data_groups(block)?;
    let (total, bad) = widest(
        #[inline(always)]
        || products(groups, &padded),
    );
    if bad >> 63 == 1 {
        return Err(malformed(block));
    }
    Ok(from_i128(total))
}

/// The sum, and a word whose top bit tells whether some word was out of range.
#[inline(always)]
fn products(groups: &[[u8; 24]], entries: &[i8; N]) -> (i128, u64) {
    let words = groups.chunks(GROUPS_PER_SUM);
    let entries = entries.as_chunks::<4>().0.chunks(GROUPS_PER_SUM);
    let (mut total, mut bad) = (0i128, 0);
    for (words, entries) in words.zip(entries) {
        let mut sum = 0i64;
        for (b, g) in words.iter().zip(entries) {
            for (w, &g) in unpack4(b).into_iter().zip(g) {
                bad |= DATA_WORD_MAX.wrapping_sub(w);
                sum = sum.wrapping_add((w as i64).wrapping_mul(g.into()));
            }
        }
        total += i128::from(sum);
    }
    (total, bad)
}

/// `2^b·<c, g> + mid mod q` from the sum of the partial products over all blocks, `mid = floor(Σ g·(2^b−1)/2)`: the
/// middle of what dropping `b` bits took away.
pub fn finish_inner(raw: u64, direction: &Direction) -> u64 {
    let mid = (i128::from(direction.sum()) * ((1 << DROP_BITS) - 1)).div_euclid(2);
    add(mul(reduce(raw), 1 << DROP_BITS), from_i128(mid))
}
