//! The scales of a round: how large an update may be and how finely it is written, so that no sum and no score can
//! wrap around the modulus. Derived by this one function, never configured by hand.

use alloy_primitives::U256;
use almoner_crypto::ring::Q;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Low bits of a ciphertext word that are not sent.
pub const DROP_BITS: u8 = 2;
/// `fracBits` must leave room for the integer part of a parameter in 32 bits.
pub const MAX_FRAC_BITS: u8 = 30;
/// Weights of a sum are bounded so that words of a sum fit 64 bits without reduction.
pub const MAX_WEIGHT_TOTAL: u64 = 65_535;
/// Largest magnitude of one coordinate of an update.
pub const MAX_COORDINATE: u64 = 32_767;
/// Directions of models beyond this many parameters are graded, not signs.
pub const SIGN_DIRECTION_PARAMETERS: u32 = 1000;
/// Most entries of a direction that are not zero.
pub const DIRECTION_SUPPORT: u32 = 1 << 20;

const MIN_DELTA: u64 = 1 << 17;

/// What `derive` says about a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Message scale Δ, a power of two.
    pub delta: u64,
    /// An update is its f32 delta times `2^update_bits`.
    pub update_bits: u8,
    /// C: L2 bound of an update in those units.
    pub clip: u64,
    /// U_max: bound of one coordinate.
    pub update_max: u16,
    /// G: L2 bound of a direction.
    pub direction_norm: u32,
}

/// One- and (squared) two-norm of the classes of all members: the worst weights a sum can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WeightNorms {
    one: u64,
    two_squared: u64,
}

impl Scale {
    /// `parameters` = d, `clip` = the spec's L2 clip in f32 units, `classes` = those of all members.
    pub fn derive(parameters: u32, clip: f64, frac_bits: u8, classes: &[u16]) -> Result<Self, Error> {
        check_inputs(parameters, clip, frac_bits)?;
        let weights = WeightNorms::of(classes)?;
        let direction_norm = direction_norm(parameters);
        let delta = message_scale(parameters, direction_norm, weights)?;
        let room = Q - delta;
        let clip_max = room / (2 * u64::from(direction_norm) * delta);
        // At most MAX_COORDINATE, so it fits 16 bits.
        let update_max = (room / (2 * weights.one * delta)).min(MAX_COORDINATE) as u16;
        let (update_bits, clip) = finest(parameters, clip, frac_bits, clip_max, update_max)?;
        Ok(Self { delta, update_bits, clip, update_max, direction_norm })
    }
}

impl WeightNorms {
    fn of(classes: &[u16]) -> Result<Self, Error> {
        if classes.is_empty() || classes.iter().any(|class| !(1..=255).contains(class)) {
            return Err(Error::descriptor("membershipRoot", "every member needs a class from 1 to 255"));
        }
        let one = classes.iter().map(|class| u64::from(*class)).sum::<u64>();
        if one > MAX_WEIGHT_TOTAL {
            return Err(Error::descriptor(
                "membershipRoot",
                format!("classes add up to {one}, above {MAX_WEIGHT_TOTAL}"),
            ));
        }
        Ok(Self { one, two_squared: classes.iter().map(|class| u64::from(*class).pow(2)).sum() })
    }
}

fn check_inputs(parameters: u32, clip: f64, frac_bits: u8) -> Result<(), Error> {
    if parameters == 0 || parameters > crate::MAX_PARAMETERS {
        return Err(Error::descriptor("parameters", format!("must be 1 to {}", crate::MAX_PARAMETERS)));
    }
    if frac_bits > MAX_FRAC_BITS {
        return Err(Error::descriptor("fracBits", format!("must be at most {MAX_FRAC_BITS}")));
    }
    // NaN fails this comparison as well.
    if !(2f64.powi(-20)..=2f64.powi(20)).contains(&clip) {
        return Err(Error::descriptor("clip", "must be a number from 2^-20 to 2^20"));
    }
    Ok(())
}

/// G of the design: sign directions reach √d, graded ones twice the root of their support.
pub fn direction_norm(parameters: u32) -> u32 {
    if parameters <= SIGN_DIRECTION_PARAMETERS {
        ceil_sqrt(parameters)
    } else {
        2 * ceil_sqrt(parameters.min(DIRECTION_SUPPORT))
    }
}

fn ceil_sqrt(value: u32) -> u32 {
    let root = value.isqrt();
    if root * root == value { root } else { root + 1 }
}

/// The smallest power of two at least `max(2^17, 16·σ_b·max(G, ⌈√d⌉, W2))`, `σ_b = √(16 + 4^b/12)`. Squared and
/// times 12, both sides are integers: `12·Δ² ≥ 256·(192 + 4^b)·norm²`.
fn message_scale(parameters: u32, direction_norm: u32, weights: WeightNorms) -> Result<u64, Error> {
    let largest = direction_norm.max(ceil_sqrt(parameters));
    let norm_squared = u128::from(largest).pow(2).max(u128::from(weights.two_squared));
    let needed = 256 * (192 + (1u128 << (2 * DROP_BITS))) * norm_squared;
    (MIN_DELTA.ilog2()..40)
        .map(|bits| 1u64 << bits)
        .find(|delta| 12 * u128::from(*delta).pow(2) >= needed)
        .ok_or_else(|| Error::descriptor("delta", "no message scale fits these weights"))
}

/// The largest `b ≤ frac_bits` with `⌊clip·2^b⌋ ≤ C_max` and `clip·2^b·min(1, 16/√d) ≤ U_max`, and `⌊clip·2^b⌋`.
fn finest(parameters: u32, clip: f64, frac_bits: u8, clip_max: u64, update_max: u16) -> Result<(u8, u64), Error> {
    (0..=frac_bits)
        .rev()
        .filter_map(|bits| {
            // A power of two scales exactly, and the product is at most 2^50.
            let units = clip * f64::from(1u32 << bits);
            let bound = units as u64;
            let fits = bound >= 1 && bound <= clip_max && coordinates_fit(parameters, units, update_max);
            fits.then_some((bits, bound))
        })
        .next()
        .ok_or_else(|| Error::descriptor("clip", "no update scale keeps sums and scores in range: lower clip"))
}

/// `units·min(1, 16/√d) ≤ U_max` without rounding: both sides squared, `units = mantissa·2^exponent` exactly.
fn coordinates_fit(parameters: u32, units: f64, update_max: u16) -> bool {
    let spread = U256::from(parameters.max(256));
    let (mantissa, exponent) = dyadic(units);
    let left = U256::from(mantissa) * U256::from(mantissa) * U256::from(256);
    let right = U256::from(update_max) * U256::from(update_max) * spread;
    // |exponent| ≤ 72 here (clip ≥ 2^-20), so neither shift can lose bits of a 256-bit word.
    let shift = 2 * exponent.unsigned_abs() as usize;
    if exponent >= 0 { left << shift <= right } else { left <= right << shift }
}

/// A positive normal number as `mantissa·2^exponent`.
fn dyadic(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    // The exponent field has eleven bits.
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    (mantissa, exponent)
}

#[cfg(test)]
mod tests;
