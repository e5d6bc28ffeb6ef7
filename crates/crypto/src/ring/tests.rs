use proptest::prelude::*;

use super::*;

/// `X_k` by its definition.
fn naive_ntt(x: &Poly) -> Vec<u64> {
    let psi = root_of_unity();
    (0..N as u32)
        .map(|k| {
            let brv = k.reverse_bits() >> (32 - LOG_N);
            let point = pow(psi, 2 * u64::from(brv) + 1);
            // Horner from the highest coefficient.
            x.iter().rev().fold(0, |acc, &c| add(mul(acc, point), c))
        })
        .collect()
}

fn poly(seed: u64) -> Box<Poly> {
    let mut out = zero_poly();
    let mut state = seed;
    for x in out.iter_mut() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *x = reduce(state);
    }
    out
}

#[test]
fn the_root_has_order_4096() {
    let psi = root_of_unity();
    assert_eq!(pow(psi, N as u64), Q - 1);
    assert_eq!(Q % (1 << 14), 1);
}

#[test]
fn transform_equals_naive_evaluation() {
    for x in [poly(1), Box::new([Q - 1; N]), zero_poly()] {
        let mut y = x.clone();
        ntt(&mut y);
        assert_eq!(y.as_slice(), naive_ntt(&x));
        intt(&mut y);
        assert_eq!(y, x);
    }
}

#[test]
fn lazy_inputs_give_the_same_values() {
    let mut reduced = poly(5);
    let mut lazy: Box<Poly> = reduced.clone();
    lazy.iter_mut().for_each(|x| *x += Q);
    let mut inverse = (reduced.clone(), lazy.clone());
    ntt(&mut reduced);
    ntt(&mut lazy);
    assert_eq!(reduced, lazy);
    intt(&mut inverse.0);
    intt(&mut inverse.1);
    assert_eq!(inverse.0, inverse.1);
    let mut largest = Box::new([2 * Q - 1; N]);
    super::ntt::intt_lazy(&mut largest);
    assert!(largest.iter().all(|&v| v < 2 * Q));
}

#[test]
fn floats_and_integers_agree() {
    if !float::at_hand() {
        println!("this processor has no fused multiply-add: there is one way only");
        return;
    }
    let alternating: Box<Poly> = Box::new(std::array::from_fn(|i| if i % 2 == 0 { 2 * Q - 1 } else { 0 }));
    let halves: Box<Poly> = Box::new(std::array::from_fn(|i| if i % 3 == 0 { Q / 2 } else { Q / 2 + 1 }));
    let mut polys = vec![Box::new([2 * Q - 1; N]), Box::new([Q - 1; N]), zero_poly(), alternating, halves];
    polys.extend((0..200).map(poly));
    for (i, x) in polys.iter().enumerate() {
        let (mut floats, mut integers) = (x.clone(), x.clone());
        float::ntt(&mut floats);
        super::ntt::integer_ntt(&mut integers);
        assert_eq!(floats, integers, "transform of {i}");
        let (mut floats, mut integers) = (x.clone(), x.clone());
        float::intt(&mut floats);
        super::ntt::integer_intt(&mut integers);
        assert_eq!(floats, integers, "inverse of {i}");
        let reduced = |x: &Poly| -> Box<Poly> { Box::new(x.map(reduce)) };
        let (mut floats, other) = (reduced(x), reduced(&polys[(i + 1) % polys.len()]));
        let mut integers: Box<Poly> = Box::new(std::array::from_fn(|k| mul(floats[k], other[k])));
        float::product_intt(&mut floats, &other);
        super::ntt::integer_intt(&mut integers);
        assert_eq!(floats, integers, "product of {i}");
    }
}

#[test]
fn products_in_the_transform_domain_are_negacyclic() {
    let (a, b) = (poly(2), poly(3));
    let mut expected = vec![0i128; N];
    for i in 0..N {
        for j in 0..N {
            let p = i128::from(mul(a[i], b[j]));
            if i + j < N { expected[i + j] += p } else { expected[i + j - N] -= p }
        }
    }
    let (mut x, mut y) = (a, b);
    ntt(&mut x);
    ntt(&mut y);
    x.iter_mut().zip(y.iter()).for_each(|(x, &y)| *x = mul(*x, y));
    intt(&mut x);
    let expected: Vec<u64> = expected.into_iter().map(from_i128).collect();
    assert_eq!(x.as_slice(), expected);
}

fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..3u64, Q - 2..Q + 3, MASK - 2..MASK + 3, u64::MAX - 2..=u64::MAX]
}

proptest! {
    #[test]
    fn folding_equals_division(x in edge(), y in edge()) {
        let wide = (u128::from(x) << 64) | u128::from(y);
        let (q, a, b) = (u128::from(Q), x % Q, y % Q);
        prop_assert_eq!(reduce(x), a);
        prop_assert_eq!(u128::from(reduce_wide(wide)), wide % q);
        prop_assert_eq!(u128::from(mul(a, b)), u128::from(a) * u128::from(b) % q);
        prop_assert_eq!(u128::from(add(a, b)), (u128::from(a) + u128::from(b)) % q);
        prop_assert_eq!(add(sub(a, b), b), a);
        prop_assert_eq!(add(a, neg(a)), 0);
        prop_assert_eq!(from_i128(-(wide as i128 >> 1)), neg(from_i128(wide as i128 >> 1)));
    }

    #[test]
    fn centring_is_undone_by_the_residue(x in edge()) {
        let x = x % Q;
        let c = centre(x);
        prop_assert!(c.unsigned_abs() <= Q / 2);
        prop_assert_eq!(from_signed(c), x);
    }

    #[test]
    fn inverses(x in 1..Q) {
        prop_assert_eq!(mul(x, invert(x)), 1);
        let mut all = [x, 1, 2, Q - x];
        invert_all(&mut all);
        prop_assert_eq!(all, [invert(x), 1, invert(2), invert(Q - x)]);
    }
}
