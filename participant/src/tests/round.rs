//! The round from upload to the next model, and lies on the way.

use almoner_crypto::encrypt::CHECK_BYTES;
use almoner_crypto::share::AnswerVec;
use almoner_crypto::tree;
use almoner_model::{ComputeDevice, Dataset};
use almoner_protocol::types::{OpenItem, StageAck};
use almoner_protocol::{AdmitVerdict, B256, Stage};

use super::scene::{D, Scene, THRESHOLD};
use crate::SiteError;
use crate::committee::{answer_sum, check_acknowledgements, recompute_admission};
use crate::contribute::{build_contribution, check_receipt, train_update};
use crate::fetch::Opening;
use crate::validate::build_direction;

#[test]
fn an_honest_round_opens_to_the_scores_and_the_sum() {
    let scene = Scene::new();
    let answers = scene.answers();
    let judged = scene.judged(&answers);
    for (item, update) in judged.scores.iter().zip(&scene.updates) {
        let expected: Vec<i64> = scene
            .directions()
            .iter()
            .map(|g| g.iter().zip(update.values()).map(|(g, u)| i64::from(*g) * i64::from(*u)).sum())
            .collect();
        assert_eq!(item.scores, expected);
    }
    let own = Some((2, answers[2].as_slice()));
    let admitted = recompute_admission(&scene.terms, &scene.revealed, &judged, own).unwrap();
    assert_eq!(admitted.count(), 4);

    let answers: Vec<AnswerVec> = (0..4).map(|k| answer_sum(&scene.held(k), &admitted.items).unwrap()).collect();
    let open = |members: &[u16]| -> Vec<OpenItem> {
        let item = |member: &u16| OpenItem { member: *member, words: answers[usize::from(*member)].to_bytes().into() };
        members.iter().map(item).collect()
    };
    let sum = scene.sum();
    let root = B256::new(tree::vector_root(tree::kind::SUM, 8, &sum));
    let next = |sum: &[u8], open: &[OpenItem]| {
        let (data, checks) = sum.split_at(sum.len() - CHECK_BYTES);
        let (descriptor, seed) = (&scene.terms.descriptor, scene.terms.seed);
        let mut opening = Opening::new(descriptor, seed, &admitted.items, open, checks.to_vec())?;
        let mut model = scene.terms.base.to_vec();
        opening.take(&mut model, data)?;
        opening.finish(root).map(|()| model)
    };
    let expected = scene.next();
    assert_eq!(next(&sum, &open(&[0, 1, 2])).unwrap(), expected);
    assert_eq!(next(&sum, &open(&[0, 2, 3])).unwrap(), expected);

    // Another sum than was posted; an answer that lies; too few; a member there is not.
    let mut other = sum.clone();
    other[77] ^= 1;
    assert!(matches!(next(&other, &open(&[0, 1, 2])), Err(SiteError::Root { what: "sum", .. })));
    let mut lie = open(&[0, 1, 2]);
    lie[1].words = answers[3].to_bytes().into();
    assert!(matches!(next(&sum, &lie), Err(SiteError::Opening(_))));
    for answers in [&[0, 1][..], &[0, 1, 2, 3]] {
        assert!(matches!(next(&sum, &open(answers)), Err(SiteError::Opening(_))), "{answers:?}");
    }
    let mut stranger = open(&[0, 1, 2]);
    stranger[2].member = 4;
    assert!(matches!(next(&sum, &stranger), Err(SiteError::Opening(_))));
}

#[test]
fn a_share_that_is_not_its_leaf_is_not_answered_for() {
    let scene = Scene::new();
    let admitted = recompute_admission(&scene.terms, &scene.revealed, &scene.judged(&scene.answers()), None).unwrap();
    let victim = scene.hospitals[1].account();
    let last = scene.sealed(0)[&victim].len() - 1;
    // In the envelope, and in the siblings behind it.
    for at in [0, 5000, last] {
        let mut sealed = scene.sealed(0);
        let mut blob = sealed[&victim].to_vec();
        blob[at] ^= 1;
        sealed.insert(victim, blob.into());
        let lock = &scene.revealed.lock;
        let held = crate::committee::open_shares(&scene.terms, &scene.keys[0], 0, lock, &sealed);
        assert_eq!(held.len(), 3, "byte {at}");
        assert!(held.of(victim).is_none());
        let refused = answer_sum(&held, &admitted.items);
        assert!(matches!(refused, Err(SiteError::ShareMissing { participant }) if participant == victim));
    }
    // Another member's envelope.
    let lock = &scene.revealed.lock;
    let held = crate::committee::open_shares(&scene.terms, &scene.keys[0], 0, lock, &scene.sealed(1));
    assert!(held.is_empty());
}

#[test]
fn scores_are_opened_again_before_they_are_signed_for() {
    let scene = Scene::new();
    let answers = scene.answers();
    let honest = scene.judged(&answers);
    let own = Some((1, answers[1].as_slice()));
    let check = |change: fn(&mut crate::committee::Judged)| {
        let mut judged = honest.clone();
        change(&mut judged);
        recompute_admission(&scene.terms, &scene.revealed, &judged, own).unwrap_err()
    };
    let culprit = scene.hospitals[2].account();
    let wrong = check(|judged| judged.scores[2].scores[0] += 1);
    assert!(matches!(wrong, SiteError::ScoreRow { participant } if participant == culprit), "{wrong}");
    let dropped = check(|judged| {
        judged.scores[2].verdict = 1;
        judged.scores[2].scores.clear();
    });
    assert!(matches!(dropped, SiteError::ScoreRow { participant } if participant == culprit), "{dropped}");
    // Three columns a member: ours is the second row.
    let forged = check(|judged| judged.scores[2].answers[3] ^= 1);
    assert!(matches!(forged, SiteError::ForgedAnswer { participant } if participant == culprit), "{forged}");
    let short = check(|judged| {
        judged.scores[2].answers.pop();
    });
    assert!(matches!(short, SiteError::ScoreRow { .. }), "{short}");
    let missing = check(|judged| drop(judged.scores.pop()));
    assert!(matches!(missing, SiteError::Rule(_)), "{missing}");
}

#[test]
fn one_lying_member_is_outvoted_and_two_of_a_small_set_stop_the_round() {
    let scene = Scene::new();
    let mut answers = scene.answers();
    answers[0].iter_mut().for_each(|word| *word ^= 1 << 20);
    let judged = scene.judged(&answers);
    let admitted = recompute_admission(&scene.terms, &scene.revealed, &judged, None).unwrap();
    assert_eq!(admitted.count(), 4);
    // Two uploads that the audit throws out leave fewer than N_min.
    let mut few = judged;
    for at in [0, 1] {
        few.audit[at].verdict = 2;
    }
    few.scores.drain(..2);
    let refused = recompute_admission(&scene.terms, &scene.revealed, &few, None).unwrap_err();
    assert!(matches!(refused, SiteError::TooFewAdmitted { have: 2, need: 3 }), "{refused}");
}

#[test]
fn a_certificate_is_t_members_over_what_we_see() {
    let scene = Scene::new();
    let (me, seen) = (&scene.hospitals[0], B256::repeat_byte(1));
    let ack = |who: &crate::Identity, transcript| {
        who.sign(StageAck { ctx: scene.terms.ctx, stage: Stage::Admit.number(), transcript }).unwrap()
    };
    let check = |acks: &[_]| check_acknowledgements(me, &scene.terms, Stage::Admit, seen, acks);
    let three: Vec<_> = scene.hospitals[1..].iter().map(|who| ack(who, seen)).collect();
    check(&three).unwrap();
    let twice = [three[0].clone(), three[0].clone(), three[1].clone()];
    let few = SiteError::Acknowledgements { stage: Stage::Admit, have: 2, need: THRESHOLD };
    assert_eq!(check(&twice).unwrap_err().to_string(), few.to_string());
    let mut two_faced = three.clone();
    two_faced.push(ack(me, B256::repeat_byte(2)));
    assert!(matches!(check(&two_faced), Err(SiteError::BadAcknowledgement { .. })));
    let mut stranger = three.clone();
    stranger.push(ack(&scene.validators[0], seen));
    assert!(matches!(check(&stranger), Err(SiteError::BadAcknowledgement { .. })));
    let other_stage = check_acknowledgements(me, &scene.terms, Stage::Direction, seen, &three);
    assert!(matches!(other_stage, Err(SiteError::BadAcknowledgement { .. })));
}

#[test]
fn the_same_update_is_uploaded_again_and_never_under_another_secret() {
    let scene = Scene::new();
    let (account, update) = (scene.hospitals[0].account(), &scene.updates[0]);
    let first = &scene.contributed[0];
    let again = build_contribution(&scene.terms, account, update, &[1; 32]).unwrap();
    assert_eq!((&again.manifest, &again.shares), (&first.manifest, &first.shares));
    let other = build_contribution(&scene.terms, account, update, &[2; 32]).unwrap();
    assert_ne!(other.manifest.checkRoot, first.manifest.checkRoot);
    let mut next_round = scene.terms.clone();
    next_round.ctx = B256::repeat_byte(9);
    let moved = build_contribution(&next_round, account, update, &[1; 32]).unwrap();
    assert_ne!(moved.manifest.checkRoot, first.manifest.checkRoot);
}

#[test]
fn a_receipt_is_the_coordinators_for_this_manifest() {
    let scene = Scene::new();
    let manifest = &scene.contributed[0].manifest;
    let item = &scene.revealed.lock[0];
    let receipt = |change: fn(&mut almoner_protocol::types::Receipt), signer: &crate::Identity| {
        let mut message = almoner_protocol::types::Receipt {
            ctx: manifest.ctx,
            participant: manifest.participant,
            manifestHash: almoner_protocol::SolStruct::eip712_hash_struct(manifest),
            receivedAt: item.receivedAt,
        };
        change(&mut message);
        check_receipt(&scene.hospitals[0], scene.coordinator.account(), manifest, &signer.sign(message).unwrap())
    };
    receipt(|_| {}, &scene.coordinator).unwrap();
    for refused in [
        receipt(|message| message.ctx = B256::ZERO, &scene.coordinator),
        receipt(|message| message.manifestHash = B256::ZERO, &scene.coordinator),
        receipt(|_| {}, &scene.hospitals[1]),
    ] {
        assert!(matches!(refused, Err(SiteError::Receipt(_))));
    }
}

fn dataset(rows: usize) -> Dataset {
    let x = (0..rows * 30).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    Dataset::new(30, x, (0..rows).map(|i| (i % 2) as f32).collect()).unwrap()
}

#[test]
fn training_and_judging_start_from_the_verified_base() {
    let scene = Scene::new();
    let device = ComputeDevice::cpu();
    let update = train_update(&scene.terms, &dataset(64), [1; 32], &device).unwrap();
    assert_eq!(update.values().len(), D);
    assert!(update.values().iter().any(|value| *value != 0));
    let direction = |rows, seed| build_direction(&scene.terms, &dataset(rows), seed, &device);
    assert_eq!(direction(60, [1; 32]).unwrap(), direction(60, [1; 32]).unwrap());
    assert_ne!(direction(60, [1; 32]).unwrap(), direction(60, [2; 32]).unwrap());
    assert!(matches!(direction(49, [1; 32]), Err(SiteError::Policy(_))));
}

#[test]
fn only_the_admitted_are_answered_for() {
    let scene = Scene::new();
    let mut items =
        recompute_admission(&scene.terms, &scene.revealed, &scene.judged(&scene.answers()), None).unwrap().items;
    let all = answer_sum(&scene.held(0), &items).unwrap();
    items[3].verdict = AdmitVerdict::BelowFloor.number();
    assert_ne!(answer_sum(&scene.held(0), &items).unwrap(), all);
}
