//! Finding the secret of a sum, and opening its blocks.

use crate::error::{CryptoError, Result, expect_len};
use crate::matrix::{CHECK_BLOCKS, EpochSeed};
use crate::ring::{N, Poly, Q, centre, product_intt, reduce, zero_poly};
use crate::share::{AnswerVec, Code, check_order, interpolate};
use crate::subsets::{SUBSETS_MAX, Subsets};
use crate::widest;
use crate::words::DROP_BITS;

use super::WEIGHT_MAX;

/// `64·12·σ_b²` with `σ_b² = 16 + 4^b/12`: eight sigma, squared, times twelve.
const RESIDUAL_FACTOR: u128 = 64 * (192 + (1 << (2 * DROP_BITS)));
/// `(8·σ)²`: check blocks drop no bits.
const CHECK_FACTOR: u128 = 1024;

/// What the opening of a sum is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumRule {
    /// `Σ w`.
    pub weight: u64,
    /// `Σ w²`.
    pub weight_norm2: u64,
    /// The message scale, a power of two.
    pub delta: u64,
    /// `U_max`, the bound of one coefficient of one update.
    pub update_max: u32,
}

/// One opened data block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedBlock {
    /// `Σ w_i u_i`; all zero if the block is not `ok`.
    pub values: Vec<i64>,
    /// The largest absolute residual.
    pub max_residual: u64,
    /// Whether every residual and every value is within bounds.
    pub ok: bool,
}

/// Half away from zero: the multiple of `delta` (a power of two) next to `z`, and what is left.
#[inline(always)]
pub(crate) fn round(z: i64, delta: u64) -> (i64, i64) {
    let shift = delta.trailing_zeros();
    let size = z.unsigned_abs().wrapping_add(delta / 2) >> shift;
    // |z| ≤ q/2, so everything stays far below 2^63. Signs are random: a branch on them would be mispredicted.
    let sign = z >> 63;
    let value = (size as i64 ^ sign).wrapping_sub(sign);
    (value, z.wrapping_sub(value << shift))
}

/// `12·r² ≤ 64·(192 + 4^b)·‖form‖²`.
pub(crate) fn residual_in_bounds(residual: i64, norm2: u128) -> bool {
    let r = u128::from(residual.unsigned_abs());
    12 * r * r <= RESIDUAL_FACTOR * norm2
}

/// Refuses a scale that is no power of two or leaves no room for a message.
pub(crate) fn check_scale(delta: u64) -> Result<()> {
    crate::encrypt::Params::new(delta, 1).map(|_| ())
}

/// Whether `S` fits the summed check blocks: every `centre(C_k − a_k·S)` within `32·‖w‖`.
pub fn verify_checks(seed: &EpochSeed, secret: &AnswerVec, check_sums: &[u64], weight_norm2: u64) -> Result<()> {
    expect_len("check sums", check_sums.len(), CHECK_BLOCKS * N)?;
    let bound = CHECK_FACTOR * u128::from(weight_norm2);
    let mut masked = zero_poly();
    for (block, sums) in check_sums.chunks_exact(N).enumerate() {
        seed.check_block_into(block as u64, &mut masked);
        product_intt(&mut masked, secret.words());
        let large = |(&c, &m): (&u64, &u64)| {
            let r = u128::from(centre(reduce(reduce(c) + 2 * Q - m)).unsigned_abs());
            r * r > bound
        };
        if let Some(position) = sums.iter().zip(masked.iter()).position(large) {
            return Err(CryptoError::CheckResidual { block, position });
        }
    }
    Ok(())
}

/// The first t-subset of the answers, in lexicographic order, whose secret fits the check blocks.
///
/// Liars that are outvoted are passed over by decoding; only where there are more of them are subsets tried.
pub fn find_secret(
    seed: &EpochSeed,
    answers: &[(u16, &AnswerVec)],
    t: usize,
    check_sums: &[u64],
    weight_norm2: u64,
) -> Result<(Vec<u16>, AnswerVec)> {
    expect_len("check sums", check_sums.len(), CHECK_BLOCKS * N)?;
    if answers.len() < t || t == 0 {
        return Err(CryptoError::TooFewAnswers { needed: t.max(1), got: answers.len() });
    }
    let members: Vec<u16> = answers.iter().map(|(k, _)| *k).collect();
    check_order(&members)?;
    let fits = |subset: &[usize]| {
        let chosen: Vec<_> = subset.iter().map(|&k| answers[k]).collect();
        let secret = interpolate(&chosen, t).ok()?;
        verify_checks(seed, &secret, check_sums, weight_norm2).ok()?;
        Some((subset.iter().map(|&k| members[k]).collect(), secret))
    };
    let everybody: Vec<usize> = (0..members.len()).collect();
    if let Some(found) = fits(&everybody[..t]) {
        return Ok(found);
    }
    let word = |at: usize| answers.iter().map(move |(_, answer)| answer.words()[at]);
    if let Some(off) = Code::new(&members, t).off_in_any((0..N).map(word)) {
        if off.is_empty() {
            // They agree with each other: every subset gives the same secret.
            return Err(CryptoError::NoSubset { tried: 1 });
        }
        let others: Vec<usize> = everybody.into_iter().filter(|k| !off.contains(k)).take(t).collect();
        if let Some(found) = fits(&others) {
            return Ok(found);
        }
    }
    let mut tried = 0;
    let mut subsets = Subsets::new(members.len(), t).take(SUBSETS_MAX as usize).inspect(|_| tried += 1);
    let found = subsets.find_map(|subset| fits(&subset));
    found.ok_or(CryptoError::NoSubset { tried })
}

/// Opens data block `j` of a sum with a secret that [`verify_checks`] accepted.
pub fn open_block(seed: &EpochSeed, j: u64, secret: &AnswerVec, sums: &[u64], rule: &SumRule) -> Result<OpenedBlock> {
    expect_len("sums of a block", sums.len(), N)?;
    check_scale(rule.delta)?;
    if rule.weight > WEIGHT_MAX {
        return Err(CryptoError::Weight { total: rule.weight });
    }
    let mut masked = zero_poly();
    seed.data_block_into(j, &mut masked);
    product_intt(&mut masked, secret.words());
    Ok(widest(
        #[inline(always)]
        || unmasked(sums, &masked, rule),
    ))
}

#[inline(always)]
fn unmasked(sums: &[u64], masked: &Poly, rule: &SumRule) -> OpenedBlock {
    // Dropping b bits takes (2^b − 1)/2 from each word on average.
    let mid = rule.weight * ((1 << DROP_BITS) - 1) / 2;
    // Keeps words positive while m < 2q is taken away, and below 7q.
    let lift = mid + 2 * Q;
    let largest = rule.weight * u64::from(rule.update_max);
    let mut values = vec![0; N];
    let (mut max_residual, mut max_value) = (0, 0);
    for ((v, &c), &m) in values.iter_mut().zip(sums).zip(masked.iter()) {
        let word = reduce((reduce(c) << DROP_BITS).wrapping_add(lift).wrapping_sub(m));
        let (value, residual) = round(centre(word), rule.delta);
        max_residual = residual.unsigned_abs().max(max_residual);
        max_value = value.unsigned_abs().max(max_value);
        *v = value;
    }
    // Δ ≤ q/3, so the residual fits a signed word.
    let small = residual_in_bounds(max_residual as i64, rule.weight_norm2.into());
    let ok = small && max_value <= largest;
    if !ok {
        values.fill(0);
    }
    OpenedBlock { values, max_residual, ok }
}
