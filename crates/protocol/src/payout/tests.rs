use alloy_primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::quality::{Scores, Vote};

fn address(n: u8) -> Address {
    Address::repeat_byte(n)
}

fn admitted(rows: &[(u8, u128)], fees: &[u128]) -> Admitted {
    let item = |(n, (verdict, quality)): (usize, &(u8, u128))| AdmitItem {
        participant: address(n as u8 + 1),
        verdict: *verdict,
        class: 10 * (n as u16 + 1),
        quality: *quality,
    };
    let vote = |(n, fee): (usize, &u128)| ValidatorVote {
        validator: address(n as u8 + 100),
        vote: Vote { agreed: *fee, fee_weight: U256::from(*fee) },
    };
    Admitted {
        items: rows.iter().enumerate().map(item).collect(),
        votes: fees.iter().enumerate().map(vote).collect(),
        scores: Scores::Valid,
    }
}

fn pays(settlement: &Settlement) -> Vec<u128> {
    settlement.items.iter().map(|item| item.pay).collect()
}

#[track_caller]
fn check(pot: u128, fee_bps: u16, rows: &[(u8, u128)], fees: &[u128], expected: &[u128]) -> Settlement {
    let settlement = settle(pot, fee_bps, &admitted(rows, fees), &CumulativeLedger::default()).unwrap();
    assert_eq!(pays(&settlement), expected);
    settlement
}

#[test]
fn the_pot_is_split_by_quality_and_nothing_is_lost() {
    // 1000 less a tenth: thirds of 900, halves of 100.
    let settlement = check(1000, 1000, &[(0, 1), (0, 1), (0, 1)], &[1, 1], &[300, 300, 300, 50, 50]);
    assert_eq!(settlement.total, 1000);
    check(10, 0, &[(0, 1), (0, 1), (0, 1)], &[1], &[3, 3, 4, 0]);
}

#[test]
fn only_the_admitted_are_paid_and_only_a_has_leaves() {
    // Below the floor: a leaf without pay. Audit, residual, oversize: no leaf.
    let rows = [(0, 3), (4, 2), (1, 0), (2, 0), (3, 0), (0, 1)];
    let settlement = check(1000, 0, &rows, &[1], &[750, 0, 250, 0]);
    assert_eq!(settlement.items[1].quality, 2);
    assert_eq!(settlement.items[1].weight, U256::ZERO);
    assert_eq!(settlement.items[1].prefix, U256::from(3));
    assert_eq!(settlement.items[2].index, 2);
    assert_eq!(settlement.items[3].role, Role::Validator as u8);
}

#[test]
fn a_round_without_quality_pays_nobody() {
    let settlement = check(1000, 1000, &[(0, 0), (0, 0)], &[5], &[0, 0, 0]);
    assert_eq!(settlement.total, 0);
    assert!(settlement.ledger.payouts().is_empty());
    assert_eq!(settlement.payout_tree().root(), B256::ZERO);
}

#[test]
fn without_fee_weights_hospitals_take_the_pot() {
    check(1000, 1000, &[(0, 1)], &[0, 0], &[1000, 0, 0]);
}

#[test]
fn the_ledger_only_grows() {
    let first = check(1000, 0, &[(0, 1), (0, 3)], &[], &[250, 750]);
    let again = settle(1000, 0, &admitted(&[(0, 1), (0, 0)], &[]), &first.ledger).unwrap();
    assert_eq!(again.items[0].cumulative, 1250);
    assert_eq!(again.items[1].cumulative, 750);
    assert_eq!(CumulativeLedger::from_payouts(&again.ledger.payouts()).unwrap(), again.ledger);
    let tree = again.payout_tree();
    let (cumulative, proof) = tree.proof(address(1)).unwrap();
    assert_eq!(cumulative, U256::from(1250));
    assert!(verify_claim(tree.root(), address(1), cumulative, &proof));
    assert!(!verify_claim(tree.root(), address(2), cumulative, &proof));
    assert!(tree.proof(address(9)).is_none());
}

#[test]
fn what_does_not_fit_is_an_error() {
    let rich = settle(u128::MAX, 0, &admitted(&[(0, 1)], &[]), &CumulativeLedger::default()).unwrap();
    assert!(settle(1, 0, &admitted(&[(0, 1)], &[]), &rich.ledger).is_err());
    assert!(settle(1, 10_001, &admitted(&[(0, 1)], &[]), &CumulativeLedger::default()).is_err());
    assert!(prefix_split_floor(1, &[U256::MAX, U256::from(1)]).is_err());
    assert!(prefix_split_floor(2, &[U256::MAX]).is_err());
    let item = PayoutItem { account: address(1), cumulative: U256::MAX };
    assert!(CumulativeLedger::from_payouts(&[item]).is_err());
}

#[test]
fn a_closed_federation_is_split_by_class() {
    let ledger = close_split(60, &admitted(&[(0, 0), (4, 9), (0, 0)], &[1]), &CumulativeLedger::default()).unwrap();
    // Classes 10 and 30.
    assert_eq!([1, 2, 3].map(|n| ledger.of(address(n))), [15, 0, 45]);
}

#[test]
fn the_settle_tree_proves_its_leaves_and_its_sum() {
    for count in 0u8..10 {
        let rows: Vec<_> = (0..count).map(|n| (0, u128::from(n) + 1)).collect();
        let settlement = settle(1000, 0, &admitted(&rows, &[]), &CumulativeLedger::default()).unwrap();
        let tree = settlement.settle_tree().unwrap();
        assert_eq!(tree.total(), settlement.total);
        for item in &settlement.items {
            let proof = tree.proof(item.index).unwrap();
            let verify = |item: &SettleItem| verify_settle(tree.root(), count.into(), item, &proof);
            assert!(verify(item));
            assert!(!verify(&SettleItem { pay: item.pay + 1, ..item.clone() }));
            assert!(!verify(&SettleItem { index: item.index ^ 1, ..item.clone() }));
            assert!(!verify_settle(tree.root(), u32::from(count) + 1, item, &proof));
        }
        assert!(tree.proof(count.into()).is_none());
    }
}

#[test]
fn the_openzeppelin_sample_has_its_published_root() {
    // From the README of @openzeppelin/merkle-tree.
    let items = [
        (Address::repeat_byte(0x11), 5_000_000_000_000_000_000u128),
        (Address::repeat_byte(0x22), 2_500_000_000_000_000_000),
    ];
    let items = items.map(|(account, amount)| PayoutItem { account, cumulative: U256::from(amount) });
    let root = "0xd4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77";
    assert_eq!(PayoutTree::new(&items).root().to_string(), root);
}

proptest! {
    #[test]
    fn paid_is_the_pot_or_nothing(
        pot in any::<u128>(),
        fee_bps in 0u16..=10_000,
        rows in prop::collection::vec((0u8..5, 0u128..1 << 32), 0..12),
        fees in prop::collection::vec(0u128..1 << 120, 0..5),
    ) {
        let settlement = settle(pot, fee_bps, &admitted(&rows, &fees), &CumulativeLedger::default()).unwrap();
        let paid: u128 = pays(&settlement).iter().sum();
        prop_assert_eq!(paid, settlement.total);
        let anyone = rows.iter().any(|(verdict, quality)| *verdict == 0 && *quality > 0);
        prop_assert_eq!(paid, if anyone { pot } else { 0 });
        let credited: U256 = settlement.ledger.payouts().iter().map(|item| item.cumulative).sum();
        prop_assert_eq!(credited, U256::from(paid));
        prop_assert_eq!(settlement.settle_tree().unwrap().total(), paid);
    }

    #[test]
    fn no_weights_panic(pot in any::<u128>(), weights in prop::collection::vec(any::<[u64; 4]>(), 0..6)) {
        let weights: Vec<U256> = weights.into_iter().map(U256::from_limbs).collect();
        if let Ok(shares) = prefix_split_floor(pot, &weights) {
            prop_assert!(shares.iter().map(|share| share.pay).sum::<u128>() <= pot);
        }
    }

    #[test]
    fn more_quality_is_never_paid_less(pot in 0u128..1 << 100, rows in prop::collection::vec(0u128..1 << 32, 2..8)) {
        let all: Vec<_> = rows.iter().map(|quality| (0, *quality)).collect();
        let pays = pays(&settle(pot, 0, &admitted(&all, &[]), &CumulativeLedger::default()).unwrap());
        for (i, j) in (0..rows.len()).flat_map(|i| (0..rows.len()).map(move |j| (i, j))) {
            // Up to the one unit that rounding of prefixes moves.
            prop_assert!(rows[i] < rows[j] || pays[i] + 1 >= pays[j]);
        }
    }

    #[test]
    fn every_claim_proves(amounts in prop::collection::vec(1u128.., 1..40)) {
        let items: Vec<_> = amounts.iter().enumerate().map(|(n, amount)| PayoutItem {
            account: address(n as u8),
            cumulative: U256::from(*amount),
        }).collect();
        let tree = PayoutTree::new(&items);
        for item in &items {
            let (cumulative, proof) = tree.proof(item.account).unwrap();
            prop_assert_eq!(cumulative, item.cumulative);
            prop_assert!(verify_claim(tree.root(), item.account, cumulative, &proof));
        }
    }
}
