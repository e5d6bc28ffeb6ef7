//! Fixed point: f32 training on one side, integers that everybody computes alike on the other.
//!
//! The base model is authoritative as i32 with `frac_bits`; an update is an i16 vector in units of
//! `2^-update_bits`, bounded coordinate by coordinate and in its L2 norm, and the next model is integer FedAvg.

use std::fmt;

use almoner_crypto::widest;

use crate::Error;
use crate::scale::{MAX_FRAC_BITS, MAX_WEIGHT_TOTAL, Scale};

/// Norm classes of a manifest: 0 declares the clip itself, each further one 2^(1/4) less.
pub const NORM_CLASSES: u8 = 64;
/// Bound of both halves of the server's learning rate, so that a step fits 128 bits.
pub const MAX_LEARNING_RATE_TERM: u64 = 1 << 32;

/// A hospital's update in the clear. It never leaves the site, and never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Update {
    values: Vec<i16>,
    norm_class: u8,
    clipped: bool,
}

impl Update {
    pub fn values(&self) -> &[i16] {
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
    if widest(
        #[inline(always)]
        || delta.iter().fold(false, |bad, value| bad | !value.is_finite()),
    ) {
        let index = delta.iter().take_while(|value| value.is_finite()).count();
        return Err(Error::NotFinite { index });
    }
    let unit = f64::from(1u32 << scale.update_bits.min(MAX_FRAC_BITS));
    let bound = i32::from(scale.update_max.min(i16::MAX as u16));
    let mut values = vec![0; delta.len()];
    let mut clipped = widest(
        #[inline(always)]
        || {
            let mut clipped = false;
            for (value, delta) in values.iter_mut().zip(delta) {
                let near = round_i32(limited(f64::from(*delta) * unit, FAR));
                clipped |= near > bound || near < -bound;
                // The bound fits 16 bits.
                *value = near.clamp(-bound, bound) as i16;
            }
            clipped
        },
    );
    clipped |= clip(&mut values, scale.clip);
    let norm_class = norm_class(norm_squared(&values), scale.clip);
    Ok(Update { values, norm_class, clipped })
}

/// Beyond every bound of a coordinate.
const FAR: f64 = (1 << 20) as f64;

/// Adding this leaves no place for a fraction: half to even below 2^51, where `round_ties_even` is a call of a library
/// where the processor may be any.
const INTEGERS_ONLY: f64 = 6_755_399_441_055_744.0;

/// Half to even, below 2^51.
#[inline(always)]
pub(crate) fn round_even(value: f64) -> f64 {
    (value + INTEGERS_ONLY) - INTEGERS_ONLY
}

/// Half to even, below 2^31: the low bits of what [`round_even`] has on its way are the integer.
#[inline(always)]
fn round_i32(value: f64) -> i32 {
    (value + INTEGERS_ONLY).to_bits() as i32
}

/// `clamp` as two instructions; the value is a number.
#[inline(always)]
fn limited(value: f64, bound: f64) -> f64 {
    let value = if value > bound { bound } else { value };
    if value < -bound { -bound } else { value }
}

/// `Σu²`; coordinates are below 2^15 and vectors below 2^26, so 64 bits hold it.
fn norm_squared(values: &[i16]) -> u128 {
    let square = |value: &i16| u64::from(u32::from(value.unsigned_abs()).wrapping_pow(2));
    widest(
        #[inline(always)]
        || values.iter().fold(0u64, |sum, value| sum.wrapping_add(square(value))),
    )
    .into()
}

/// Shrinks towards zero by the rational `C/⌈‖u‖⌉`, so that `Σu² ≤ C²` holds in integers. Values are below 2^15.
fn clip(values: &mut [i16], bound: u64) -> bool {
    let squared = norm_squared(values);
    if squared <= u128::from(bound).pow(2) {
        return false;
    }
    let floor = squared.isqrt();
    // At most 2^28, being the norm of 2^26 coordinates; the bound is below it.
    let norm = (if floor * floor == squared { floor } else { floor + 1 }) as f64;
    let bound = bound as f64;
    widest(
        #[inline(always)]
        || {
            for value in values {
                // Below 2^43, and whole. A quotient that is not whole is further than 2^-28 from whole ones, which is more
                // than half a unit of its last place: rounded, it has the same floor.
                let quotient = f64::from(value.unsigned_abs()) * bound / norm;
                let near = round_even(quotient);
                let floor = round_i32(if near > quotient { near - 1.0 } else { near });
                // No further from zero than it was.
                *value = if *value < 0 { floor.wrapping_neg() } else { floor } as i16;
            }
        },
    );
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
    // A power of two: rounding to f32 before or after is the same.
    let unit = 1.0 / (1u32 << frac_bits.min(MAX_FRAC_BITS)) as f32;
    widest(
        #[inline(always)]
        || base.iter().map(|value| *value as f32 * unit).collect(),
    )
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
    // A stretch at a time: nearly always all its sums are small.
    for (base, sums) in base.chunks_mut(1 << 12).zip(sums.chunks(1 << 12)) {
        let largest = widest(
            #[inline(always)]
            || sums.iter().fold(0, |largest, sum| largest | sum.unsigned_abs()),
        );
        match i128::from(largest) * numerator < SHORT && largest < 1 << 31 {
            true => widest(
                #[inline(always)]
                || step_short(base, sums, numerator as f64, denominator as f64),
            ),
            false => step_long(base, sums, numerator, denominator),
        }
    }
    Ok(())
}

/// Products below this are whole in f64, and a quotient of theirs that is no tie stays on its side of one when it is
/// rounded: its distance from a tie is at least half of 1/d, and half a unit of its last place is less.
const SHORT: i128 = 1 << 51;

/// [`step_long`] where sums are below 2^31 and their products below [`SHORT`].
#[inline(always)]
fn step_short(base: &mut [i32], sums: &[i64], numerator: f64, denominator: f64) {
    for (base, sum) in base.iter_mut().zip(sums) {
        let change = round_even(f64::from(*sum as i32) * numerator / denominator);
        let next = f64::from(*base) + change;
        let next = if next > f64::from(i32::MAX) { f64::from(i32::MAX) } else { next };
        *base = round_i32(if next < f64::from(i32::MIN) { f64::from(i32::MIN) } else { next });
    }
}

fn step_long(base: &mut [i32], sums: &[i64], numerator: i128, denominator: i128) {
    for (base, sum) in base.iter_mut().zip(sums) {
        let change = div_half_even(i128::from(*sum) * numerator, denominator);
        // Clamped to the range of i32 first.
        *base = (i128::from(*base) + change).clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32;
    }
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

#[cfg(test)]
mod tests;
