//! An honest run, audited after one thing in it was changed: one byte of an artefact, or one value on chain. The audit
//! names exactly that.

use almoner_audit::{ChainFacts, Kind, Report, audit_facts};
use almoner_chain::{PotChange, RoundRecord};
use almoner_protocol::types::LockItem;
use almoner_protocol::{Address, B256, Stage, U256};
use almoner_store::{Faults, FaultyStore, MemoryStore, Store, cid_from_bytes};

use crate::federation::{read_list, run};
use crate::honest::honest;

async fn audit(facts: &ChainFacts, store: &dyn Store) -> Report {
    audit_facts(facts, store, &mut |_| {}).await.unwrap()
}

/// Every artefact of a round: its CID, the kind that names it, whose it is.
async fn artefacts(store: &MemoryStore, round: &RoundRecord) -> Vec<(Vec<u8>, Kind, Option<Address>)> {
    let cids = &round.cids;
    let mut all = vec![
        (cids.spec.to_vec(), Kind::Spec, None),
        (cids.base.to_vec(), Kind::BaseModel, None),
        (cids.members.to_vec(), Kind::Members, None),
        (cids.committee.to_vec(), Kind::Committee, None),
        (cids.validators.to_vec(), Kind::Validators, None),
    ];
    let lock: Vec<LockItem> = read_list(store, &round.stages[&Stage::Lock].cid).await;
    for LockItem { manifest, .. } in lock {
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
    all.extend(stages.map(|(stage, kind)| (round.stages[&stage].cid.to_vec(), kind, None)));
    all
}

#[test]
fn one_byte_of_an_artefact_is_named_by_kind_round_and_cid() {
    let honest = honest();
    run(async {
        for (cid, kind, account) in artefacts(&honest.store, &honest.facts.rounds[0]).await {
            let cid = cid_from_bytes(&cid).unwrap();
            let altered = FaultyStore::new(honest.store.clone(), Faults::default());
            // The least byte of a word, so that no word is out of range.
            altered.alter(&cid, 47).unwrap();
            let finding = audit(&honest.facts, &altered).await.first_wrong.expect("the audit finds it");
            assert_eq!((finding.kind, finding.account), (kind, account), "{finding}");
            assert_eq!((finding.round, &finding.cid), (Some(1), &Some(cid.to_string())), "{finding}");
            // What is read by ranges is known by its root; everything else by its CID, before it is looked at.
            let by_root = matches!(kind, Kind::Ciphertext | Kind::CheckWords | Kind::Sum);
            assert!(by_root || finding.text.starts_with("its bytes have the CID "), "{finding}");
        }
    });
}

/// A change of one value on chain, and what names it.
type Change = (Kind, Option<u64>, fn(&mut ChainFacts) -> Option<Address>);

const CHANGES: [Change; 12] = [
    (Kind::Transcript, Some(1), |facts| {
        facts.rounds[0].stages.get_mut(&Stage::Score).unwrap().transcript.0[31] ^= 1;
        None
    }),
    (Kind::Spec, Some(1), |facts| {
        facts.federation.params.specHash.0[0] ^= 1;
        None
    }),
    (Kind::Members, Some(1), |facts| {
        facts.federation.members[0].class += 1;
        Some(facts.federation.members[0].account)
    }),
    (Kind::Matrix, Some(1), |facts| {
        facts.epochs.get_mut(&0).unwrap().matrix_root = Some(B256::ZERO);
        None
    }),
    (Kind::Descriptor, Some(2), |facts| {
        facts.rounds[1].opened_at += 10_000;
        None
    }),
    (Kind::Promise, Some(2), |facts| {
        facts.rounds[1].promises[0].commitment.0[0] ^= 1;
        None
    }),
    (Kind::Reveal, Some(2), |facts| {
        facts.rounds[1].reveals[1].salt.0[0] ^= 1;
        Some(facts.rounds[1].reveals[1].validator)
    }),
    (Kind::AdmitSignatures, Some(2), |facts| {
        facts.rounds[1].admitted.as_mut().unwrap().signers.truncate(2);
        None
    }),
    (Kind::Pot, Some(1), |facts| {
        for pot in &mut facts.pots {
            if let PotChange::Reserved { from_free, .. } = &mut pot.change {
                *from_free -= 1;
            }
        }
        None
    }),
    (Kind::Payout, None, |facts| {
        facts.credited += U256::from(1);
        None
    }),
    (Kind::Payout, None, |facts| {
        facts.payout_root.0[0] ^= 1;
        None
    }),
    (Kind::Claim, None, |facts| {
        let claim = facts.claims.last_mut().unwrap();
        (claim.cumulative, claim.paid) = (claim.cumulative - 1, claim.paid - 1);
        Some(claim.account)
    }),
];

#[test]
fn one_value_on_chain_is_named_by_kind_round_and_account() {
    let honest = honest();
    run(async {
        assert!(audit(&honest.facts, &*honest.store).await.is_sound());
        for (kind, round, change) in CHANGES {
            let mut facts = honest.facts.clone();
            let account = change(&mut facts);
            let finding = audit(&facts, &*honest.store).await.first_wrong.expect("the audit finds it");
            assert_eq!((finding.kind, finding.round), (kind, round), "{finding}");
            if account.is_some() {
                assert_eq!(finding.account, account, "{finding}");
            }
        }
    });
}
