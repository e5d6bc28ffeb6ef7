//! Fixed point: f32 training on one side, integers that everybody computes alike on the other.
//!
//! The base model is authoritative as i32 with `frac_bits`; an update is an i32 vector in units of
//! `2^-update_bits`, bounded coordinate by coordinate and in its L2 norm, and the next model is integer FedAvg.

use std::fmt;

use crate::Error;
use crate::scale::{MAX_FRAC_BITS, MAX_WEIGHT_TOTAL, Scale};

/// Norm classes of a manifest: 0 declares the clip itself, each further one 2^(1/4) less.
pub const NORM_CLASSES: u8 = 64;
/// Bound of both halves of the server's learning rate, so that a step fits 128 bits.
pub const MAX_LEARNING_RATE_TERM: u64 = 1 << 32;

/// A hospital's update in the clear. It never leaves the site, and never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Update {
    values: Vec<i32>,
    norm_class: u8,
    clipped: bool,
}

impl Update {
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// Declared to all: tells the norm to within 19 %.
    pub fn norm_class(&self) -> u8 {
        self.norm_class
    }

    /// Whether the norm was cut back to the clip, or a coordinate to its bound. The share of such updates is shown.
    pub fn clipped(&self) -> bool {
        self.clipped
    }
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update").field("coordinates", &self.values.len()).finish_non_exhaustive()
    }
}

/// Rounds a trained delta half to even, bounds each coordinate by `U_max` and the whole by the clip.
pub fn quantise(delta: &[f32], scale: &Scale) -> Result<Update, Error> {
    if let Some(index) = delta.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite { index });
    }
    let unit = f64::from(1u32 << scale.update_bits.min(MAX_FRAC_BITS));
    let bound = i32::from(scale.update_max.min(i16::MAX as u16));
    // Beyond every bound, and within what `round_even` takes.
    let far = f64::from(1 << 20);
    let rounded = |value: &f32| round_even((f64::from(*value) * unit).clamp(-far, far)) as i32;
    let mut values: Vec<i32> = delta.iter().map(rounded).collect();
    let mut clipped = false;
    for value in &mut values {
        clipped |= value.unsigned_abs() > bound.unsigned_abs();
        *value = (*value).clamp(-bound, bound);
    }
    clipped |= clip(&mut values, scale.clip);
    let norm_class = norm_class(norm_squared(&values), scale.clip);
    Ok(Update { values, norm_class, clipped })
}

/// `Σu²`; coordinates are below 2^15 and vectors below 2^26, so 64 bits hold it.
fn norm_squared(values: &[i32]) -> u128 {
    values.iter().map(|value| u64::from(value.unsigned_abs()).pow(2)).sum::<u64>().into()
}

/// Half to even below 2^51, as `round_ties_even` does it by a call of a library where the processor may be any: adding
/// 1.5·2^52 leaves no place for a fraction.
pub(crate) fn round_even(value: f64) -> f64 {
    const INTEGERS_ONLY: f64 = 6_755_399_441_055_744.0;
    (value + INTEGERS_ONLY) - INTEGERS_ONLY
}

/// Shrinks towards zero by the rational `C/⌈‖u‖⌉`, so that `Σu² ≤ C²` holds in integers.
fn clip(values: &mut [i32], bound: u64) -> bool {
    let squared = norm_squared(values);
    if squared <= u128::from(bound).pow(2) {
        return false;
    }
    let floor = squared.isqrt();
    let norm = if floor * floor == squared { floor } else { floor + 1 };
    let short = i32::try_from(bound).ok().zip(i64::try_from(norm).ok());
    for value in values {
        // |value| < 2^31, bound < 2^64; the quotient is no larger than the value, because bound < norm.
        *value = match short {
            Some((bound, norm)) => (i64::from(*value) * i64::from(bound) / norm) as i32,
            None => (i128::from(*value) * i128::from(bound) / norm as i128) as i32,
        };
    }
    true
}

/// `B = isqrt(isqrt(C⁴ >> k))` for a declared class k: an update of that class has `Σu² ≤ B²`.
pub fn declared_norm(clip: u64, norm_class: u8) -> Result<u64, Error> {
    let fourth = u128::from(clip).checked_pow(4).ok_or(Error::Overflow("clip to the fourth power"))?;
    if norm_class >= NORM_CLASSES {
        return Err(Error::Overflow("norm class"));
    }
    // The fourth root of a 128-bit number has 32 bits.
    Ok((fourth >> norm_class).isqrt().isqrt() as u64)
}

/// The largest class that needs no further clipping.
fn norm_class(norm_squared: u128, clip: u64) -> u8 {
    (0..NORM_CLASSES)
        .rev()
        .find(|class| declared_norm(clip, *class).is_ok_and(|bound| u128::from(bound).pow(2) >= norm_squared))
        .unwrap_or(0)
}

/// The f32 parameters that training starts from.
pub fn base_to_f32(base: &[i32], frac_bits: u8) -> Vec<f32> {
    // A power of two: the product is the quotient.
    let unit = 1.0 / f64::from(1u32 << frac_bits.min(MAX_FRAC_BITS));
    base.iter().map(|value| (f64::from(*value) * unit) as f32).collect()
}

/// Fixed point of initial f32 parameters, half to even.
pub fn base_from_f32(parameters: &[f32], frac_bits: u8) -> Result<Vec<i32>, Error> {
    let unit = f64::from(1u32 << frac_bits.min(MAX_FRAC_BITS));
    let one = |(index, value): (usize, &f32)| {
        let scaled = (f64::from(*value) * unit).round_ties_even();
        if !scaled.is_finite() {
            return Err(Error::NotFinite { index });
        }
        if scaled < f64::from(i32::MIN) || scaled > f64::from(i32::MAX) {
            return Err(Error::Overflow("an initial parameter"));
        }
        Ok(scaled as i32)
    };
    parameters.iter().enumerate().map(one).collect()
}

/// The server's step: weighted mean of the updates times a rational learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerStep {
    pub frac_bits: u8,
    pub update_bits: u8,
    pub lr_num: u64,
    pub lr_den: u64,
    /// Σw over the admitted set.
    pub weight_total: u64,
}

impl ServerStep {
    fn factors(self) -> Result<(i128, i128), Error> {
        let term = 1..=MAX_LEARNING_RATE_TERM;
        if !term.contains(&self.lr_num) || !term.contains(&self.lr_den) {
            return Err(Error::Overflow("server learning rate"));
        }
        if !(1..=MAX_WEIGHT_TOTAL).contains(&self.weight_total) {
            return Err(Error::Overflow("weight of the admitted set"));
        }
        let shift = self.frac_bits.checked_sub(self.update_bits).filter(|_| self.frac_bits <= MAX_FRAC_BITS);
        let shift = shift.ok_or(Error::Overflow("update bits above fraction bits"))?;
        // At most 2^62 and 2^48, so that a 64-bit sum times the first fits 127 bits.
        Ok((i128::from(self.lr_num) << shift, i128::from(self.lr_den) * i128::from(self.weight_total)))
    }
}

/// `next_j = sat_i32(base_j + round_half_even(S_j·lr_num·2^(frac_bits−update_bits) / (lr_den·Σw)))`.
pub fn next_model(base: &[i32], sums: &[i64], step: ServerStep) -> Result<Vec<i32>, Error> {
    let mut next = base.to_vec();
    step_model(&mut next, sums, step)?;
    Ok(next)
}

/// [`next_model`] in the place of the base, or of the part of it that these sums are of.
pub fn step_model(base: &mut [i32], sums: &[i64], step: ServerStep) -> Result<(), Error> {
    if base.len() != sums.len() {
        return Err(Error::Length { what: "sum", have: sums.len(), want: base.len() });
    }
    let (numerator, denominator) = step.factors()?;
    let short = i64::try_from(numerator).ok().zip(i64::try_from(denominator).ok());
    for (base, sum) in base.iter_mut().zip(sums) {
        // Nearly always everything fits 64 bits, where a division costs a tenth.
        let change = match short.and_then(|(n, d)| Some(i128::from(div_half_even_64(sum.checked_mul(n)?, d)))) {
            Some(change) => change,
            None => div_half_even(i128::from(*sum) * numerator, denominator),
        };
        // Clamped to the range of i32 first.
        *base = (i128::from(*base) + change).clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32;
    }
    Ok(())
}

/// Quotient by a positive denominator, rounded to nearest, ties to even.
fn div_half_even(numerator: i128, denominator: i128) -> i128 {
    let (quotient, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    // The rest is below 2^48, so doubling it is safe.
    match (2 * rest).cmp(&denominator) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

/// [`div_half_even`] of 64 bits; the denominator is below 2^48 as well.
fn div_half_even_64(numerator: i64, denominator: i64) -> i64 {
    let (quotient, rest) = match numerator.unsigned_abs() < 1 << 52 {
        // A division of floats is a third of one of integers, and here at most one off.
        true => {
            let near = (numerator as f64 / denominator as f64) as i64;
            let rest = numerator - near * denominator;
            let off = i64::from(rest >= denominator) - i64::from(rest < 0);
            (near + off, rest - off * denominator)
        }
        false => (numerator.div_euclid(denominator), numerator.rem_euclid(denominator)),
    };
    match (2 * rest).cmp(&denominator) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

#[cfg(test)]
mod tests;
