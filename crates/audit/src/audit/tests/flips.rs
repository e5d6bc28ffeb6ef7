//! One byte of one artefact, given by a source that does not verify; and artefacts that are gone.

use almoner_chain::{PotChange, PotRecord, RoundRecord};
use almoner_protocol::{Address, B256, Stage, U256};
use almoner_store::{Cid, Faults, FaultyStore, GatewayStore, Injected, cid_from_bytes};

use super::world::World;
use super::{first, run};
use crate::{AuditError, Kind, Verdict, audit_facts};

/// The world's store, with one byte of one file given wrong.
fn altered(world: &World, cid: &Cid, at: u64) -> FaultyStore {
    let store = FaultyStore::new(world.store.clone(), Faults::default());
    store.alter(cid, at).unwrap();
    store
}

/// Every artefact of the last round: its CID, the kind that names it, and whose it is.
async fn artefacts(world: &World) -> Vec<(Vec<u8>, Kind, Option<Address>)> {
    artefacts_of(world, world.last()).await
}

async fn artefacts_of(world: &World, record: &RoundRecord) -> Vec<(Vec<u8>, Kind, Option<Address>)> {
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
            assert_eq!(report.verdict(), Verdict::Incomplete, "{:?}", report.first_wrong);
            let finding = report.first_missing.unwrap();
            assert_eq!((finding.kind, finding.round, finding.account), (kind, Some(1), account), "{finding}");
            assert_eq!(finding.cid, Some(cid.to_string()));
            assert!(finding.text.starts_with("unavailable"), "{finding}");
        }
    }
}

/// What is gone contradicts nothing, nor does what depends on it: not in its round, not in later ones, not in claims.
#[tokio::test]
async fn what_is_gone_contradicts_nothing_later() {
    let mut world = World::play(3).await;
    let all = artefacts_of(&world, &world.facts.rounds[1]).await;
    let gone = |cids: &[Vec<u8>]| {
        let faulty = FaultyStore::new(world.store.clone(), Faults::default());
        cids.iter().for_each(|cid| faulty.inject(&cid_from_bytes(cid).unwrap(), Injected::Missing).unwrap());
        faulty
    };
    let cids: Vec<Vec<u8>> = all.into_iter().map(|(cid, ..)| cid).collect();
    let without_settlement: Vec<Vec<u8>> =
        [Stage::Score, Stage::Payout].map(|stage| world.facts.rounds[1].stages[&stage].cid.to_vec()).into();
    // Rounds share members and federation file. Without those nothing is recomputed; else the first round is.
    for (store, recomputed) in [(gone(&cids), 0), (gone(&without_settlement), 1)] {
        let report = run(&world.facts, &store).await;
        assert_eq!(report.verdict(), Verdict::Incomplete, "{:?}", report.first_wrong);
        assert_eq!(report.payments.len(), recomputed);
    }
    // Nor is the split at the end, which is of the last set that was admitted.
    world.facts.federation.closed = true;
    // Of no round here, whose pots fit.
    let carried = PotRecord { round: 0, change: PotChange::Carried { amount: 9 }, time: 0, tx: B256::ZERO };
    world.facts.pots.push(carried);
    world.facts.credited += U256::from(9);
    let last = world.last().stages[&Stage::Score].cid.to_vec();
    let report = run(&world.facts, &gone(&[last])).await;
    assert_eq!(report.verdict(), Verdict::Incomplete, "{:?}", report.first_wrong);
}

#[tokio::test]
async fn something_wrong_is_wrong_whatever_else_is_gone() {
    let world = World::play(2).await;
    let faulty = FaultyStore::new(world.store.clone(), Faults::default());
    let gone = &world.facts.rounds[0].stages[&Stage::Score].cid;
    faulty.inject(&cid_from_bytes(gone).unwrap(), Injected::Missing).unwrap();
    let mut facts = world.facts.clone();
    facts.rounds[1].stages.get_mut(&Stage::Score).unwrap().transcript = B256::ZERO;
    let report = run(&facts, &faulty).await;
    assert_eq!(report.verdict(), Verdict::Wrong);
    assert_eq!(first(&report), (Kind::Transcript, Some(2), None));
    assert_eq!(report.first_missing.unwrap().kind, Kind::Score);
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
