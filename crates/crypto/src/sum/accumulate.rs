//! Sums of data words as plain integers, sums of check words modulo `q`.

use crate::encrypt::CHECK_BYTES;
use crate::error::{CryptoError, Result, expect_len};
use crate::matrix::CHECK_BLOCKS;
use crate::ring::{N, Q, add, mul};
use crate::widest;
use crate::words::{DATA_WORD_MAX, data_groups, malformed, unpack4};

/// The largest total weight: 65 535 words below `2^48` fit 64 bits.
pub const WEIGHT_MAX: u64 = 65_535;

fn add_weight(total: &mut u64, weight: u16) -> Result<()> {
    let sum = *total + u64::from(weight);
    if sum > WEIGHT_MAX {
        return Err(CryptoError::Weight { total: sum });
    }
    *total = sum;
    Ok(())
}

/// `Σ w_i c_i` over one data block, not reduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumBlock {
    words: Box<[u64; N]>,
    weight: u64,
}

impl Default for SumBlock {
    fn default() -> Self {
        Self::new()
    }
}

impl SumBlock {
    /// An empty sum.
    pub fn new() -> Self {
        Self { words: crate::ring::zero_poly(), weight: 0 }
    }

    /// Adds a participant's block. Refuses a malformed block or too large a weight and leaves the sum as it was.
    pub fn add(&mut self, block: &[u8], weight: u16) -> Result<()> {
        let groups = data_groups(block)?;
        let mut total = self.weight;
        add_weight(&mut total, weight)?;
        // Words are summed while they are checked; a refused block is taken out again, which wrapping makes exact.
        let bad = widest(
            #[inline(always)]
            || self.add_words(groups, weight.into()),
        );
        if bad >> 63 == 1 {
            self.add_words(groups, 0u64.wrapping_sub(weight.into()));
            return Err(malformed(block));
        }
        self.weight = total;
        Ok(())
    }

    /// Adds; the top bit of what it returns tells whether some word was out of range.
    #[inline(always)]
    fn add_words(&mut self, groups: &[[u8; 24]], weight: u64) -> u64 {
        let mut bad = 0;
        for (sums, b) in self.words.as_chunks_mut::<4>().0.iter_mut().zip(groups) {
            for (sum, w) in sums.iter_mut().zip(unpack4(b)) {
                bad |= DATA_WORD_MAX.wrapping_sub(w);
                *sum = sum.wrapping_add(w.wrapping_mul(weight));
            }
        }
        bad
    }

    /// The sums so far.
    pub fn words(&self) -> &[u64; N] {
        &self.words
    }

    /// The total weight so far.
    pub fn weight(&self) -> u64 {
        self.weight
    }
}

/// `Σ w_i c_i mod q` over the check blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSum {
    words: Vec<u64>,
    weight: u64,
}

impl Default for CheckSum {
    fn default() -> Self {
        Self::new()
    }
}

impl CheckSum {
    /// An empty sum.
    pub fn new() -> Self {
        Self { words: vec![0; CHECK_BLOCKS * N], weight: 0 }
    }

    /// Adds a participant's check file. Refuses a malformed one and leaves the sum as it was.
    pub fn add(&mut self, check: &[u8], weight: u16) -> Result<()> {
        let words = check_file(check)?;
        add_weight(&mut self.weight, weight)?;
        for (sum, b) in self.words.iter_mut().zip(words) {
            *sum = add(*sum, mul(u64::from_be_bytes(*b), weight.into()));
        }
        Ok(())
    }

    /// The sums so far: four blocks, one after another.
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

/// Refuses a check file of the wrong length or with a word not below `q`.
fn check_file(check: &[u8]) -> Result<&[[u8; 8]]> {
    expect_len("check file", check.len(), CHECK_BYTES)?;
    let words = check.as_chunks::<8>().0;
    match words.iter().position(|b| u64::from_be_bytes(*b) >= Q) {
        Some(position) => Err(CryptoError::WordOutOfRange { what: "check file", position }),
        None => Ok(words),
    }
}

/// Refuses a malformed check file.
pub fn validate_check_file(check: &[u8]) -> Result<()> {
    check_file(check).map(|_| ())
}
