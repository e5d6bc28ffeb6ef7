//! What a member refuses to acknowledge.

use almoner_chain::ContributionRecord;
use almoner_proto::Task;
use almoner_protocol::types::{LockItem, OpenCids};
use almoner_protocol::{B256, Bytes, SolStruct, Stage};

use super::scene::{Scene, post};
use crate::SiteError;
use crate::committee::check_revealed;
use crate::fetch::{check_seats, check_task};

fn check(scene: &Scene, own: Option<B256>) -> Result<(), SiteError> {
    check_revealed(&scene.hospitals[0], &scene.terms, &scene.round, &scene.revealed, own)
}

#[test]
fn honest_lists_hold() {
    let scene = Scene::new();
    check(&scene, Some(scene.contributed[0].manifest.eip712_hash_struct())).unwrap();
}

#[track_caller]
fn bad_item(change: fn(&Scene, &mut LockItem)) {
    let mut scene = Scene::new();
    let mut item = scene.revealed.lock[1].clone();
    change(&scene, &mut item);
    scene.revealed.lock[1] = item;
    let error = check(&scene, None).unwrap_err();
    assert!(matches!(error, SiteError::LockItem { .. }), "{error}");
}

#[test]
fn each_locked_upload_is_its_participants_and_receipted() {
    bad_item(|_, item| item.manifest.ctx = B256::ZERO);
    bad_item(|_, item| item.manifest.blocks += 1);
    bad_item(|_, item| item.manifest.normClass = 64);
    bad_item(|_, item| item.manifest.ciphertextRoot = B256::ZERO);
    bad_item(|scene, item| item.signature = scene.revealed.lock[0].signature.clone());
    bad_item(|scene, item| item.receipt = scene.revealed.lock[0].receipt.clone());
    bad_item(|_, item| item.receivedAt += 1);
    bad_item(|_, item| item.receipt = Bytes::new());
    bad_item(|scene, item| {
        let signed = scene.validators[0].sign(item.manifest.clone()).unwrap();
        item.manifest.participant = scene.validators[0].account();
        item.signature = signed.signature.to_vec().into();
    });
}

#[test]
fn a_contribution_committed_on_chain_needs_no_receipt_and_may_not_be_left_out() {
    let mut scene = Scene::new();
    let item = scene.revealed.lock[1].clone();
    let direct = ContributionRecord { manifest: item.manifest.clone(), signature: item.signature, time: 0 };
    scene.round.direct.push(direct);
    scene.revealed.lock[1].receipt = Bytes::new();
    check(&scene, None).unwrap();
    scene.revealed.lock.remove(1);
    scene.round.locked = Some(3);
    assert!(matches!(check(&scene, None), Err(SiteError::List { list: "lock", .. })));
}

#[test]
fn a_receipted_upload_may_not_be_left_out() {
    let mut scene = Scene::new();
    let own = scene.contributed[0].manifest.eip712_hash_struct();
    scene.revealed.lock.remove(0);
    assert!(matches!(check(&scene, Some(own)), Err(SiteError::List { list: "lock", .. })));
    scene.round.locked = Some(3);
    assert!(matches!(check(&scene, Some(own)), Err(SiteError::Omitted)));
    check(&scene, None).unwrap();
}

#[test]
fn directions_are_those_revealed_on_chain() {
    let mut scene = Scene::new();
    let mut entries = scene.revealed.directions[1].entries.to_vec();
    entries[0] ^= 1;
    scene.revealed.directions[1].entries = entries.into();
    assert!(matches!(check(&scene, None), Err(SiteError::List { list: "direction", .. })));
    // A validator's reveal that is left out.
    let mut scene = Scene::new();
    scene.revealed.directions.pop();
    assert!(matches!(check(&scene, None), Err(SiteError::List { list: "direction", .. })));
    // One that reads a single coordinate, even though it is on chain.
    let mut scene = Scene::new();
    let mut narrow = vec![0; scene.revealed.directions[0].entries.len()];
    narrow[5] = 1;
    scene.revealed.directions[0].entries = narrow.into();
    scene.round.reveals[0].direction_root =
        almoner_protocol::list_root(std::slice::from_ref(&scene.revealed.directions[0]));
    assert!(matches!(check(&scene, None), Err(SiteError::Rule(almoner_protocol::Error::Direction(_)))));
}

#[test]
fn promises_are_those_on_chain() {
    let mut scene = Scene::new();
    scene.revealed.promises[0].commitment = B256::ZERO;
    assert!(matches!(check(&scene, None), Err(SiteError::List { list: "promise", .. })));
    let mut scene = Scene::new();
    scene.terms.validators.remove(0);
    assert!(matches!(check(&scene, None), Err(SiteError::List { list: "promise", .. })));
}

#[test]
fn lists_are_the_seats_of_the_chain() {
    let scene = Scene::new();
    let terms = &scene.terms;
    let check = |scene: &Scene| {
        check_seats(&scene.federation, &scene.round, &terms.members, &terms.committee, &terms.validators)
    };
    check(&scene).unwrap();
    for (change, list) in [
        ((|scene| scene.federation.members[0].class = 1) as fn(&mut Scene), "member"),
        (|scene| scene.federation.members[0].since = 2, "member"),
        (|scene| scene.federation.validators[0].stake = 2, "validator"),
        (|scene| scene.round.readies[0].key_hash = B256::ZERO, "committee"),
    ] {
        let mut scene = Scene::new();
        change(&mut scene);
        let error = check(&scene).unwrap_err();
        assert!(matches!(&error, SiteError::List { list: named, .. } if *named == list), "{error}");
    }
}

#[test]
fn a_task_with_another_face_is_refused() {
    let mut scene = Scene::new();
    post(&mut scene.round, Stage::Audit, B256::repeat_byte(1), Bytes::new());
    let stage =
        almoner_proto::StageArtefact { stage: Stage::Audit, root: B256::repeat_byte(1), cid: bytes::Bytes::new() };
    let honest = Task {
        ctx: scene.round.ctx,
        descriptor: scene.round.descriptor.clone(),
        cids: OpenCids::default(),
        stages: vec![stage],
    };
    check_task(&honest, &scene.round).unwrap();
    for (change, expected) in [
        ((|task| task.ctx = B256::ZERO) as fn(&mut Task), "ctx"),
        (|task| task.descriptor.baseModelRoot = B256::ZERO, "base model"),
        (|task| task.cids.base = Bytes::from(vec![1]), "base model"),
        (|task| task.descriptor.pot += 1, "descriptor"),
        (|task| task.cids.spec = Bytes::from(vec![1]), "cids"),
        (|task| task.stages[0].root = B256::ZERO, "audit"),
    ] {
        let mut task = honest.clone();
        change(&mut task);
        let error = check_task(&task, &scene.round).unwrap_err();
        assert!(matches!(error, SiteError::OtherTask { field } if field == expected), "{error}");
    }
}
