//! Hospitals that leave off: after their upload, or before it.

use almoner_chain::{PotChange, RoundStatus};
use almoner_participant::Duty;
use almoner_protocol::types::{LockItem, ScoreItem};
use almoner_protocol::{Address, Stage};

use crate::federation::{Aggregator, Federation, Quarter, all_done, honest, pass, run, settle, three_honest, without};
use crate::hand::Hand;

/// Committee index of an account: committee lists are in address order, and everybody serves.
fn committee_index(items: &[LockItem], account: Address) -> u16 {
    let at = items.iter().position(|item| item.manifest.participant == account).unwrap();
    u16::try_from(at).unwrap()
}

#[test]
fn a_silent_member_costs_nobody_anything() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
        let holder = federation.absent.pop().unwrap();
        let mut silent = Hand::new(&federation, 3, &holder).await;
        silent.join().await;
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let rounds = settle(net, scenario, 1, async {
            silent.ready(1).await;
            let terms = silent.terms(1, Stage::Promise).await;
            let contributed = silent.contribution(&terms).await;
            silent.upload(&terms, contributed).await.unwrap();
            all_done(hospitals, 1, Duty::AnswerScores).await;
            pass(&ledger, number, 1, Stage::Score, Quarter::Half).await;
        })
        .await;
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        assert_eq!(rounds[0].model, honest.rounds[0].model);

        // Who answered is public: everybody but that one, for everybody.
        let round = federation.round(1).await;
        let lock: Vec<LockItem> = federation.list(&round, Stage::Lock).await;
        let index = committee_index(&lock, silent.account());
        let others: Vec<u16> = (0..4).filter(|member| *member != index).collect();
        let scores: Vec<ScoreItem> = federation.list(&round, Stage::Score).await;
        assert_eq!(scores.len(), 4);
        assert!(scores.iter().all(|item| item.responders == others));
        let signers = round.admitted.expect("an admitted set").signers;
        assert!(signers.len() == 3 && !signers.contains(&silent.account()));
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}

#[test]
fn two_silent_members_void_the_round_and_nothing_is_opened() {
    run(async {
        let mut federation = Federation::found(2, Aggregator::Honest, 1).await;
        let mut silent = Vec::new();
        for (index, holder) in (2..).zip(federation.absent.clone()) {
            let mut hand = Hand::new(&federation, index, &holder).await;
            hand.join().await;
            silent.push(hand);
        }
        let pot = federation.scenario.spec.round.pot.0;
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let beside = async {
            for hand in &mut silent {
                hand.ready(1).await;
            }
            for hand in &mut silent {
                let terms = hand.terms(1, Stage::Promise).await;
                let contributed = hand.contribution(&terms).await;
                hand.upload(&terms, contributed).await.unwrap();
            }
            // Two acknowledge the directions, three would have to: no member answers.
            all_done(hospitals, 1, Duty::AckDirection).await;
            silent[0].terms(1, Stage::Audit).await;
            pass(&ledger, number, 1, Stage::Score, Quarter::LastCall).await;
        };
        let following = async { net.follow(scenario, 1, &mut |_, _| {}).await };
        let (ended, ()) = tokio::join!(following, beside);
        let text = ended.expect_err("the round ends without a settlement").to_string();
        assert_eq!(text, "round 1 is void: Void(TooFewAcks { stage: Direction, have: 2, need: 3 })");

        let round = federation.round(1).await;
        assert_eq!(round.status, RoundStatus::Void);
        assert!(!round.stages.contains_key(&Stage::Score), "no scalar was opened");
        let pots = federation.net.ledger.pots(federation.net.federation).await.unwrap();
        let last = pots.last().expect("a pot").change;
        assert_eq!(last, PotChange::Released { to_free: pot, to_carry: 0 });
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        assert!(report.opened_scalars.values().all(|opened| *opened == 0), "{:?}", report.opened_scalars);
        federation.net.stop().await.unwrap();
    });
}

#[test]
fn a_straggler_is_left_behind() {
    let without_it = three_honest();
    run(async {
        let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
        let holder = federation.absent.pop().unwrap();
        let mut straggler = Hand::new(&federation, 3, &holder).await;
        straggler.join().await;
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let rounds = settle(net, scenario, 1, async {
            straggler.ready(1).await;
            all_done(hospitals, 1, Duty::Contribute).await;
            pass(&ledger, number, 1, Stage::Lock, Quarter::LastCall).await;
            all_done(hospitals, 1, Duty::AnswerScores).await;
            pass(&ledger, number, 1, Stage::Score, Quarter::Half).await;
        })
        .await;
        // It held a seat and an index of the committee, and has no line in the settlement.
        let account = straggler.account();
        assert_eq!(rounds[0].paid, without(&rounds[0].paid, account));
        assert_eq!(rounds[0].paid, without_it.rounds[0].paid);
        let round = federation.round(1).await;
        assert_eq!((round.descriptor.members, round.locked), (4, Some(3)));
        let lock: Vec<LockItem> = federation.list(&round, Stage::Lock).await;
        assert!(lock.iter().all(|item| item.manifest.participant != account));
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
