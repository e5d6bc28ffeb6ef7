use super::*;
use crate::encrypt::{DATA_BLOCK_BYTES, DATA_WORD_MAX, Encryptor, Params};
use crate::error::CryptoError;
use crate::ring::{N, from_i128, invert, mul, ntt, reduce_wide, sub};
use crate::share::{AnswerVec, interpolate};
use crate::testing::{ALL_VALUES, Federation, Values, rng, secret};

/// Opens with members `first … first + t − 1` and compares every value.
fn check_exact(f: &Federation, first: u16) {
    let answers: Vec<_> = (first..first + f.t as u16).map(|k| (k, f.answer(k))).collect();
    let answers: Vec<_> = answers.iter().map(|(k, a)| (*k, a)).collect();
    let secret = interpolate(&answers, f.t).unwrap();
    let rule = f.rule();
    verify_checks(&f.seed, &secret, f.check_sum().words(), rule.weight_norm2).unwrap();
    assert_eq!(open_all(f, &secret), f.expected_sum());
}

fn open_all(f: &Federation, secret: &AnswerVec) -> Vec<i64> {
    let mut values = Vec::new();
    for (j, sums) in f.data_sums().iter().enumerate() {
        let opened = open_block(&f.seed, j as u64, secret, sums.words(), &f.rule()).unwrap();
        assert!(opened.ok, "block {j}: {}", opened.max_residual);
        values.extend(opened.values);
    }
    assert!(values[f.d..].iter().all(|&v| v == 0));
    values.truncate(f.d);
    values
}

#[test]
fn sums_are_exact_for_all_values() {
    for values in ALL_VALUES {
        for n in [3, 10] {
            check_exact(&Federation::new(n, 2 * N + 4, (4, 3), values), 1);
        }
        check_exact(&Federation::new(100, N + 1, (4, 3), values), 0);
    }
}

#[test]
fn a_thousand_participants() {
    check_exact(&Federation::new(1000, 5, (4, 3), Values::Random), 0);
    check_exact(&Federation::new(1000, 5, (4, 3), Values::AllMax), 0);
}

#[test]
fn the_largest_weights_do_not_overflow() {
    let f = Federation::new(3, 3, (1, 1), Values::AllMax);
    let mut sum = SumBlock::new();
    let mut largest = vec![0; DATA_BLOCK_BYTES];
    for w in largest.chunks_mut(6) {
        w.copy_from_slice(&DATA_WORD_MAX.to_be_bytes()[2..]);
    }
    sum.add(&largest, u16::MAX).unwrap();
    assert_eq!(sum.words()[7], DATA_WORD_MAX * 65_535);
    let over = CryptoError::Weight { total: 65_536 };
    assert_eq!(sum.add(&largest, 1), Err(over));
    let mut check = CheckSum::new();
    check.add(&f.participants[0].ciphertext.check, u16::MAX).unwrap();
    assert_eq!(check.add(&f.participants[0].ciphertext.check, 1), Err(over));
}

#[test]
fn a_malformed_block_is_refused_and_leaves_the_sum() {
    let f = Federation::new(3, 10, (1, 1), Values::Random);
    let mut sum = f.data_sums().remove(0);
    let before = sum.clone();
    let mut block = f.participants[0].ciphertext.data.clone();
    block[6..12].copy_from_slice(&(DATA_WORD_MAX + 1).to_be_bytes()[2..]);
    let refused = sum.add(&block, 3).unwrap_err();
    assert!(matches!(refused, CryptoError::WordOutOfRange { position: 1, .. }));
    assert!(sum.add(&block[..block.len() - 6], 1).is_err());
    assert_eq!(sum, before);
    let mut check = f.participants[0].ciphertext.check.clone();
    check[8..16].copy_from_slice(&crate::ring::Q.to_be_bytes());
    let refused = CheckSum::new().add(&check, 1).unwrap_err();
    assert!(matches!(refused, CryptoError::WordOutOfRange { position: 1, .. }));
    assert!(CheckSum::new().add(&check[1..], 1).is_err());
}

/// Answers of all members, of which `liars` are changed.
fn answers_with_liars(f: &Federation, m: u16, liars: &[u16]) -> Vec<(u16, AnswerVec)> {
    let lie = |k: u16| {
        let mut bytes = f.answer(k).to_bytes();
        bytes[7 + 8 * usize::from(k)] ^= 1;
        AnswerVec::from_bytes(&bytes).unwrap()
    };
    (0..m).map(|k| (k, if liars.contains(&k) { lie(k) } else { f.answer(k) })).collect()
}

#[test]
fn half_of_the_redundancy_may_lie() {
    for (m, t, liars) in [(4, 3, vec![0]), (10, 7, vec![0]), (13, 9, vec![1, 11]), (64, 43, (0..10).collect())] {
        let f = Federation::new(3, 20, (m, t), Values::Random);
        let answers = answers_with_liars(&f, m as u16, &liars);
        let answers: Vec<_> = answers.iter().map(|(k, a)| (*k, a)).collect();
        let check = f.check_sum();
        let norm2 = f.rule().weight_norm2;
        let (subset, secret) = find_secret(&f.seed, &answers, t, check.words(), norm2).unwrap();
        let honest = (0..m as u16).filter(|k| !liars.contains(k)).take(t);
        assert_eq!(subset, honest.collect::<Vec<_>>());
        assert_eq!(open_all(&f, &secret), f.expected_sum());
        // With only t answers, one of them a lie, nothing opens.
        let few = find_secret(&f.seed, &answers[..t], t, check.words(), norm2);
        let expected = if liars[0] < t as u16 { 1 } else { 0 };
        assert_eq!(few.unwrap_err(), CryptoError::NoSubset { tried: expected });
    }
}

#[test]
fn fewer_than_t_answers_open_nothing() {
    let f = Federation::new(3, 4, (4, 3), Values::Random);
    let (a, b, c) = (f.answer(0), f.answer(1), f.answer(2));
    let two = interpolate(&[(0, &a), (1, &b)], 3);
    assert_eq!(two.unwrap_err(), CryptoError::TooFewAnswers { needed: 3, got: 2 });
    let disordered = interpolate(&[(0, &a), (2, &c), (1, &b)], 3);
    assert_eq!(disordered.unwrap_err(), CryptoError::MemberOrder { member: 1 });
    // Two answers taken for a threshold of two give another polynomial, hence no sum.
    let wrong = interpolate(&[(0, &a), (1, &b)], 2).unwrap();
    let refused = verify_checks(&f.seed, &wrong, f.check_sum().words(), f.rule().weight_norm2);
    assert!(matches!(refused, Err(CryptoError::CheckResidual { block: 0, .. })));
}

#[test]
fn shares_of_another_secret_are_noticed() {
    let mut f = Federation::new(3, 4, (4, 3), Values::Random);
    let answers: Vec<_> = (0..3).map(|k| (k, f.answer(k))).collect();
    f.participants[1].shares = crate::share::deal(&secret(77), 4, 3, &mut rng(1)).unwrap();
    let wrong: Vec<_> = (0..3).map(|k| (k, f.answer(k))).collect();
    let verify = |answers: &[(u16, AnswerVec)]| {
        let answers: Vec<_> = answers.iter().map(|(k, a)| (*k, a)).collect();
        let s = interpolate(&answers, 3).unwrap();
        verify_checks(&f.seed, &s, f.check_sum().words(), f.rule().weight_norm2)
    };
    assert!(verify(&answers).is_ok());
    assert!(verify(&wrong).is_err());
}

/// For one data block there is an `S` that opens any sum with residual zero; the check blocks refuse it.
#[test]
fn a_forged_secret_opens_a_block_but_not_the_checks() {
    let f = Federation::new(3, 30, (4, 3), Values::Random);
    let rule = f.rule();
    let sums = f.data_sums().remove(0);
    let wished: Vec<i64> = (0..N as i64).map(|i| i % 50 - 25).collect();
    let mid = rule.weight * 3 / 2;
    let mut target = crate::ring::zero_poly();
    for ((t, &c), &v) in target.iter_mut().zip(sums.words()).zip(&wished) {
        let lifted = reduce_wide((u128::from(c) << 2) + u128::from(mid));
        *t = sub(lifted, from_i128(i128::from(v) * i128::from(f.delta)));
    }
    ntt(&mut target);
    let a = f.seed.data_block(0);
    let words = target.iter().zip(a.iter()).map(|(&t, &a)| mul(t, invert(a)));
    let bytes: Vec<u8> = words.flat_map(u64::to_be_bytes).collect();
    let forged = AnswerVec::from_bytes(&bytes).unwrap();
    let opened = open_block(&f.seed, 0, &forged, sums.words(), &rule).unwrap();
    assert_eq!((opened.values, opened.max_residual, opened.ok), (wished, 0, true));
    let refused = verify_checks(&f.seed, &forged, f.check_sum().words(), rule.weight_norm2);
    assert!(matches!(refused, Err(CryptoError::CheckResidual { .. })));
}

#[test]
fn a_garbage_or_oversize_block_contributes_zero_and_others_open() {
    let mut f = Federation::new(3, 2 * N, (4, 3), Values::AllMax);
    let garbage = |f: &mut Federation, position: usize| f.participants[0].ciphertext.data[position] ^= 0x40;
    let open = |f: &Federation, j: usize| {
        let answers: Vec<_> = (0..3).map(|k| (k, f.answer(k))).collect();
        let answers: Vec<_> = answers.iter().map(|(k, a)| (*k, a)).collect();
        let s = interpolate(&answers, 3).unwrap();
        open_block(&f.seed, j as u64, &s, f.data_sums()[j].words(), &f.rule()).unwrap()
    };
    // A low byte of one word: a residual. The other block is untouched.
    garbage(&mut f, DATA_BLOCK_BYTES + 6 * 9 + 4);
    let (first, second) = (open(&f, 0), open(&f, 1));
    assert!(first.ok && !second.ok);
    assert_eq!(first.values, f.expected_sum()[..N]);
    assert_eq!(second.values, vec![0; N]);
    // A coefficient beyond U_max has a fine residual and is refused by its size.
    let large = secret(5);
    let shares = crate::share::deal(&large, 4, 3, &mut rng(2)).unwrap();
    let params = Params::new(f.delta, 4 * f.update_max).unwrap();
    let message = vec![4 * f.update_max as i32; N];
    let mut block = [0; DATA_BLOCK_BYTES];
    let mut encryptor = Encryptor::new(f.seed, large, params);
    encryptor.next_block(&message, &mut rng(3), &mut block).unwrap();
    f.participants[0].shares = shares;
    f.participants[0].ciphertext.data[..DATA_BLOCK_BYTES].copy_from_slice(&block);
    let weight = f.participants[0].weight;
    f.participants.truncate(1);
    let oversize = open(&f, 0);
    assert!(weight >= 1 && !oversize.ok && oversize.max_residual < 1000);
    assert_eq!(oversize.values, vec![0; N]);
}

#[test]
fn rounding_is_half_away_from_zero() {
    for (z, expected) in [(7, 0), (8, 1), (-7, 0), (-8, -1), (24, 2), (-24, -2), (23, 1)] {
        let (value, residual) = round(z, 16);
        assert_eq!((value, value * 16 + residual), (expected, z));
    }
}
