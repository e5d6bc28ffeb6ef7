use super::*;
use crate::encrypt::{DATA_BLOCK_BYTES, DATA_WORD_MAX};
use crate::error::CryptoError;
use crate::matrix::EpochSeed;
use crate::ring::{N, Q, add, from_i128, intt, mul, sub};
use crate::testing::{ALL_VALUES, Federation, Values, rng, secret};
use rand_core::Rng;

/// Signs, small integers, and the extremes of seven.
fn directions(d: usize) -> Vec<Vec<i8>> {
    let mut rng = rng(d as u64);
    let mut random = |span: u32| -> Vec<i8> {
        let half = (span / 2) as i8;
        (0..d).map(|_| (rng.next_u32() % span) as i8 - half).collect()
    };
    vec![random(3), random(15), vec![7; d]]
}

fn open(f: &Federation, i: usize, responders: &[u16], answers: &[u64], g: &[Direction]) -> crate::Result<ScoreOpening> {
    let norms: Vec<u64> = g.iter().map(Direction::norm2).collect();
    open_score(&f.inner(i, g), responders, answers, f.t, f.delta, &norms)
}

fn check_exact(f: &Federation, who: impl Iterator<Item = usize>) {
    let entries = directions(f.d);
    let g: Vec<Direction> = entries.iter().map(|e| Direction(e)).collect();
    let responders: Vec<u16> = (0..f.t as u16).collect();
    for i in who {
        let answers = f.score_answers(i, f.t, &g);
        let opening = open(f, i, &responders, &answers, &g).unwrap();
        assert_eq!(opening.scores, f.expected_scores(i, &g));
        assert_eq!(opening.subset, responders);
        assert!(opening.off.is_empty());
    }
}

#[test]
fn scores_are_exact_for_all_values() {
    for values in ALL_VALUES {
        check_exact(&Federation::new(3, 2 * N + 4, (4, 3), values), 0..3);
        check_exact(&Federation::new(10, N - 1, (4, 3), values), 0..10);
        check_exact(&Federation::new(100, 33, (5, 4), values), (0..100).step_by(7));
    }
    check_exact(&Federation::new(1000, 3, (4, 3), Values::Random), (0..1000).step_by(97));
}

/// `L` by its definition: the form takes the secret to `<a·s, g>` in coefficients.
#[test]
fn the_linear_form_is_the_inner_product_with_the_mask() {
    let (seed, s) = (EpochSeed([4; 32]), secret(8));
    let d = N + 100;
    let entries = &directions(d)[1];
    let form = linear_form(&seed, &Direction(entries));
    let mut expected = 0;
    for (j, block) in entries.chunks(N).enumerate() {
        let mut x = seed.data_block(j as u64);
        x.iter_mut().zip(s.words()).for_each(|(a, &s)| *a = mul(*a, s));
        intt(&mut x);
        for (&x, &g) in x.iter().zip(block) {
            expected = add(expected, from_i128(i128::from(x) * i128::from(g)));
        }
    }
    let got = s.words().iter().zip(form.words()).fold(0, |t, (&s, &l)| add(t, mul(s, l)));
    assert_eq!(got, expected);
}

#[test]
fn half_of_the_redundancy_may_lie() {
    let cases = [(4, 3, vec![1], 0x1234_5678_9abc), (10, 7, vec![0], 0x1234_5678_9abc)];
    // A lie of whole units fits the residual of every subset whose weights are integers.
    // In a full committee no search would get past liars at its beginning.
    let whole = [(10, 7, vec![0], 1 << 40), (13, 9, vec![2, 12], 1 << 40), (64, 43, (0..10).collect(), 1 << 40)];
    for (m, t, liars, lie) in cases.into_iter().chain(whole) {
        let f = Federation::new(3, 100, (m, t), Values::Random);
        let entries = directions(f.d);
        let g: Vec<Direction> = entries.iter().map(|e| Direction(e)).collect();
        let mut answers = f.score_answers(0, m, &g);
        for &k in &liars {
            let word = &mut answers[k as usize * g.len() + 1];
            *word = sub(*word, lie);
        }
        let responders: Vec<u16> = (0..m as u16).collect();
        let opening = open(&f, 0, &responders, &answers, &g).unwrap();
        let honest = responders.iter().copied().filter(|k| !liars.contains(k));
        assert_eq!(opening.subset, honest.take(t).collect::<Vec<_>>());
        assert_eq!(opening.off, liars);
        assert_eq!(opening.scores, f.expected_scores(0, &g));
    }
}

/// What version 0 does not prevent: the weights of members 0, 1, 2 are 3, −3, 1, so a lie of whole units stays one.
/// The fourth answer shows that somebody lied, not who.
#[test]
fn a_lie_of_whole_units_moves_a_score_and_is_noticed() {
    let f = Federation::new(3, 100, (4, 3), Values::Random);
    let entries = directions(f.d);
    let g: Vec<Direction> = entries.iter().map(|e| Direction(e)).collect();
    let mut answers = f.score_answers(0, 4, &g);
    answers[g.len()] = add(answers[g.len()], f.delta);
    let opening = open(&f, 0, &[0, 1, 2, 3], &answers, &g).unwrap();
    let mut moved = f.expected_scores(0, &g);
    moved[0] += 3;
    assert_eq!(opening.scores, moved);
    assert_eq!((opening.subset, opening.off), (vec![0, 1, 2], vec![3]));
}

#[test]
fn wrong_shares_and_other_secrets_do_not_open() {
    let mut f = Federation::new(3, 100, (4, 3), Values::Random);
    let entries = directions(f.d);
    let g: Vec<Direction> = entries.iter().map(|e| Direction(e)).collect();
    let members = [0, 1, 2, 3];
    let honest = f.score_answers(0, 4, &g);
    assert!(open(&f, 0, &members, &honest, &g).is_ok());
    // Answers about another participant, and shares of a secret that encrypted nothing.
    let other = f.score_answers(1, 4, &g);
    assert_eq!(open(&f, 0, &members, &other, &g), Err(CryptoError::NoSubset { tried: 1 }));
    f.participants[0].shares = crate::share::deal(&secret(3), 4, 3, &mut rng(4)).unwrap();
    let foreign = f.score_answers(0, 4, &g);
    assert_eq!(open(&f, 0, &members, &foreign, &g), Err(CryptoError::NoSubset { tried: 1 }));
    // Members in another order answer as each other.
    let mut swapped = honest.clone();
    swapped.rotate_left(g.len());
    assert!(open(&f, 0, &members, &swapped, &g).is_err());
}

#[test]
fn malformed_inputs_are_refused() {
    let f = Federation::new(3, 50, (4, 3), Values::Random);
    let entries = directions(f.d);
    let g: Vec<Direction> = entries.iter().map(|e| Direction(e)).collect();
    let answers = f.score_answers(0, 4, &g);
    let refused = |responders: &[u16], answers: &[u64]| open(&f, 0, responders, answers, &g).unwrap_err();
    assert!(matches!(refused(&[0, 1, 2, 3], &answers[1..]), CryptoError::Length { .. }));
    assert!(matches!(refused(&[0, 1], &answers[..2 * g.len()]), CryptoError::TooFewAnswers { needed: 3, got: 2 }));
    assert_eq!(refused(&[0, 2, 2, 3], &answers), CryptoError::MemberOrder { member: 2 });
    assert_eq!(refused(&[1, 0, 2, 3], &answers), CryptoError::MemberOrder { member: 0 });
    let mut large = answers.clone();
    large[4] = Q;
    assert!(matches!(refused(&[0, 1, 2, 3], &large), CryptoError::WordOutOfRange { position: 4, .. }));
    let norms = vec![1; g.len()];
    let scale = open_score(&f.inner(0, &g), &[0, 1, 2, 3], &answers, 3, 100_000, &norms);
    assert!(matches!(scale, Err(CryptoError::Scale { .. })));

    let mut block = f.participants[0].ciphertext.data[..DATA_BLOCK_BYTES].to_vec();
    assert!(inner_partial(&block, &[1; N + 1]).is_err());
    assert!(inner_partial(&block[1..], &[1]).is_err());
    block[6..12].copy_from_slice(&(DATA_WORD_MAX + 1).to_be_bytes()[2..]);
    let refused = inner_partial(&block, &[0]).unwrap_err();
    assert!(matches!(refused, CryptoError::WordOutOfRange { position: 1, .. }));
}

#[test]
fn inner_products_hold_at_the_extremes() {
    let mut block = vec![0; DATA_BLOCK_BYTES];
    for w in block.chunks_mut(6) {
        w.copy_from_slice(&DATA_WORD_MAX.to_be_bytes()[2..]);
    }
    for g in [i8::MIN, i8::MAX, -1, 0] {
        let expected = from_i128(i128::from(DATA_WORD_MAX) * i128::from(g) * N as i128);
        assert_eq!(inner_partial(&block, &[g; N]), Ok(expected));
    }
    // The middle of the dropped bits is floored, also below zero.
    for (entries, mid) in [(vec![1i8], 1), (vec![-1], -2), (vec![-1, -1], -3), (vec![], 0)] {
        assert_eq!(finish_inner(0, &Direction(&entries)), from_i128(mid));
    }
}
