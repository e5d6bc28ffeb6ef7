//! Shamir shares of a secret, and what the committee makes of them.
//!
//! Purpose: no member alone, and no t − 1 together, learn anything about a secret; any t open a sum of secrets.
//! Steps: [`deal`] evaluates a random polynomial of degree t − 1 with `P(0) = s`, coordinate-wise in the transform
//! domain, at `k + 1` for member `k`; a member answers with [`weighted_sum`] over the admitted participants;
//! [`interpolate`] takes exactly t answers to `S = Σ w_i·s_i`.
//! Attacks answered: t − 1 members who pool their shares (they are uniform); a share from one member used for another
//! (leaf `k` of the share tree and the seal name the member); guessing a share from its leaf (32 bytes of salt);
//! answers outside the field (refused on parsing).
//! Not protected: a dealer may deal shares that lie on no polynomial. Then its own scores do not open, and a sum that
//! contains it fails its check; who is to blame is not proved in version 0.

mod answer;
mod codeword;
mod lagrange;

use core::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::encrypt::Secret;
use crate::error::{CryptoError, Result};
use crate::ring::{Poly, reduce, zero_poly};
use crate::tree::{self, Hash};
use crate::widest;
use crate::words::{WIDE_BLOCK_BYTES, read_wide, write_wide};

pub use answer::{AnswerVec, interpolate, weighted_sum};
pub(crate) use codeword::Code;
pub use lagrange::lagrange_at_zero;
pub(crate) use lagrange::{Differences, check_order};

/// The largest committee this crate deals to.
pub const MEMBERS_MAX: usize = 256;
/// Bytes of the salt of a share's leaf.
pub const SALT_BYTES: usize = 32;
/// Bytes of a share on the wire, without salt.
pub const SHARE_BYTES: usize = WIDE_BLOCK_BYTES;

/// One member's share of one secret. Wiped on drop, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ShareVec(Box<Poly>);

impl ShareVec {
    /// Reads 2048 words of 8 bytes, each below `q`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        read_wide("share", bytes).map(Self)
    }

    /// 2048 words of 8 bytes.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(vec![0; SHARE_BYTES]);
        write_wide(&*self.0, &mut bytes);
        bytes
    }

    pub(crate) fn words(&self) -> &Poly {
        &self.0
    }
}

impl ConstantTimeEq for ShareVec {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl fmt::Debug for ShareVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareVec(redacted)")
    }
}

/// Where member `k` evaluates: never at zero.
pub(crate) fn point(member: u16) -> u64 {
    u64::from(member) + 1
}

/// Shares of a secret for members `0 … m−1`, any `t` of which suffice.
pub fn deal(secret: &Secret, m: usize, t: usize, rng: &mut impl CryptoRng) -> Result<Vec<ShareVec>> {
    if t == 0 || t > m || m > MEMBERS_MAX {
        return Err(CryptoError::Threshold { threshold: t, members: m });
    }
    // Coefficients of degree 1 … t−1; wiped like the shares, of which they are as good as.
    let coefficients: Vec<ShareVec> = (1..t).map(|_| uniform_words(rng)).collect();
    // m ≤ 256, so every index fits.
    Ok((0..m as u16).map(|k| evaluate(secret, &coefficients, point(k))).collect())
}

/// Horner, from the highest coefficient to the secret.
fn evaluate(secret: &Secret, coefficients: &[ShareVec], x: u64) -> ShareVec {
    let mut out = ShareVec(zero_poly());
    widest(
        #[inline(always)]
        || {
            let lower = coefficients.iter().rev().map(ShareVec::words);
            for c in lower.chain([secret.words()]) {
                // A point is at most [`MEMBERS_MAX`], 2^8: nothing gets near the end of a word.
                out.0.iter_mut().zip(c).for_each(|(o, &c)| *o = reduce(o.wrapping_mul(x).wrapping_add(c)));
            }
        },
    );
    out
}

fn uniform_words(rng: &mut impl CryptoRng) -> ShareVec {
    let mut words = zero_poly();
    words.iter_mut().for_each(|w| *w = crate::encrypt::uniform(rng));
    ShareVec(words)
}

/// Hash of leaf `member` of the share tree: salt, then the words.
pub fn share_leaf(member: u16, salt: &[u8; SALT_BYTES], share: &ShareVec) -> Hash {
    tree::leaf_hash(tree::kind::SHARES, member.into(), &salted(salt, share))
}

/// Root of the share tree, members in order.
pub fn share_root<'a>(shares: impl IntoIterator<Item = (&'a [u8; SALT_BYTES], &'a ShareVec)>) -> Hash {
    let leaves = shares.into_iter().map(|(salt, share)| salted(salt, share));
    tree::root(tree::kind::SHARES, leaves.map(AsBytes))
}

/// Salt ‖ words: what is sealed and what the leaf hashes.
pub(crate) fn salted(salt: &[u8; SALT_BYTES], share: &ShareVec) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; SALT_BYTES + SHARE_BYTES]);
    bytes[..SALT_BYTES].copy_from_slice(salt);
    write_wide(&*share.0, &mut bytes[SALT_BYTES..]);
    bytes
}

struct AsBytes(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for AsBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
