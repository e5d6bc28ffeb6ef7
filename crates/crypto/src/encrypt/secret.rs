//! The one-time secret of an upload.

use core::fmt;

use rand_core::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::noise::seeded;
use crate::ring::{MASK, Poly, Q, zero_poly};

const SECRET_LABEL: &[u8] = b"almoner/secret/v0";

/// `s`, uniform in `Z_q^2048`, in the transform domain. Wiped on drop, never printed, not clonable.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<Poly>);

impl Secret {
    /// Draws the secret of this update in this round. Fresh operating-system randomness each time; should a machine be
    /// cloned with its generator, another round or another update still gives another secret.
    pub fn draw(os_randomness: &[u8; 32], ctx: &[u8; 32], update_digest: &[u8; 32]) -> Self {
        let mut rng = seeded(SECRET_LABEL, os_randomness, ctx, update_digest);
        let mut words = zero_poly();
        words.iter_mut().for_each(|w| *w = uniform(&mut rng));
        Self(words)
    }

    pub(crate) fn words(&self) -> &Poly {
        &self.0
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// A uniform value below `q`: the low 50 bits of the generator's next word, rejected if not below `q`. Rejection
/// (once in 2^36) depends on discarded words only.
pub(crate) fn uniform(rng: &mut impl Rng) -> u64 {
    loop {
        let x = rng.next_u64() & MASK;
        if x < Q {
            return x;
        }
    }
}

/// SHA-256 of the update as big-endian 32-bit words.
pub fn update_digest(update: &[impl Copy + Into<i32>]) -> [u8; 32] {
    let mut h = Sha256::new();
    let mut bytes = [0; 4096];
    for chunk in update.chunks(bytes.len() / 4) {
        for (m, b) in chunk.iter().zip(bytes.as_chunks_mut::<4>().0) {
            *b = (*m).into().to_be_bytes();
        }
        h.update(&bytes[..4 * chunk.len()]);
    }
    bytes.zeroize();
    h.finalize().into()
}
