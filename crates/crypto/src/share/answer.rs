//! Answers of members to a sum: weighted sums of the shares they hold. Public once sent.

use core::fmt;

use super::{SHARE_BYTES, ShareVec, lagrange_at_zero};
use crate::error::{CryptoError, Result, expect_len};
use crate::ring::{Poly, add, mul, zero_poly};
use crate::words::{read_wide, write_wide};

/// 2048 words modulo `q`: a member's answer `T_k`, or the interpolated `S`.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerVec(Box<Poly>);

impl AnswerVec {
    /// Reads 2048 words of 8 bytes, each below `q`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        read_wide("answer", bytes).map(Self)
    }

    /// 2048 words of 8 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; SHARE_BYTES];
        write_wide(&*self.0, &mut bytes);
        bytes
    }

    /// The words.
    pub fn words(&self) -> &Poly {
        &self.0
    }

    pub(crate) fn zero() -> Self {
        Self(zero_poly())
    }

    /// `self += weight · words`, for a reduced weight.
    pub(crate) fn add_scaled(&mut self, weight: u64, words: &Poly) {
        for (o, &w) in self.0.iter_mut().zip(words) {
            *o = add(*o, mul(w, weight));
        }
    }
}

impl fmt::Debug for AnswerVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnswerVec({:#x}, …)", self.0[0])
    }
}

/// `T_k = Σ w_i · share_ik`: all that a member tells about the shares of the admitted participants.
///
/// A sum over one participant is that participant's share: whoever calls this holds to the admitted set and N_min.
pub fn weighted_sum(shares: &[(u16, &ShareVec)]) -> AnswerVec {
    let mut out = AnswerVec::zero();
    for (weight, share) in shares {
        out.add_scaled(u64::from(*weight), share.words());
    }
    out
}

/// `S` from the answers of exactly `t` members, ascending.
pub fn interpolate(answers: &[(u16, &AnswerVec)], t: usize) -> Result<AnswerVec> {
    if answers.len() < t || t == 0 {
        return Err(CryptoError::TooFewAnswers { needed: t.max(1), got: answers.len() });
    }
    expect_len("answers of an opening", answers.len(), t)?;
    let members: Vec<u16> = answers.iter().map(|(k, _)| *k).collect();
    let mut out = AnswerVec::zero();
    for (weight, (_, answer)) in lagrange_at_zero(&members)?.into_iter().zip(answers) {
        out.add_scaled(weight, answer.words());
    }
    Ok(out)
}
