//! Hospitals that leave off: after their upload, or before it.

use almoner_chain::{PotChange, RoundStatus};
use almoner_journal::Answered;
use almoner_participant::Duty;
use almoner_proto::ErrorKind;
use almoner_protocol::round::Fault;
use almoner_protocol::types::{LockItem, ScoreItem};
use almoner_protocol::{B256, Stage};

use crate::agent::{Agent, Over};
use crate::face::Face;
use crate::federation::{
    Aggregator, Federation, Quarter, all_done, committee_index, done, given_up, pass, run, settle, without,
};
use crate::hand::{Hand, Role, refusal};
use crate::honest::{honest, three_honest};

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
        let mut federation = Federation::found(1, Aggregator::Honest, 1).await;
        let deployment = federation.net.ledger.deployment().clone();
        let mut face = Face::open(&federation.net.url).await;
        let agent = Agent::new(&federation, Role::Hospital, 1, &federation.absent[0]);
        let mut patient = agent.join(Over::port(&face.url, &deployment).await).await;
        let mut silent = Vec::new();
        for (index, holder) in (2..).zip(federation.absent.split_off(1)) {
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
            done(&mut patient.site, 1, Duty::AckDirection).await;
            // It would answer now: it asks for the acknowledgements, and in vain. Asking again, it is done with that.
            face.asked().await;
            face.asked().await;
            pass(&ledger, number, 1, Stage::Score, Quarter::LastCall).await;
        };
        let (text, faults) = given_up(net, scenario, beside).await;
        assert_eq!(text, "round 1 is void: Void(TooFewAcks { stage: Direction, have: 2, need: 3 })");
        silent.sort_by_key(Hand::account);
        let named = |hand: &Hand| Fault::NoAck { member: hand.account(), stage: Stage::Direction };
        assert_eq!(faults, silent.iter().map(named).collect::<Vec<_>>());

        let round = federation.round(1).await;
        assert_eq!(round.status, RoundStatus::Void);
        let answered = agent.memory().answer_once(round.ctx, Stage::Score, B256::ZERO).await.unwrap();
        assert_eq!(answered, Answered::First, "it gave an answer before");
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
            let terms = straggler.terms(1, Stage::Promise).await;
            let contributed = straggler.contribution(&terms).await;
            all_done(hospitals, 1, Duty::Contribute).await;
            pass(&ledger, number, 1, Stage::Lock, Quarter::LastCall).await;
            all_done(hospitals, 1, Duty::AckDirection).await;
            // What comes after the list was locked is told so, before a byte of it is taken.
            let (kind, text) = refusal(straggler.upload(&terms, contributed).await);
            let late = format!("{}: contribution comes too late, the round is ", straggler.account());
            assert_eq!((kind, text.starts_with(&late)), (ErrorKind::Invalid, true), "{text}");
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
