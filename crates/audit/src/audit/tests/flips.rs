//! One byte of one artefact, given by a source that does not verify; and artefacts that are gone.

use almoner_protocol::{Address, Stage};
use almoner_store::{Cid, Faults, FaultyStore, GatewayStore, Injected, cid_from_bytes};

use super::world::World;
use super::{first, run};
use crate::{AuditError, Kind, audit_facts};

/// The world's store, with one byte of one file given wrong.
fn altered(world: &World, cid: &Cid, at: u64) -> FaultyStore {
    let store = FaultyStore::new(world.store.clone(), Faults::default());
    store.alter(cid, at).unwrap();
    store
}

/// Every artefact of the last round: its CID, the kind that names it, and whose it is.
async fn artefacts(world: &World) -> Vec<(Vec<u8>, Kind, Option<Address>)> {
    let record = world.last();
    let cids = &record.cids;
    let mut all = vec![
        (cids.spec.to_vec(), Kind::Spec, None),
        (cids.base.to_vec(), Kind::BaseModel, None),
        (cids.members.to_vec(), Kind::Members, None),
        (cids.committee.to_vec(), Kind::Committee, None),
        (cids.validators.to_vec(), Kind::Validators, None),
    ];
    let lock: Vec<almoner_protocol::types::LockItem> = world.read(&record.stages[&Stage::Lock].cid).await;
    for manifest in lock.into_iter().map(|item| item.manifest) {
        all.push((manifest.ciphertextCid.to_vec(), Kind::Ciphertext, Some(manifest.participant)));
        all.push((manifest.checkCid.to_vec(), Kind::CheckWords, Some(manifest.participant)));
    }
    let stages = [
        (Stage::Promise, Kind::Promise),
        (Stage::Lock, Kind::Lock),
        (Stage::Direction, Kind::Direction),
        (Stage::Audit, Kind::AuditVerdict),
        (Stage::Score, Kind::Score),
        (Stage::Admit, Kind::Admit),
        (Stage::Sum, Kind::Sum),
        (Stage::Open, Kind::Opening),
        (Stage::Model, Kind::Model),
        (Stage::Settle, Kind::Settle),
        (Stage::Payout, Kind::Payout),
    ];
    all.extend(stages.map(|(stage, kind)| (record.stages[&stage].cid.to_vec(), kind, None)));
    all
}

#[tokio::test]
async fn one_byte_is_named_by_kind_round_and_cid() {
    let world = World::play(1).await;
    for (bytes, kind, account) in artefacts(&world).await {
        let cid = cid_from_bytes(&bytes).unwrap();
        for at in [5, 40] {
            let report = run(&world.facts, &altered(&world, &cid, at)).await;
            assert_eq!(first(&report), (kind, Some(1), account), "{:?}", report.first_wrong);
            assert_eq!(report.first_wrong.unwrap().cid, Some(cid.to_string()));
        }
    }
}

#[tokio::test]
async fn what_is_gone_is_named() {
    let world = World::play(1).await;
    for (bytes, kind, account) in artefacts(&world).await {
        for fault in [Injected::Missing, Injected::FlippedByte] {
            let faulty = FaultyStore::new(world.store.clone(), Faults::default());
            let cid = cid_from_bytes(&bytes).unwrap();
            faulty.inject(&cid, fault).unwrap();
            let report = run(&world.facts, &faulty).await;
            assert_eq!(first(&report), (kind, Some(1), account), "{:?}", report.first_wrong);
            let finding = report.first_wrong.unwrap();
            assert_eq!(finding.cid, Some(cid.to_string()));
            assert!(finding.text.starts_with("unavailable"), "{finding}");
        }
    }
}

/// A gateway that does not answer has shown nothing: neither that a run is right nor that it is wrong.
#[tokio::test]
async fn no_verdict_where_no_source_answers() {
    let world = World::play(1).await;
    // Nobody listens on the discard port of this machine.
    let gateway = GatewayStore::new(vec!["http://127.0.0.1:9".parse().unwrap()]).unwrap();
    let error = audit_facts(&world.facts, &gateway, &mut |_| {}).await.unwrap_err();
    assert!(matches!(&error, AuditError::Source(text) if text.contains("127.0.0.1:9")), "{error}");
}

#[tokio::test]
async fn the_round_that_made_a_model_is_named_and_not_the_next() {
    let world = World::play(2).await;
    let model = &world.facts.rounds[0].stages[&Stage::Model].cid;
    assert_eq!(*model, world.facts.rounds[1].cids.base);
    let altered = altered(&world, &cid_from_bytes(model).unwrap(), 40);
    let report = run(&world.facts, &altered).await;
    assert_eq!(first(&report), (Kind::Model, Some(1), None));
}
