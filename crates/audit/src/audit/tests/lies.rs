//! Artefacts that are well-formed, posted under the root they have, and wrong.

use almoner_chain::PotChange;
use almoner_crypto::encrypt::CHECK_BYTES;
use almoner_crypto::tree::{kind, vector_root};
use almoner_protocol::types::*;
use almoner_protocol::{Address, B256, PayoutTree, SettleTree, Stage, U256, encode_list};
use almoner_store::{Store, cid_from_bytes};

use super::world::{World, relink};
use super::{first, run};
use crate::Kind;

#[track_caller]
fn member(world: &World, i: usize) -> Address {
    world.facts.federation.members.iter().rev().nth(i).unwrap().account
}

async fn names(world: &World, kind: Kind, round: Option<u64>, account: Option<Address>) {
    let report = run(&world.facts, &*world.store).await;
    assert_eq!(first(&report), (kind, round, account), "{:?}", report.first_wrong);
}

async fn bytes(world: &World, stage: Stage) -> Vec<u8> {
    let cid = cid_from_bytes(&world.last().stages[&stage].cid).unwrap();
    world.store.get(&cid, 1 << 20).await.unwrap().to_vec()
}

/// Changes one list of the second round and says what is named.
async fn list<T: almoner_protocol::ListItem>(
    stage: Stage,
    kind: Kind,
    whose: Option<usize>,
    change: impl FnOnce(&mut Vec<T>),
) {
    let mut world = World::play(2).await;
    world.repost(stage, change).await;
    let account = whose.map(|i| member(&world, i));
    names(&world, kind, Some(2), account).await;
}

#[tokio::test]
async fn uploads_and_verdicts() {
    list::<LockItem>(Stage::Lock, Kind::Receipt, Some(1), |items| items[1].receivedAt += 1).await;
    list::<LockItem>(Stage::Lock, Kind::ManifestSignature, Some(0), |items| items[0].manifest.normClass ^= 1).await;
    list::<LockItem>(Stage::Lock, Kind::Lock, None, |items| items.truncate(3)).await;
    list::<VerdictItem>(Stage::Audit, Kind::AuditVerdict, Some(2), |items| items[2].verdict = 3).await;
    list::<VerdictItem>(Stage::Audit, Kind::AuditVerdict, Some(2), |items| items[2].verdict = 1).await;
    list::<VerdictItem>(Stage::Audit, Kind::AuditVerdict, Some(2), |items| items[2].verdict = 9).await;
    list::<VerdictItem>(Stage::Audit, Kind::AuditVerdict, None, |items| items.truncate(3)).await;
}

#[tokio::test]
async fn scores_and_the_set() {
    list::<ScoreItem>(Stage::Score, Kind::Score, Some(1), |items| items[1].scores[1] -= 1).await;
    list::<ScoreItem>(Stage::Score, Kind::InnerProduct, Some(3), |items| items[3].inner[0] ^= 1).await;
    list::<ScoreItem>(Stage::Score, Kind::Score, Some(0), |items| items[0].responders[3] = 4).await;
    list::<AdmitItem>(Stage::Admit, Kind::Admit, Some(3), |items| items[3].quality += 1).await;
    list::<AdmitItem>(Stage::Admit, Kind::Admit, None, |items| items[1].verdict = 4).await;
}

#[tokio::test]
async fn one_lying_member_is_outvoted_and_noted() {
    let mut world = World::play(2).await;
    // The row's scores still open; two of the four answers would not.
    world.repost::<ScoreItem>(Stage::Score, |items| items[0].answers[0] ^= 1).await;
    let report = run(&world.facts, &*world.store).await;
    assert_eq!(report.first_wrong, None);
    assert!(report.notes[0].contains("contradict"), "{:?}", report.notes);
}

#[tokio::test]
async fn the_sum_is_added_again() {
    let mut world = World::play(2).await;
    let honest = bytes(&world, Stage::Sum).await;
    let delta = world.last().descriptor.scale.delta;
    // By exactly the message scale, in units of a sum that has lost two bits; then a bit of the check words.
    for (at, by) in [(8 * 5, delta >> 2), (honest.len() - CHECK_BYTES, 1)] {
        let mut words = honest.clone();
        let mut word = [0; 8];
        word.copy_from_slice(&words[at..at + 8]);
        let shifted = u64::from_be_bytes(word).wrapping_add(by);
        words[at..at + 8].copy_from_slice(&shifted.to_be_bytes());
        let root = B256::new(vector_root(kind::SUM, 8, &words));
        world.replace(Stage::Sum, words, root).await;
        names(&world, Kind::Sum, Some(2), None).await;
    }
}

#[tokio::test]
async fn the_opening_and_the_model() {
    let change = |items: &mut Vec<OpenItem>| {
        let mut words = items[1].words.to_vec();
        words[15] ^= 1;
        items[1].words = words.into();
    };
    list::<OpenItem>(Stage::Open, Kind::Residual, None, change).await;
    list::<OpenItem>(Stage::Open, Kind::Opening, None, |items| items.truncate(2)).await;
    let mut world = World::play(2).await;
    let mut model = bytes(&world, Stage::Model).await;
    let last = model.len() - 4;
    model[last] ^= 1;
    let values: Vec<i32> =
        model[model.len() - 96..].as_chunks::<4>().0.iter().map(|w| i32::from_le_bytes(*w)).collect();
    world.replace(Stage::Model, model, almoner_protocol::model_root(&values)).await;
    names(&world, Kind::Model, Some(2), None).await;
}

#[tokio::test]
async fn the_money() {
    let mut world = World::play(2).await;
    let mut lines: Vec<SettleItem> = world.read(&world.last().stages[&Stage::Settle].cid).await;
    // One unit from one to the other: every sum still fits.
    (lines[0].pay, lines[1].pay) = (lines[0].pay + 1, lines[1].pay - 1);
    let root = SettleTree::new(&lines).unwrap().root();
    world.replace(Stage::Settle, encode_list(&lines), root).await;
    names(&world, Kind::Settle, Some(2), Some(lines[0].account)).await;

    let mut world = World::play(2).await;
    let mut payouts: Vec<PayoutItem> = world.read(&world.last().stages[&Stage::Payout].cid).await;
    payouts[2].cumulative += U256::from(1);
    let root = PayoutTree::new(&payouts).root();
    world.replace(Stage::Payout, encode_list(&payouts), root).await;
    names(&world, Kind::Payout, Some(2), Some(payouts[2].account)).await;

    let mut world = World::play(2).await;
    let claim = world.facts.claims.last_mut().unwrap();
    (claim.cumulative, claim.paid) = (claim.cumulative + 1, claim.paid + 1);
    let account = claim.account;
    names(&world, Kind::Claim, None, Some(account)).await;
}

#[tokio::test]
async fn what_the_chain_says_must_fit_too() {
    let world = || World::play(2);
    let mut changed = world().await;
    changed.facts.rounds[0].stages.get_mut(&Stage::Score).unwrap().transcript = B256::ZERO;
    names(&changed, Kind::Transcript, Some(1), None).await;

    changed = world().await;
    changed.facts.rounds.remove(0);
    names(&changed, Kind::Transcript, Some(2), None).await;

    changed = world().await;
    changed.facts.epochs.get_mut(&0).unwrap().matrix_root = Some(B256::ZERO);
    names(&changed, Kind::Matrix, Some(1), None).await;

    changed = world().await;
    changed.facts.federation.members[0].class += 1;
    let account = changed.facts.federation.members[0].account;
    names(&changed, Kind::Members, Some(1), Some(account)).await;

    changed = world().await;
    let reveal = &mut changed.facts.rounds[1].reveals[1];
    reveal.salt = B256::repeat_byte(0x77);
    let account = reveal.validator;
    names(&changed, Kind::Reveal, Some(2), Some(account)).await;

    changed = world().await;
    changed.facts.rounds[1].admitted.as_mut().unwrap().signers.pop();
    names(&changed, Kind::AdmitSignatures, Some(2), None).await;

    changed = world().await;
    for pot in &mut changed.facts.pots {
        if let PotChange::Reserved { from_free, .. } = &mut pot.change {
            *from_free -= 1;
        }
    }
    names(&changed, Kind::Pot, Some(1), None).await;

    changed = world().await;
    changed.facts.rounds[1].opened_at += 10_000;
    names(&changed, Kind::Descriptor, Some(2), None).await;
}

#[tokio::test]
async fn a_descriptor_that_does_not_follow_is_named() {
    let mut world = World::play(1).await;
    let record = &mut world.facts.rounds[0];
    record.descriptor.scale.clip += 1;
    record.ctx = ctx(31_337, world.facts.deployment.rounds, &record.descriptor);
    record.stages.get_mut(&Stage::Ctx).unwrap().root = record.ctx;
    relink(record);
    names(&world, Kind::Descriptor, Some(1), None).await;
}

#[tokio::test]
async fn more_scalars_than_were_agreed_to_are_named() {
    let mut world = World::play(1).await;
    let record = &mut world.facts.rounds[0];
    record.descriptor.scalarsMax = 1;
    let limit = record.descriptor.scalarsMax;
    let report = run(&world.facts, &*world.store).await;
    // The descriptor no longer follows from the spec either; the counts tell that the limit was seen.
    assert_eq!(report.by_kind[&Kind::Leak].held, 0, "limit {limit}");
}
