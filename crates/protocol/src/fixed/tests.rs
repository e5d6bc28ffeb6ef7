use proptest::prelude::*;

use super::*;

fn scale() -> Scale {
    Scale::derive(513, 1.0, 24, &[127, 96, 64, 32]).unwrap()
}

fn check(delta: &[f32]) -> Update {
    quantise(delta, &scale()).unwrap()
}

#[test]
fn rounds_half_to_even() {
    let unit = 1.0 / 32768.0;
    let update = check(&[0.5 * unit, 1.5 * unit, -0.5 * unit, -1.5 * unit, 2.4 * unit]);
    assert_eq!(update.values(), [0, 2, 0, -2, 2]);
    assert!(!update.clipped());
}

#[test]
fn refuses_what_is_no_number() {
    for bad in [f32::NAN, f32::INFINITY] {
        assert_eq!(quantise(&[0.0, bad], &scale()).unwrap_err(), Error::NotFinite { index: 1 });
        assert!(base_from_f32(&[0.0, bad], 24).is_err());
    }
}

#[test]
fn a_large_update_is_cut_to_the_clip() {
    let update = check(&[10.0, -10.0, 0.0]);
    assert!(update.clipped());
    assert!(norm_squared(update.values()) <= u128::from(scale().clip).pow(2));
    // Direction is kept: both coordinates shrink alike.
    assert_eq!(update.values()[0], -update.values()[1]);
    assert_eq!(update.norm_class(), 0);
}

#[test]
fn a_zero_update_declares_the_least_norm() {
    assert_eq!(check(&[0.0; 9]).norm_class(), NORM_CLASSES - 1);
}

#[test]
fn the_plaintext_does_not_print() {
    assert_eq!(format!("{:?}", check(&[0.25, 0.125])), "Update { coordinates: 2, .. }");
}

#[test]
fn declared_norms_fall_by_a_fourth_root_of_two() {
    assert_eq!(declared_norm(32768, 0), Ok(32768));
    assert_eq!(declared_norm(32768, 4), Ok(16384));
    assert_eq!(declared_norm(32768, 1), Ok(27554));
    assert!(declared_norm(32768, 64).is_err());
    assert!(declared_norm(1 << 32, 0).is_err());
}

#[test]
fn integer_division_ties_to_even() {
    let cases = [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (-1, 2, 0), (1, 3, 0), (2, 3, 1), (-2, 3, -1)];
    for (numerator, denominator, quotient) in cases {
        assert_eq!(div_half_even(numerator, denominator), quotient, "{numerator}/{denominator}");
    }
}

#[test]
fn the_next_model_is_the_weighted_mean_and_saturates() {
    let step = ServerStep { frac_bits: 24, update_bits: 15, lr_num: 1, lr_den: 1, weight_total: 4 };
    // A sum of 4 units of 2^-15 over weight 4 is one unit: 512 of 2^-24.
    assert_eq!(next_model(&[100, 100], &[4, -4], step), Ok(vec![612, -412]));
    assert_eq!(next_model(&[i32::MAX, i32::MIN], &[i64::MAX, i64::MIN], step), Ok(vec![i32::MAX, i32::MIN]));
    assert!(next_model(&[1], &[], step).is_err());
    for bad in [
        ServerStep { lr_den: 0, ..step },
        ServerStep { lr_num: 0, ..step },
        ServerStep { lr_num: u64::MAX, ..step },
        ServerStep { weight_total: 0, ..step },
        ServerStep { weight_total: 70_000, ..step },
        ServerStep { update_bits: 25, ..step },
    ] {
        assert!(next_model(&[1], &[1], bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn every_update_keeps_its_bounds(delta in prop::collection::vec(-4f32..4f32, 1..600)) {
        let scale = scale();
        let update = quantise(&delta, &scale).unwrap();
        let bound = declared_norm(scale.clip, update.norm_class()).unwrap();
        prop_assert!(norm_squared(update.values()) <= u128::from(bound).pow(2));
        prop_assert!(update.values().iter().all(|u| u.unsigned_abs() <= scale.update_max));
        if update.norm_class() + 1 < NORM_CLASSES {
            let next = declared_norm(scale.clip, update.norm_class() + 1).unwrap();
            prop_assert!(norm_squared(update.values()) > u128::from(next).pow(2));
        }
    }

    #[test]
    fn the_short_ways_are_the_long_ones(sum in any::<i64>(), base in any::<i32>(), num in 1..=MAX_LEARNING_RATE_TERM,
                                        den in 1..=MAX_LEARNING_RATE_TERM, weight_total in 1..=MAX_WEIGHT_TOTAL,
                                        small in 0u32..63, value in any::<f64>(), half in -4000i32..4000) {
        let step = ServerStep { frac_bits: 24, update_bits: 15, lr_num: num, lr_den: den, weight_total };
        let (numerator, denominator) = step.factors().unwrap();
        for sum in [sum, sum >> small] {
            let next = i128::from(base) + div_half_even(i128::from(sum) * numerator, denominator);
            let next = next.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32;
            prop_assert_eq!(next_model(&[base], &[sum], step).unwrap(), [next]);
        }
        for value in [value.clamp(-1e15, 1e15), f64::from(half) / 2.0] {
            prop_assert!(value.is_nan() || round_even(value) == value.round_ties_even());
        }
    }

    #[test]
    fn no_bits_panic(bits in prop::collection::vec(any::<u32>(), 1..50)) {
        let delta: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let _ = quantise(&delta, &scale());
        let _ = base_from_f32(&delta, 24);
    }

    #[test]
    fn a_base_model_of_f32_precision_reads_back(base in prop::collection::vec(-(1i32 << 24)..(1 << 24), 1..50)) {
        prop_assert_eq!(base_from_f32(&base_to_f32(&base, 24), 24).unwrap(), base);
    }

    #[test]
    fn the_step_agrees_with_real_arithmetic(
        sum in -(1i64 << 31)..(1 << 31), lr_num in 1u64..1000, lr_den in 1u64..1000, weight_total in 1u64..65_535,
    ) {
        let step = ServerStep { frac_bits: 24, update_bits: 15, lr_num, lr_den, weight_total };
        let next = f64::from(next_model(&[0], &[sum], step).unwrap()[0]);
        let exact = sum as f64 * lr_num as f64 * 512.0 / (lr_den as f64 * weight_total as f64);
        prop_assert!((next - exact.clamp(i32::MIN.into(), i32::MAX.into())).abs() <= 0.5 + exact.abs() * 1e-12);
    }
}
