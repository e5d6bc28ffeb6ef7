//! Centred binomial noise, k = 32: of 8 random bytes as a big-endian word, popcount of the low half minus popcount of
//! the high half. Sigma 4, never beyond 32, no branch and no table.

use chacha20::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::ring::N;
use crate::widest;

/// The largest absolute value of the noise.
pub const NOISE_MAX: i64 = 32;

const NOISE_LABEL: &[u8] = b"almoner/noise/v0";

/// The generator of an upload's noise, bound to the update like the secret: the same randomness met twice gives the
/// same ciphertext, never a second noise under the same secret.
pub fn noise_rng(os_randomness: &[u8; 32], ctx: &[u8; 32], update_digest: &[u8; 32]) -> ChaCha20Rng {
    seeded(NOISE_LABEL, os_randomness, ctx, update_digest)
}

/// ChaCha20 under `SHA-256(label ‖ OS randomness ‖ ctx ‖ update digest)`.
pub(super) fn seeded(label: &[u8], os: &[u8; 32], ctx: &[u8; 32], digest: &[u8; 32]) -> ChaCha20Rng {
    let mut h = Sha256::new();
    h.update(label);
    h.update(os);
    h.update(ctx);
    h.update(digest);
    let seed = Zeroizing::new(<[u8; 32]>::from(h.finalize()));
    ChaCha20Rng::from_seed(*seed)
}

/// One block of noise and the random bytes it came from.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Buffer {
    bytes: Box<[u8; 8 * N]>,
    values: Box<[i64; N]>,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { bytes: Box::new([0; 8 * N]), values: Box::new([0; N]) }
    }

    pub(super) fn refill(&mut self, rng: &mut impl CryptoRng) {
        rng.fill_bytes(self.bytes.as_mut_slice());
        let words = self.values.iter_mut().zip(self.bytes.as_chunks::<8>().0);
        widest(
            #[inline(always)]
            || {
                for (v, b) in words {
                    *v = from_bytes(*b);
                }
            },
        );
    }

    pub(super) fn values(&self) -> &[i64; N] {
        &self.values
    }
}

/// Read little-endian, the halves change places; complementing the one to be subtracted leaves a single popcount.
#[inline(always)]
fn from_bytes(b: [u8; 8]) -> i64 {
    let x = u64::from_le_bytes(b) ^ 0xffff_ffff;
    i64::from(x.count_ones()) - NOISE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_difference_of_two_popcounts() {
        for word in [0, u64::MAX, 0xffff_ffff, 0x1234_5678_9abc_def0] {
            let (low, high) = (word as u32, (word >> 32) as u32);
            let expected = i64::from(low.count_ones()) - i64::from(high.count_ones());
            assert_eq!(from_bytes(word.to_be_bytes()), expected);
        }
    }

    #[test]
    fn mean_sigma_and_bound() {
        let mut rng = noise_rng(&[1; 32], &[2; 32], &[3; 32]);
        let mut buffer = Buffer::new();
        let (mut sum, mut squares, mut largest, mut fourth) = (0i64, 0i64, 0, 0i64);
        let blocks = 256;
        for _ in 0..blocks {
            buffer.refill(&mut rng);
            for &e in buffer.values() {
                sum += e;
                squares += e * e;
                fourth += e.pow(4);
                largest = largest.max(e.abs());
            }
        }
        let n = (blocks * N) as f64;
        // A sum of 64 independent ±1/2: variance 16, kurtosis 3 − 2/64.
        let (mean, variance, kurtosis) = (sum as f64 / n, squares as f64 / n, fourth as f64 / n / 256.0);
        assert!(mean.abs() < 6.0 * 4.0 / n.sqrt(), "mean {mean}");
        assert!((variance - 16.0).abs() < 6.0 * 16.0 * (2.0 / n).sqrt(), "variance {variance}");
        assert!((kurtosis - (3.0 - 2.0 / 64.0)).abs() < 0.1, "kurtosis {kurtosis}");
        assert!((18..=NOISE_MAX).contains(&largest), "largest {largest}");
    }
}
