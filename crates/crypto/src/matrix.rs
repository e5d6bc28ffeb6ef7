//! The public matrix of an epoch.
//!
//! Purpose: every encryption of an epoch multiplies its secret by the same public blocks `a_j`, which nobody chose.
//! Steps: [`EpochSeed::derive`] hashes chain, contract, federation, epoch and beacon; block `j` is the AES-128-CTR
//! keystream under the first 16 bytes, taken directly as transform values. Data and check blocks have domains.
//! Attack answered: a matrix with a trapdoor. The seed depends on a block hash drawn after the federation exists,
//! and [`matrix_root`] is registered once per epoch and recomputed by every site before it encrypts.
//! Not protected: the words are public, so the rare rejection of a word is not constant time and need not be.

use aes::Aes128;
use ctr::Ctr32BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};

use crate::ring::{MASK, N, Poly, Q, zero_poly};
use crate::tree::{self, Hash};
use crate::widest;
use crate::words::{WIDE_BLOCK_BYTES, write_wide};

/// Check blocks of every upload: encryptions of zero that make an opened secret unique.
pub const CHECK_BLOCKS: usize = 4;

const SEED_LABEL: &[u8] = b"almoner/epoch/v0";
const DATA_DOMAIN: u32 = 1;
const CHECK_DOMAIN: u32 = 2;

/// Number of data blocks for `d` parameters.
pub fn blocks(d: usize) -> usize {
    d.div_ceil(N)
}

/// The public seed of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochSeed(pub [u8; 32]);

impl EpochSeed {
    /// SHA-256 over the label and where the epoch was drawn.
    pub fn derive(chain_id: u64, federations: &[u8; 20], federation: u64, epoch: u32, beacon: &[u8; 32]) -> Self {
        let mut h = Sha256::new();
        h.update(SEED_LABEL);
        h.update(chain_id.to_be_bytes());
        h.update(federations);
        h.update(federation.to_be_bytes());
        h.update(epoch.to_be_bytes());
        h.update(beacon);
        Self(h.finalize().into())
    }

    /// Data block `a_j`, in the transform domain.
    pub fn data_block(&self, j: u64) -> Box<Poly> {
        let mut out = zero_poly();
        self.expand(DATA_DOMAIN, j, &mut out);
        out
    }

    /// Check block `a_k`, in the transform domain.
    pub fn check_block(&self, k: u64) -> Box<Poly> {
        let mut out = zero_poly();
        self.expand(CHECK_DOMAIN, k, &mut out);
        out
    }

    /// As [`data_block`](Self::data_block), into a buffer.
    pub(crate) fn data_block_into(&self, j: u64, out: &mut Poly) {
        self.expand(DATA_DOMAIN, j, out);
    }

    /// As [`check_block`](Self::check_block), into a buffer.
    pub(crate) fn check_block_into(&self, k: u64, out: &mut Poly) {
        self.expand(CHECK_DOMAIN, k, out);
    }

    fn expand(&self, domain: u32, j: u64, out: &mut Poly) {
        let mut stream = self.stream(domain, j);
        let mut bytes = [0; WIDE_BLOCK_BYTES];
        stream.write_keystream(&mut bytes);
        let any_above = widest(
            #[inline(always)]
            || {
                let words = out.iter_mut().zip(bytes.as_chunks::<8>().0);
                words.fold(0, |any_above, (o, b)| {
                    *o = u64::from_be_bytes(*b) & MASK;
                    any_above | (Q - 1).wrapping_sub(*o)
                })
            },
        );
        if any_above >> 63 == 1 {
            replace_rejected(out, || next_word(&mut stream));
        }
    }

    fn stream(&self, domain: u32, j: u64) -> Ctr32BE<Aes128> {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0[..16]);
        let mut counter = [0; 16];
        counter[..4].copy_from_slice(&domain.to_be_bytes());
        counter[4..12].copy_from_slice(&j.to_be_bytes());
        Ctr32BE::<Aes128>::new(&key.into(), &counter.into())
    }
}

fn next_word(stream: &mut impl StreamCipher) -> u64 {
    let mut b = [0; 8];
    stream.write_keystream(&mut b);
    u64::from_be_bytes(b) & MASK
}

/// Replaces the words not below `q`, in order of position, by the further words of the stream that are.
fn replace_rejected(words: &mut Poly, mut next: impl FnMut() -> u64) {
    for w in words.iter_mut() {
        while *w >= Q {
            *w = next();
        }
    }
}

/// Root over all words of the data blocks `0 … data_blocks−1`, then of the check blocks.
pub fn matrix_root(seed: &EpochSeed, data_blocks: u64) -> Hash {
    let mut hasher = tree::TreeHasher::new(tree::kind::MATRIX);
    let mut words = zero_poly();
    let mut bytes = vec![0; WIDE_BLOCK_BYTES];
    let all = (0..data_blocks).map(|j| (DATA_DOMAIN, j));
    for (domain, j) in all.chain((0..CHECK_BLOCKS as u64).map(|k| (CHECK_DOMAIN, k))) {
        seed.expand(domain, j, &mut words);
        write_wide(&*words, &mut bytes);
        hasher.extend(8, &bytes);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
