use alloy_primitives::B256;

use super::*;
use crate::pack_direction;
use crate::types::{Contribution, Scales};

const VALIDATOR: Address = Address::repeat_byte(0xf0);

/// A round with one participant per score, one validator, clip 100 and a direction of norm 10 over 10 000 entries.
struct World {
    descriptor: Descriptor,
    members: Vec<Member>,
    validators: Vec<Validator>,
    promises: Vec<PromiseItem>,
    directions: Vec<DirectionItem>,
    lock: Vec<LockItem>,
    audit: Vec<VerdictItem>,
    scores: Vec<ScoreItem>,
}

fn world(scores: &[i64]) -> World {
    let accounts: Vec<Address> = (1..=scores.len()).map(|n| Address::repeat_byte(n as u8)).collect();
    let member = |account: &Address| Member { account: *account, entity: account.into_word(), class: 1 };
    let manifest = |account: &Address| Contribution { participant: *account, ..Contribution::default() };
    let mut entries = vec![0; 10_000];
    entries[..100].fill(-1);
    World {
        descriptor: Descriptor {
            scale: Scales { parameters: 10_000, clip: 100, ..Scales::default() },
            minAdmitted: 3,
            ..Descriptor::default()
        },
        members: accounts.iter().map(member).collect(),
        validators: vec![Validator { account: VALIDATOR, entity: B256::repeat_byte(9), stake: 1 }],
        promises: vec![PromiseItem { validator: VALIDATOR, ..PromiseItem::default() }],
        directions: vec![DirectionItem { validator: VALIDATOR, entries: pack_direction(&entries) }],
        lock: accounts.iter().map(|a| LockItem { manifest: manifest(a), ..LockItem::default() }).collect(),
        audit: accounts.iter().map(|a| VerdictItem { participant: *a, verdict: 0 }).collect(),
        scores: accounts
            .iter()
            .zip(scores)
            .map(|(a, score)| ScoreItem { participant: *a, scores: vec![*score], ..ScoreItem::default() })
            .collect(),
    }
}

impl World {
    fn admit(&self) -> Result<Admission, Error> {
        admit(&Evidence {
            descriptor: &self.descriptor,
            members: &self.members,
            validators: &self.validators,
            promises: &self.promises,
            directions: &self.directions,
            lock: &self.lock,
            audit: &self.audit,
            scores: &self.scores,
        })
    }

    #[track_caller]
    fn verdicts(&self) -> Vec<u8> {
        match self.admit().unwrap() {
            Admission::Admitted(admitted) => admitted.items.iter().map(|item| item.verdict).collect(),
            Admission::TooFew { have, need } => panic!("{have} of {need}"),
        }
    }
}

#[test]
fn everybody_useful_is_admitted() {
    let world = world(&[-20, -20, -30, -40]);
    let Admission::Admitted(admitted) = world.admit().unwrap() else { panic!() };
    assert_eq!(admitted.count(), 4);
    assert_eq!(admitted.scores, Scores::Valid);
    assert_eq!(admitted.votes.len(), 1);
    assert_eq!(admitted.items[1].quality, (1 << 32) / 7);
}

#[test]
fn every_reason_has_its_verdict() {
    let mut world = world(&[-20, -20, -20, -20, -20, 1001]);
    world.audit[1].verdict = AuditVerdict::CiphertextRoot.number();
    world.scores.remove(1);
    world.scores[1].verdict = ScoreVerdict::Residual.number();
    world.scores[1].scores.clear();
    assert_eq!(world.verdicts(), [0, 1, 2, 0, 0, 3]);
}

#[test]
fn the_floor_takes_out_and_the_minimum_takes_back() {
    let mut world = world(&[-30, 500, -30, 600, -30]);
    world.descriptor.qualityFloor = 1;
    assert_eq!(world.verdicts(), [0, 4, 0, 4, 0]);
    // Among equals the earlier one comes back first.
    world.descriptor.minAdmitted = 4;
    assert_eq!(world.verdicts(), [0, 0, 0, 4, 0]);
}

#[test]
fn void_scores_admit_all_of_a() {
    let mut world = world(&[5, 5, 5, 5]);
    world.descriptor.qualityFloor = 1 << 32;
    assert_eq!(world.verdicts(), [0; 4]);
    world.directions.clear();
    world.scores.iter_mut().for_each(|row| row.scores.clear());
    let Admission::Admitted(admitted) = world.admit().unwrap() else { panic!() };
    assert_eq!((admitted.scores, admitted.votes[0].vote), (Scores::Void, Vote::default()));
}

#[test]
fn too_few_is_a_void_round() {
    let mut world = world(&[-20, -20, 1001]);
    assert_eq!(world.admit(), Ok(Admission::TooFew { have: 2, need: 3 }));
    world.scores[2].scores[0] = 0;
    assert!(matches!(world.admit(), Ok(Admission::Admitted(_))));
}

#[test]
fn lists_that_contradict_each_other_are_refused() {
    let refused = |change: &dyn Fn(&mut World)| {
        let mut world = world(&[-20, -20, -20]);
        change(&mut world);
        world.admit().unwrap_err()
    };
    let disagree = |left, right| Error::ListsDisagree { left, right };
    assert_eq!(refused(&|w| w.audit.truncate(2)), disagree("lock", "audit"));
    assert_eq!(refused(&|w| w.scores.truncate(2)), disagree("audit", "score"));
    assert_eq!(refused(&|w| w.audit[2].verdict = 1), disagree("audit", "score"));
    assert_eq!(refused(&|w| w.scores.swap(0, 1)), disagree("audit", "score"));
    assert!(matches!(refused(&|w| w.audit[0].verdict = 9), Error::List { list: "audit", .. }));
    assert!(matches!(refused(&|w| w.scores[0].verdict = 9), Error::List { list: "score", .. }));
    assert!(matches!(refused(&|w| w.scores[0].scores.push(1)), Error::Length { what: "scores", .. }));
    assert!(matches!(refused(&|w| w.members.truncate(2)), Error::Stranger { list: "lock", .. }));
    assert!(matches!(refused(&|w| w.promises.clear()), Error::Stranger { list: "direction", .. }));
    assert!(matches!(refused(&|w| w.validators.clear()), Error::Stranger { missing_from: "validator", .. }));
    assert!(matches!(refused(&|w| w.lock[0].manifest.normClass = 64), Error::Overflow(_)));
    assert!(matches!(refused(&|w| w.directions[0].entries = vec![1; 4_999].into()), Error::Length { .. }));
}
