//! A validator's direction: its noised gradient as a vector of small integers.
//!
//! Signs for small models, a few graded bits for large ones. The noise is drawn by the caller; what leaves the site
//! is only the result of `quantise_direction`, which every reader checks with `check_direction`.

use alloy_primitives::Bytes;
use almoner_crypto::widest;

use crate::Error;
use crate::fixed::round_even;
use crate::leak::{DIRECTION_ENTRY_MAX, check_direction, norm_squared, spread_min};
use crate::scale::{DIRECTION_SUPPORT, SIGN_DIRECTION_PARAMETERS, direction_norm};

/// Standard deviation of the noise of one coordinate, as a multiple of `‖g‖/√d`.
pub const DEFAULT_NOISE: f64 = 0.3;
/// Step by which a graded direction is shrunk until its rounded norm fits.
const SHRINK: f64 = 0.99;

/// Adds Gaussian noise of standard deviation `noise·‖g‖/√d`; `normals` are standard normal, drawn one per coordinate
/// and in their order.
pub fn add_noise(gradient: &mut [f32], mut normals: impl FnMut() -> f32, noise: f64) {
    let sigma = noise * norm(gradient) / (gradient.len() as f64).sqrt();
    for g in gradient {
        *g = (f64::from(*g) + sigma * f64::from(normals())) as f32;
    }
}

/// Rounds a noised gradient to a direction that passes `check_direction`.
pub fn quantise_direction(noised: &[f32]) -> Result<Vec<i8>, Error> {
    if let Some(index) = noised.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite { index });
    }
    let parameters = u32::try_from(noised.len()).map_err(|_| Error::Overflow("number of parameters"))?;
    let norm = norm(noised);
    if norm == 0.0 || !norm.is_finite() {
        return Err(Error::Direction("the gradient has no direction"));
    }
    let entries = if parameters <= SIGN_DIRECTION_PARAMETERS {
        signs(noised, norm, parameters)
    } else {
        graded(noised, norm, parameters)
    };
    check_direction(&entries, parameters)?;
    Ok(entries)
}

/// Bytes of a direction as it travels.
pub fn packed_direction_length(parameters: u32) -> usize {
    parameters.div_ceil(2) as usize
}

/// Two entries a byte, the first of them in the low half, each in two's complement of four bits. They must fit that, as
/// those of a direction do.
pub fn pack_direction(entries: &[i8]) -> Bytes {
    debug_assert!(entries.iter().all(|entry| (-8..8).contains(entry)), "no direction");
    let half = |entry: i8| entry.cast_unsigned() & 0xf;
    let mut packed = vec![0; entries.len().div_ceil(2)];
    widest(
        #[inline(always)]
        || {
            for (byte, pair) in packed.iter_mut().zip(entries.chunks(2)) {
                *byte = half(pair[0]) | pair.get(1).map_or(0, |entry| half(*entry) << 4);
            }
        },
    );
    packed.into()
}

/// The entries that were packed; refuses another length, and something behind the last entry.
pub fn unpack_direction(packed: &[u8], parameters: u32) -> Result<Vec<i8>, Error> {
    let (have, want) = (packed.len(), packed_direction_length(parameters));
    if have != want {
        return Err(Error::Length { what: "packed direction", have, want });
    }
    let mut entries = vec![[0; 2]; have];
    widest(
        #[inline(always)]
        || {
            for (pair, byte) in entries.iter_mut().zip(packed) {
                *pair = [(byte << 4).cast_signed() >> 4, byte.cast_signed() >> 4];
            }
        },
    );
    let mut entries = entries.into_flattened();
    if entries.len() > parameters as usize && entries.pop() != Some(0) {
        return Err(Error::Direction("something stands behind the last entry"));
    }
    Ok(entries)
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

/// The sign where `|g| ≥ ½·rms(g)`; if those are too few, the signs of the largest.
fn signs(noised: &[f32], norm: f64, parameters: u32) -> Vec<i8> {
    let threshold = 0.5 * norm / f64::from(parameters).sqrt();
    let kept: Vec<u32> = (0..parameters).filter(|j| f64::from(noised[*j as usize].abs()) >= threshold).collect();
    let wanted = spread_min(parameters) as usize;
    let kept = if kept.len() < wanted { largest(noised, wanted) } else { kept };
    let mut entries = vec![0; noised.len()];
    for j in kept {
        entries[j as usize] = sign(noised[j as usize]);
    }
    entries
}

fn sign(value: f32) -> i8 {
    i8::from(value > 0.0) - i8::from(value < 0.0)
}

/// `clamp(round(s·g), −7, 7)` on the largest entries, `s = G/‖g‖`, shrunk until the rounded norm is at most G.
fn graded(noised: &[f32], norm: f64, parameters: u32) -> Vec<i8> {
    let kept = largest(noised, DIRECTION_SUPPORT.min(parameters) as usize);
    let limit = u64::from(direction_norm(parameters));
    let mut factor = limit as f64 / norm;
    // Every entry rounds to zero once the factor is small enough, so this ends.
    loop {
        let mut entries = vec![0; noised.len()];
        for j in &kept {
            let largest = f64::from(DIRECTION_ENTRY_MAX);
            // In −7..=7 after the clamp.
            entries[*j as usize] = round_even((f64::from(noised[*j as usize]) * factor).clamp(-largest, largest)) as i8;
        }
        if norm_squared(&entries) <= limit * limit {
            return entries;
        }
        factor *= SHRINK;
    }
}

/// Indices of the `count` largest magnitudes; among equals the earlier ones. Whoever calls has found that 32 bits count
/// the values.
fn largest(values: &[f32], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    if count < order.len() {
        let size = |j: &u32| values[*j as usize].abs();
        let rank = |a: &u32, b: &u32| size(b).total_cmp(&size(a)).then(a.cmp(b));
        order.select_nth_unstable_by(count, rank);
        order.truncate(count);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packed_direction_has_one_form() {
        assert_eq!(pack_direction(&[1, -1, 7, -7, -3]).to_vec(), [0xf1, 0x97, 0x0d]);
        assert_eq!(unpack_direction(&[0xf1, 0x97, 0x0d], 5).unwrap(), [1, -1, 7, -7, -3]);
        assert!(matches!(unpack_direction(&[0xf1, 0x97], 5), Err(Error::Length { have: 2, want: 3, .. })));
        assert!(matches!(unpack_direction(&[0xf1, 0x97, 0x1d], 5), Err(Error::Direction(_))));
        // What four bits can say and no direction may.
        let entries = unpack_direction(&[0x88; 1000], 2000).unwrap();
        assert!(check_direction(&entries, 2000).is_err());
    }

    #[test]
    fn small_models_keep_signs_above_half_the_rms() {
        let gradient = [3.0, -3.0, 0.1, 2.0, -0.1, 0.0, 3.0, -2.0];
        assert_eq!(quantise_direction(&gradient).unwrap(), [1, -1, 0, 1, 0, 0, 1, -1]);
    }

    #[test]
    fn too_few_signs_are_filled_up_with_the_largest() {
        let mut gradient = [0.001f32; 14];
        gradient[3] = -100.0;
        gradient[9] = -0.002;
        // s_min = 4: entries 3, 9, then the earliest of the equals.
        let direction = quantise_direction(&gradient).unwrap();
        assert_eq!(direction, [1, 1, 0, -1, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_gradient_without_direction_is_refused() {
        assert!(quantise_direction(&[0.0; 20]).is_err());
        assert!(quantise_direction(&[]).is_err());
        assert_eq!(quantise_direction(&[1.0, f32::NAN]), Err(Error::NotFinite { index: 1 }));
        let mut lone = vec![0.0; 5000];
        lone[0] = 1.0;
        assert!(quantise_direction(&lone).is_err());
    }

    #[test]
    fn noise_is_relative_to_the_gradient() {
        let (mut noised, mut normals) = ([3.0, 4.0], [1.0, -1.0].into_iter());
        add_noise(&mut noised, || normals.next().unwrap(), 0.3);
        let sigma = 0.3 * 5.0 / 2f32.sqrt();
        assert!((noised[0] - 3.0 - sigma).abs() < 1e-6 && (noised[1] - 4.0 + sigma).abs() < 1e-6);
        assert!(normals.next().is_none());
    }

    proptest! {
        #[test]
        fn what_is_made_is_accepted(seed in any::<u64>(), large in any::<bool>()) {
            let mut state = seed | 1;
            let gradient: Vec<f32> = (0..if large { 3000 } else { 300 })
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    ((state >> 33) as f32 / (1u64 << 31) as f32 - 0.5).powi(3)
                })
                .collect();
            let direction = quantise_direction(&gradient).unwrap();
            prop_assert!(check_direction(&direction, gradient.len() as u32).is_ok());
            for (entry, value) in direction.iter().zip(&gradient) {
                prop_assert!(*entry == 0 || (*entry > 0) == (*value > 0.0));
            }
        }

        #[test]
        fn no_bits_panic(bits in prop::collection::vec(any::<u32>(), 0..60)) {
            let gradient: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let _ = quantise_direction(&gradient);
        }
    }
}
