use proptest::prelude::*;
use subtle::ConstantTimeEq;

use super::*;
use crate::ring::{Q, add, mul};
use crate::testing::{rng, secret};

fn as_answer(share: &ShareVec) -> AnswerVec {
    weighted_sum(&[(1, share)])
}

#[test]
fn impossible_thresholds_are_refused() {
    for (m, t) in [(3, 0), (3, 4), (0, 0), (MEMBERS_MAX + 1, 3)] {
        assert!(deal(&secret(1), m, t, &mut rng(1)).is_err());
    }
}

#[test]
fn the_largest_committee_opens_by_its_last_members() {
    let s = secret(1);
    let t = 171;
    let shares = deal(&s, MEMBERS_MAX, t, &mut rng(1)).unwrap();
    let answers: Vec<_> = shares.iter().map(as_answer).collect();
    let last: Vec<_> = (0u16..).zip(&answers).skip(MEMBERS_MAX - t).collect();
    assert_eq!(interpolate(&last, t).unwrap().words(), s.words());
}

#[test]
fn a_threshold_of_one_is_the_secret_itself() {
    let s = secret(1);
    for share in deal(&s, 3, 1, &mut rng(1)).unwrap() {
        assert_eq!(share.words(), s.words());
    }
}

#[test]
fn shares_print_redacted_and_round_trip() {
    let share = &deal(&secret(1), 2, 2, &mut rng(1)).unwrap()[0];
    assert_eq!(format!("{share:?} {:?}", secret(1)), "ShareVec(redacted) Secret(redacted)");
    let mut bytes = share.to_bytes();
    let again = ShareVec::from_bytes(&bytes).unwrap();
    assert!(bool::from(again.ct_eq(share)));
    assert!(ShareVec::from_bytes(&bytes[1..]).is_err());
    assert!(ShareVec::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
    bytes[16..24].copy_from_slice(&Q.to_be_bytes());
    let refused = CryptoError::WordOutOfRange { what: "share", position: 2 };
    assert_eq!(ShareVec::from_bytes(&bytes).unwrap_err(), refused);
}

#[test]
fn the_share_root_is_the_tree_of_the_salted_leaves() {
    let shares = deal(&secret(1), 3, 2, &mut rng(1)).unwrap();
    let salts = [[1; 32], [2; 32], [3; 32]];
    let leaves: Vec<_> = shares.iter().zip(&salts).map(|(s, salt)| salted(salt, s).to_vec()).collect();
    let root = share_root(salts.iter().zip(&shares));
    assert_eq!(root, tree::root(tree::kind::SHARES, &leaves));
    assert_eq!(share_leaf(1, &salts[1], &shares[1]), tree::leaf_hash(0x25, 1, &leaves[1]));
    assert_ne!(root, share_root(salts.iter().rev().zip(&shares)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_t_members_give_the_secret_and_fewer_do_not(
        m in 1usize..12,
        t in 1usize..12,
        order in Just((0u16..12).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        prop_assume!(t <= m);
        let s = secret(m as u8);
        let shares = deal(&s, m, t, &mut rng(t as u64)).unwrap();
        let mut members: Vec<u16> = order.into_iter().filter(|&k| usize::from(k) < m).take(t).collect();
        members.sort_unstable();
        let answers: Vec<AnswerVec> = members.iter().map(|&k| as_answer(&shares[usize::from(k)])).collect();
        let pairs: Vec<_> = members.iter().copied().zip(&answers).collect();
        let opened = interpolate(&pairs, t).unwrap();
        prop_assert_eq!(opened.words(), s.words());
        if t > 1 {
            prop_assert!(interpolate(&pairs[1..], t).is_err());
            let opened = interpolate(&pairs[1..], t - 1).unwrap();
            prop_assert_ne!(opened.words(), s.words());
        }
    }

    #[test]
    fn weighted_sums_of_shares_are_shares_of_the_weighted_sum(a in any::<u16>(), b in any::<u16>()) {
        let (x, y) = (secret(1), secret(2));
        let shares = (deal(&x, 4, 3, &mut rng(1)).unwrap(), deal(&y, 4, 3, &mut rng(2)).unwrap());
        let answers: Vec<AnswerVec> = (0..3).map(|k| weighted_sum(&[(a, &shares.0[k]), (b, &shares.1[k])])).collect();
        let pairs: Vec<_> = (0..).zip(&answers).collect();
        let sum = interpolate(&pairs, 3).unwrap();
        for ((&s, &x), &y) in sum.words().iter().zip(x.words()).zip(y.words()) {
            prop_assert_eq!(s, add(mul(x, a.into()), mul(y, b.into())));
        }
    }
}
