use proptest::prelude::*;

use super::*;

fn check(parameters: u32, clip: f64, classes: &[u16], delta_bits: u32, update_bits: u8) -> Scale {
    let scale = Scale::derive(parameters, clip, 24, classes).unwrap();
    assert_eq!(scale.delta, 1 << delta_bits);
    assert_eq!(scale.update_bits, update_bits);
    assert_eq!(scale.clip, (clip * f64::from(1u32 << update_bits)) as u64);
    scale
}

/// Ten classes whose one-norm is 2550 and two-norm is about 807.
const TEN: [u16; 10] = [255; 10];

#[test]
fn vectors_of_the_design() {
    let heart = check(14, 0.25, &[199, 172, 30, 85], 17, 16);
    assert_eq!((heart.direction_norm, heart.update_max), (4, 32767));
    let demo = check(513, 1.0, &[127, 96, 64, 32], 17, 15);
    assert_eq!(demo.direction_norm, 23);
    check(1_000_000, 1.0, &TEN, 18, 20);
    check(10_000_000, 1.0, &TEN, 18, 19);
}

#[test]
fn refuses_what_no_scale_fits() {
    let refused = |d, clip, bits, classes: &[u16]| match Scale::derive(d, clip, bits, classes) {
        Err(Error::Descriptor { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(0, 1.0, 24, &[1]), "parameters");
    assert_eq!(refused(u32::MAX, 1.0, 24, &[1]), "parameters");
    assert_eq!(refused(10, 1.0, 31, &[1]), "fracBits");
    for clip in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert_eq!(refused(10, clip, 24, &[1]), "clip");
    }
    assert_eq!(refused(10, 1_000_000.0, 24, &[1]), "clip");
    assert_eq!(refused(10, 1.0, 24, &[]), "membershipRoot");
    assert_eq!(refused(10, 1.0, 24, &[0]), "membershipRoot");
    assert_eq!(refused(10, 1.0, 24, &[256]), "membershipRoot");
    assert_eq!(refused(10, 1.0, 24, &[255; 258]), "membershipRoot");
}

#[test]
fn the_coordinate_rule_is_exact_at_its_edge() {
    assert!(coordinates_fit(1, 32767.0, 32767));
    assert!(!coordinates_fit(1, 32767.000000001, 32767));
    // 16/√1024 = ½.
    assert!(coordinates_fit(1024, 65534.0, 32767));
    assert!(!coordinates_fit(1024, 65534.00000001, 32767));
}

proptest! {
    #[test]
    fn nothing_wraps(
        parameters in 1u32..crate::MAX_PARAMETERS,
        clip in 1e-3f64..1e3,
        classes in prop::collection::vec(1u16..=255, 1..257),
    ) {
        let Ok(scale) = Scale::derive(parameters, clip, 24, &classes) else { return Ok(()) };
        let (q, delta) = (u128::from(Q), u128::from(scale.delta));
        let one: u128 = classes.iter().map(|c| u128::from(*c)).sum();
        prop_assert!(2 * u128::from(scale.clip) * u128::from(scale.direction_norm) * delta <= q - delta);
        prop_assert!(2 * u128::from(scale.update_max) * one * delta <= q - delta);
        prop_assert!(scale.delta.is_power_of_two() && scale.delta >= 1 << 17);
        prop_assert!(scale.clip >= 1 && scale.update_bits <= 24);
    }

    #[test]
    fn a_smaller_clip_is_never_written_more_coarsely(
        parameters in 1u32..1_000_000,
        clip in 1e-2f64..1e2,
    ) {
        let scale = |clip| Scale::derive(parameters, clip, 24, &[100; 4]).unwrap();
        prop_assert!(scale(clip / 2.0).update_bits >= scale(clip).update_bits);
    }
}
