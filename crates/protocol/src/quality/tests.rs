use proptest::prelude::*;

use super::*;

/// Norm and direction norm such that one sigma is 10: isqrt(100²·100/10000).
const PARAMETERS: u32 = 10_000;

fn entity(n: u8) -> B256 {
    B256::repeat_byte(n)
}

fn candidate(n: u8, scores: &[i64]) -> Candidate {
    Candidate { entity: entity(n), class: 1, norm: 100, scores: scores.to_vec() }
}

fn judge(n: u8) -> Judge {
    Judge { entity: entity(100 + n), stake: 1, norm_squared: 100 }
}

fn run(judges: &[Judge], candidates: &[Candidate]) -> Quality {
    quality(PARAMETERS, judges.iter().map(|j| j.stake).sum(), judges, candidates).unwrap()
}

fn qualities(quality: &Quality) -> Vec<u128> {
    let of = |standing: &Standing| match standing {
        Standing::Quality(quality) => *quality,
        Standing::Oversize => u128::MAX,
    };
    quality.standings.iter().map(of).collect()
}

/// One judge, so that quality is the share of the gain.
#[track_caller]
fn check(candidates: &[Candidate], expected: &[u128]) {
    let quality = run(&[judge(0)], candidates);
    assert_eq!(quality.scores, Scores::Valid);
    assert_eq!(qualities(&quality), expected);
}

const QUARTER: u128 = 1 << 30;

#[test]
fn one_sigma_is_taken_off_and_harm_earns_nothing() {
    // Gains 30, 10, 20, 0: the median is 20, so nothing is capped.
    let scores = [-40, -20, -30, 500];
    let candidates: Vec<_> = scores.iter().enumerate().map(|(n, s)| candidate(n as u8, &[*s])).collect();
    check(&candidates, &[2 * QUARTER, (1u128 << 32) / 6, (1u128 << 32) / 3, 0]);
}

#[test]
fn the_cap_is_twice_the_median() {
    // Gains 500, 10, 10: the first counts as 20.
    check(&[candidate(1, &[-510]), candidate(2, &[-20]), candidate(3, &[-20])], &[2 * QUARTER, QUARTER, QUARTER]);
}

#[test]
fn the_judges_own_house_gains_nothing() {
    let mut own = candidate(1, &[-510]);
    own.entity = judge(0).entity;
    check(&[own, candidate(2, &[-20]), candidate(3, &[-20])], &[0, 2 * QUARTER, 2 * QUARTER]);
}

#[test]
fn class_counts_and_a_norm_above_the_median_does_not() {
    let mut large = candidate(1, &[-30]);
    large.class = 2;
    // Twice the norm: sigma 20, gain 20·(100/200) = 10.
    let mut loud = candidate(2, &[-40]);
    loud.norm = 200;
    // Gains 40, 10, 20.
    check(&[large, loud, candidate(3, &[-30])], &[(1u128 << 32) * 4 / 7, (1u128 << 32) / 7, (1u128 << 32) * 2 / 7]);
}

#[test]
fn an_oversize_update_is_out_before_medians_are_taken() {
    // |w| = 1001 > 100·10.
    let mut rows = vec![candidate(1, &[1001]), candidate(2, &[-20]), candidate(3, &[-20])];
    let quality = run(&[judge(0)], &rows);
    assert_eq!(quality.standings[0], Standing::Oversize);
    assert_eq!(quality.standings[1], Standing::Quality(2 * QUARTER));
    rows[0].scores = vec![-1000];
    assert_ne!(run(&[judge(0)], &rows).standings[0], Standing::Oversize);
    // A zero norm allows no scalar but zero, and earns nothing.
    rows[0].norm = 0;
    assert_eq!(run(&[judge(0)], &rows).standings[0], Standing::Oversize);
    rows[0].scores = vec![0];
    assert_eq!(run(&[judge(0)], &rows).standings[0], Standing::Quality(0));
}

#[test]
fn a_judge_that_sees_no_median_gain_abstains() {
    let judges = [judge(0), judge(1), judge(2)];
    let rows = [candidate(1, &[-20, -20, 5]), candidate(2, &[-20, -20, -20]), candidate(3, &[-20, -20, 7])];
    let quality = run(&judges, &rows);
    assert_eq!(quality.scores, Scores::Valid);
    assert_eq!(quality.votes[2], Vote::default());
    assert_eq!(qualities(&quality), [(1u128 << 32) / 3; 3]);
}

#[test]
fn half_the_promised_stake_is_not_enough() {
    let rows = [candidate(1, &[-20]), candidate(2, &[-20]), candidate(3, &[-20])];
    let judges = [judge(0)];
    let void = quality(PARAMETERS, 2, &judges, &rows).unwrap();
    assert_eq!(void.scores, Scores::Void);
    assert_eq!(qualities(&void), [0; 3]);
    assert_eq!(void.votes, [Vote::default()]);
    assert_eq!(quality(PARAMETERS, 0, &[], &[candidate(1, &[])]).unwrap().scores, Scores::Void);
    assert_eq!(quality(PARAMETERS, 1, &judges, &[]).unwrap().scores, Scores::Void);
}

#[test]
fn consensus_is_what_a_stake_majority_grants() {
    // Two judges see equal gains, a third gives all it may to candidate 1.
    let rows = [candidate(1, &[-20, -20, -50]), candidate(2, &[-20, -20, -20]), candidate(3, &[-20, -20, -20])];
    let judges = [judge(0), judge(1), judge(2)];
    let third = (1u128 << 32) / 3;
    let quality = run(&judges, &rows);
    // The third judge's shares are ½, ¼, ¼: of the first only a third is agreed.
    assert_eq!(qualities(&quality), [third, (2 * third + QUARTER) / 3, (2 * third + QUARTER) / 3]);
    assert_eq!(quality.votes[2].agreed, third + 2 * QUARTER);

    // With a majority of the stake the third judge decides.
    let judges = [judge(0), judge(1), Judge { stake: 3, ..judge(2) }];
    assert_eq!(run(&judges, &rows).votes[2].agreed, 4 * QUARTER);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let rows = [candidate(1, &[-20])];
    assert!(quality(0, 1, &[judge(0)], &rows).is_err());
    assert!(quality(1, 1, &[judge(0), judge(1)], &rows).is_err());
    assert!(quality(1, 0, &[judge(0)], &rows).is_err());
    assert!(quality(1, 1 << STAKE_BITS, &[judge(0)], &rows).is_err());
    let huge = [Judge { stake: u128::MAX, ..judge(0) }, judge(1)];
    assert!(quality(1, u128::MAX, &huge, &[candidate(1, &[-1, -1])]).is_err());
}

prop_compose! {
    fn any_candidate(judges: usize)(
        house in 0u8..8, class in 1u16..=255, norm in any::<u64>(), small in 0u64..2000, tiny in any::<bool>(),
        scores in prop::collection::vec(prop_oneof![any::<i64>(), -3000i64..300], judges),
    ) -> Candidate {
        Candidate { entity: entity(house), class, norm: if tiny { small } else { norm }, scores }
    }
}

fn any_round() -> impl Strategy<Value = (Vec<Judge>, Vec<Candidate>)> {
    (0usize..5, 0usize..8).prop_flat_map(|(judges, candidates)| {
        let judge = (0u8..8, 0u128..1 << 90, 0u64..1 << 23).prop_map(|(house, stake, norm_squared)| Judge {
            entity: entity(house),
            stake,
            norm_squared,
        });
        (prop::collection::vec(judge, judges), prop::collection::vec(any_candidate(judges), candidates))
    })
}

proptest! {
    #[test]
    fn qualities_are_shares_of_one((judges, candidates) in any_round()) {
        let promised = judges.iter().map(|j| j.stake).sum();
        let quality = quality(PARAMETERS, promised, &judges, &candidates).unwrap();
        prop_assert_eq!(quality.standings.len(), candidates.len());
        prop_assert_eq!(quality.votes.len(), judges.len());
        let total: u128 = qualities(&quality).into_iter().filter(|q| *q != u128::MAX).sum();
        prop_assert!(total <= u128::from(FULL_QUALITY));
        prop_assert!(quality.votes.iter().all(|vote| vote.agreed <= u128::from(FULL_QUALITY)));
        // Whoever has quality has it from a validator that is paid for it.
        prop_assert!(total == 0 || quality.votes.iter().any(|vote| !vote.fee_weight.is_zero()));
    }

    #[test]
    fn a_better_score_never_lowers_the_candidate(
        scores in prop::collection::vec(-900i64..100, 5), at in 0usize..5, better in 0i64..100,
    ) {
        let rows = |scores: &[i64]| -> Vec<Candidate> {
            scores.iter().enumerate().map(|(n, s)| candidate(n as u8, &[*s])).collect()
        };
        let before = qualities(&run(&[judge(0)], &rows(&scores)))[at];
        let mut improved = scores.clone();
        improved[at] -= better;
        prop_assert!(qualities(&run(&[judge(0)], &rows(&improved)))[at] >= before);
    }

    #[test]
    fn order_of_candidates_does_not_matter((judges, candidates) in any_round()) {
        let promised = judges.iter().map(|j| j.stake).sum();
        let forward = quality(PARAMETERS, promised, &judges, &candidates).unwrap();
        let reversed: Vec<_> = candidates.into_iter().rev().collect();
        let mut backward = quality(PARAMETERS, promised, &judges, &reversed).unwrap();
        backward.standings.reverse();
        prop_assert_eq!(forward, backward);
    }
}
