//! Words on the wire: big-endian, 6 bytes in ciphertexts, 8 everywhere else.
//!
//! Purpose: the only place that turns bytes into field elements and back.
//! Attack answered: a word outside its field. An 8-byte word must be below `q`; a ciphertext word is `floor(x/4)` of
//! some `x < q`, so it is at most `(q−1)/4`. A larger one would make a sum differ from what its opening lifts.
//! Lengths are compared before anything is read or allocated.

use crate::error::{CryptoError, Result, expect_len};
use crate::ring::{N, Poly, Q, zero_poly};
use crate::widest;

/// Low bits dropped from a data word.
pub const DROP_BITS: u32 = 2;
/// Bytes of a data word.
pub const DATA_WORD: usize = 6;
/// Bytes of a data block.
pub const DATA_BLOCK_BYTES: usize = N * DATA_WORD;
/// Bytes of a check block, a share or an answer.
pub const WIDE_BLOCK_BYTES: usize = N * 8;
/// The largest data word an encryption can produce.
pub const DATA_WORD_MAX: u64 = (Q - 1) >> DROP_BITS;

const LOW_48: u64 = (1 << 48) - 1;

/// Four data words from 24 bytes, read as three big-endian words.
#[inline(always)]
pub(crate) fn unpack4(b: &[u8; 24]) -> [u64; 4] {
    let w = |i: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&b[8 * i..8 * i + 8]);
        u64::from_be_bytes(eight)
    };
    let (x, y, z) = (w(0), w(1), w(2));
    [x >> 16, (x << 32 | y >> 32) & LOW_48, (y << 16 | z >> 48) & LOW_48, z & LOW_48]
}

/// The inverse of [`unpack4`], for words below `2^48`.
#[inline(always)]
pub(crate) fn pack4(w: [u64; 4], out: &mut [u8; 24]) {
    out[0..8].copy_from_slice(&(w[0] << 16 | w[1] >> 32).to_be_bytes());
    out[8..16].copy_from_slice(&(w[1] << 32 | w[2] >> 16).to_be_bytes());
    out[16..24].copy_from_slice(&(w[2] << 48 | w[3]).to_be_bytes());
}

/// The groups of four words of a data block, after the length check.
pub(crate) fn data_groups(block: &[u8]) -> Result<&[[u8; 24]]> {
    expect_len("data block", block.len(), DATA_BLOCK_BYTES)?;
    Ok(block.as_chunks::<24>().0)
}

/// The position of the first word out of range, for a block known to hold one.
pub(crate) fn malformed(block: &[u8]) -> CryptoError {
    let words = block.as_chunks::<24>().0.iter().flat_map(unpack4);
    CryptoError::WordOutOfRange { what: "data block", position: words.take_while(|&w| w <= DATA_WORD_MAX).count() }
}

/// Refuses a data block of the wrong length or with a malformed word.
pub fn check_data_block(block: &[u8]) -> Result<()> {
    let groups = data_groups(block)?;
    let bad = widest(
        #[inline(always)]
        || groups.iter().flat_map(unpack4).fold(0, |bad, word| bad | DATA_WORD_MAX.wrapping_sub(word)),
    );
    if bad >> 63 == 0 { Ok(()) } else { Err(malformed(block)) }
}

/// Reads 2048 reduced 8-byte words.
pub(crate) fn read_wide(what: &'static str, bytes: &[u8]) -> Result<Box<Poly>> {
    expect_len(what, bytes.len(), WIDE_BLOCK_BYTES)?;
    let mut out = zero_poly();
    for (position, (o, b)) in out.iter_mut().zip(bytes.as_chunks::<8>().0).enumerate() {
        *o = u64::from_be_bytes(*b);
        if *o >= Q {
            return Err(CryptoError::WordOutOfRange { what, position });
        }
    }
    Ok(out)
}

/// Writes words as 8 bytes each.
pub(crate) fn write_wide(words: &[u64], out: &mut [u8]) {
    for (w, b) in words.iter().zip(out.as_chunks_mut::<8>().0) {
        *b = w.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_big_endian_and_reversible() {
        let w = [0x0000_0102_0304_0506, LOW_48, 0, 0x0000_a1a2_a3a4_a5a6];
        let mut b = [0; 24];
        pack4(w, &mut b);
        let expected: Vec<u8> = w.iter().flat_map(|w| w.to_be_bytes()[2..].to_vec()).collect();
        assert_eq!(b.as_slice(), expected);
        assert_eq!(unpack4(&b), w);
    }

    #[test]
    fn data_words_from_a_quarter_of_q_are_malformed() {
        // ceil(q/4) is the first refused word.
        assert_eq!(DATA_WORD_MAX + 1, Q.div_ceil(4));
        let mut block = vec![0; DATA_BLOCK_BYTES];
        block[60..66].copy_from_slice(&DATA_WORD_MAX.to_be_bytes()[2..]);
        assert_eq!(check_data_block(&block), Ok(()));
        block[60..66].copy_from_slice(&(DATA_WORD_MAX + 1).to_be_bytes()[2..]);
        let refused = CryptoError::WordOutOfRange { what: "data block", position: 10 };
        assert_eq!(check_data_block(&block), Err(refused));
        assert!(check_data_block(&block[1..]).is_err());
    }
}
