//! What a participant does to its update.
//!
//! Purpose: turn a vector of small integers into words that tell nothing unless t members of the committee answer.
//! Steps: a [`Secret`] is drawn for one update; block `j` becomes `floor((a_j·s + e + Δ·m mod q) / 4)`, 6 bytes a
//! word; four check blocks encrypt zero with all their bits; both vectors get a root.
//! Attacks answered:
//! - two updates under one secret (their difference would be public): the secret is derived from operating-system
//!   randomness, the round and the update, so a cloned machine draws another for another update, and
//!   [`encrypt_update`] takes the secret by value;
//! - a forged secret at the opening: one data block alone can be opened to anything, the check blocks fix `s`;
//! - ternary noise (Arora–Ge): noise is centred binomial with k = 32;
//! - values that wrap silently: scale and range are checked before anything is drawn;
//! - what memory keeps: the secret, the noise and the scratch blocks are wiped.
//!
//! Not protected: the number of blocks, and whether the update was refused.

mod noise;
mod secret;

use core::{array, fmt};

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{CryptoError, Result, expect_len};
use crate::matrix::{CHECK_BLOCKS, EpochSeed};
use crate::ring::{N, Poly, Q, product_intt, reduce};
use crate::tree::{self, Hash};
use crate::widest;
use crate::words::pack4;

pub use crate::words::{DATA_BLOCK_BYTES, DATA_WORD, DATA_WORD_MAX, DROP_BITS, WIDE_BLOCK_BYTES, check_data_block};
pub use noise::{NOISE_MAX, noise_rng};
pub(crate) use secret::uniform;
pub use secret::{Secret, update_digest};

/// Bytes of the check file of an upload.
pub const CHECK_BYTES: usize = CHECK_BLOCKS * WIDE_BLOCK_BYTES;

/// The message scale of a round and the bound of one coefficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    delta: u64,
    update_max: u32,
}

impl Params {
    /// Refuses a scale that is no power of two, or for which `2·U_max·Δ > q − Δ` (values would wrap silently).
    pub fn new(delta: u64, update_max: u32) -> Result<Self> {
        let range = u128::from(delta) * (2 * u128::from(update_max) + 1);
        if delta.is_power_of_two() && range <= u128::from(Q) {
            Ok(Self { delta, update_max })
        } else {
            Err(CryptoError::Scale { delta, update_max: update_max.into() })
        }
    }

    /// The message scale.
    pub fn delta(&self) -> u64 {
        self.delta
    }
}

/// An encrypted update: public bytes and their roots.
#[derive(Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// Data words of all blocks, 6 bytes each.
    pub data: Vec<u8>,
    /// Words of the check blocks, 8 bytes each.
    pub check: Vec<u8>,
    pub ciphertext_root: Hash,
    pub check_root: Hash,
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = self.data.len() / DATA_BLOCK_BYTES;
        f.debug_struct("Ciphertext").field("blocks", &blocks).finish_non_exhaustive()
    }
}

/// Encrypts a whole update and consumes its secret: deal the shares first.
pub fn encrypt_update(
    seed: &EpochSeed,
    secret: Secret,
    update: &[impl Copy + Into<i32>],
    params: &Params,
    rng: &mut impl CryptoRng,
) -> Result<Ciphertext> {
    check_range(update, params)?;
    let mut encryptor = Encryptor::new(*seed, secret, *params);
    let mut data = vec![0; update.len().div_ceil(N) * DATA_BLOCK_BYTES];
    let messages = update.chunks(N).zip(data.as_chunks_mut::<DATA_BLOCK_BYTES>().0);
    for (message, out) in messages {
        encryptor.next_block(message, rng, out)?;
    }
    let check = encryptor.finish(rng);
    Ok(Ciphertext {
        ciphertext_root: tree::vector_root(tree::kind::CIPHERTEXT, DATA_WORD, &data),
        check_root: tree::vector_root(tree::kind::CHECK, 8, &check),
        data,
        check,
    })
}

/// Encrypts an update block by block, for models too large to hold twice. It owns the secret and counts the blocks
/// itself, so that no block number ever takes two messages.
#[derive(Debug)]
pub struct Encryptor {
    seed: EpochSeed,
    secret: Secret,
    params: Params,
    next: u64,
    scratch: Scratch,
}

impl Encryptor {
    /// Starts at block 0.
    pub fn new(seed: EpochSeed, secret: Secret, params: Params) -> Self {
        Self { seed, secret, params, next: 0, scratch: Scratch::new() }
    }

    /// Encrypts the next block; a message shorter than a block is zero behind its end.
    pub fn next_block(
        &mut self,
        message: &[impl Copy + Into<i32>],
        rng: &mut impl CryptoRng,
        out: &mut [u8; DATA_BLOCK_BYTES],
    ) -> Result<()> {
        if message.len() > N {
            expect_len("message of a block", message.len(), N)?;
        }
        check_range(message, &self.params)?;
        self.seed.data_block_into(self.next, &mut self.scratch.matrix);
        self.next += 1;
        self.scratch.mask(&self.secret, rng);
        self.scratch.write_data(message, self.params.delta, out);
        Ok(())
    }

    /// The check blocks `a_k·s + e mod q`, after which the secret is gone.
    pub fn finish(mut self, rng: &mut impl CryptoRng) -> Vec<u8> {
        let mut check = vec![0; CHECK_BYTES];
        for (k, out) in check.chunks_exact_mut(WIDE_BLOCK_BYTES).enumerate() {
            self.seed.check_block_into(k as u64, &mut self.scratch.matrix);
            self.scratch.mask(&self.secret, rng);
            self.scratch.write_check(out);
        }
        check
    }
}

/// Compares every coefficient before it answers, so that time does not tell which one was too large.
fn check_range<M: Copy + Into<i32>>(update: &[M], params: &Params) -> Result<()> {
    let bad = |m: &M| (*m).into().unsigned_abs() > params.update_max;
    if widest(
        #[inline(always)]
        || update.iter().fold(false, |any, m| any | bad(m)),
    ) {
        // Our own update, and the run stops here.
        let position = update.iter().take_while(|m| !bad(m)).count();
        return Err(CryptoError::UpdateOutOfRange { position });
    }
    Ok(())
}

/// Buffers of one encryption, wiped at its end.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Scratch {
    matrix: Box<Poly>,
    words: Box<Poly>,
    noise: noise::Buffer,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch(redacted)")
    }
}

impl Scratch {
    fn new() -> Self {
        Self { matrix: crate::ring::zero_poly(), words: crate::ring::zero_poly(), noise: noise::Buffer::new() }
    }

    /// `words = a·s`, as coefficients below `2q`, and fresh noise.
    fn mask(&mut self, secret: &Secret, rng: &mut impl CryptoRng) {
        self.words.copy_from_slice(self.matrix.as_slice());
        product_intt(&mut self.words, secret.words());
        self.noise.refill(rng);
    }

    /// The masked words with noise, reduced: what a check block publishes.
    fn write_check(&self, out: &mut [u8]) {
        let noisy = self.words.iter().zip(self.noise.values());
        for (b, (&w, &e)) in out.as_chunks_mut::<8>().0.iter_mut().zip(noisy) {
            *b = with_noise(w, e).to_be_bytes();
        }
    }

    /// The same with the message, low bits dropped.
    fn write_data(&mut self, message: &[impl Copy + Into<i32>], delta: u64, out: &mut [u8; DATA_BLOCK_BYTES]) {
        widest(
            #[inline(always)]
            || self.write_words(message, delta, out),
        );
    }

    #[inline(always)]
    fn write_words(&mut self, message: &[impl Copy + Into<i32>], delta: u64, out: &mut [u8; DATA_BLOCK_BYTES]) {
        // A multiplication by Δ, a power of two. |Δ·m| ≤ q/2 by `Params`.
        let shift = delta.trailing_zeros();
        for (w, &m) in self.words.iter_mut().zip(message) {
            *w = w.wrapping_add((i64::from(m.into()) << shift) as u64);
        }
        let words = self.words.as_chunks::<4>().0.iter();
        let noise = self.noise.values().as_chunks::<4>().0;
        for (b, (w, e)) in out.as_chunks_mut::<24>().0.iter_mut().zip(words.zip(noise)) {
            pack4(array::from_fn(|i| with_noise(w[i], e[i]) >> DROP_BITS), b);
        }
    }
}

/// `w + e mod q`. With `w` above `−q/2`, adding q keeps the sum positive, and below 4q.
#[inline(always)]
fn with_noise(w: u64, e: i64) -> u64 {
    reduce(w.wrapping_add(Q).wrapping_add(e as u64))
}

#[cfg(test)]
mod tests;
