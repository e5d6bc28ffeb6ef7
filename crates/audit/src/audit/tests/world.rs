//! Rounds of a small federation with real encryption, as the chain and the store would hold them.

mod round;

use std::collections::BTreeMap;
use std::sync::Arc;

use almoner_chain::contracts::Federations::CreateParams;
use almoner_chain::{
    ClaimRecord, Deployment, EpochRecord, FederationRecord, PotChange, PotRecord, RoundRecord, RoundStatus, SeatRecord,
    SigningKey, StageRecord,
};
use almoner_crypto::matrix::{EpochSeed, matrix_root};
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::{Member, Validator, epoch_seed, transcript};
use almoner_protocol::{
    Address, B256, Bytes, CumulativeLedger, ListItem, Stage, U256, decode_list, encode_list, list_root,
};
use almoner_store::{MemoryStore, Store};

use crate::ChainFacts;

const SPEC: &str = r#"
name = "test"
[model]
layers = [{ type = "linear", inputs = 23, outputs = 1 }]
[data]
features = 23
[training]
lr = 0.1
batch = 8
steps = 4
[round]
pot = "1000"
rounds = 3
"#;
const PARAMETERS: usize = 24;
const FEDERATION: u64 = 1;
const THRESHOLD: usize = 3;
const CLASSES: [u16; 4] = [40, 30, 20, 10];

pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    pub(super) facts: ChainFacts,
    spec: FederationSpec,
    members: Vec<(Member, SigningKey)>,
    validators: Vec<(Validator, SigningKey)>,
    seed: EpochSeed,
    ledger: CumulativeLedger,
    base: Vec<i32>,
    parent: B256,
    time: u64,
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

fn keys(first: u8, count: u8) -> Vec<SigningKey> {
    let mut keys: Vec<SigningKey> = (first..first + count).map(key).collect();
    keys.sort_by_key(SigningKey::address);
    keys
}

fn rounds() -> Address {
    Address::repeat_byte(0xa2)
}

fn coordinator() -> SigningKey {
    key(99)
}

impl World {
    /// A federation that played some rounds, each final, and everybody claimed after the last but one and the last.
    pub(super) async fn play(count: u64) -> Self {
        let mut world = Self::new();
        for _ in 0..count {
            world.round().await;
            if world.facts.rounds.len() as u64 + 1 >= count {
                world.claim();
            }
        }
        world
    }

    fn new() -> Self {
        let spec = FederationSpec::parse(SPEC).unwrap();
        let entity = |key: &SigningKey| key.address().into_word();
        let member =
            |(key, class): (SigningKey, u16)| (Member { account: key.address(), entity: entity(&key), class }, key);
        let validator = |key: SigningKey| (Validator { account: key.address(), entity: entity(&key), stake: 1 }, key);
        let members: Vec<_> = keys(1, 4).into_iter().zip(CLASSES).map(member).collect();
        let validators: Vec<_> = keys(11, 2).into_iter().map(validator).collect();
        let seat = |account, entity, class| SeatRecord { account, entity, class, since: 1, stake: 1 };
        let deployment = Deployment {
            chain_id: 31_337,
            federations: Address::repeat_byte(0xa1),
            rounds: rounds(),
            payouts: Address::repeat_byte(0xa3),
            token: Address::repeat_byte(0xa4),
            from_block: 0,
        };
        let seed = EpochSeed(epoch_seed(31_337, deployment.federations, FEDERATION, 0, B256::ZERO));
        let params = CreateParams {
            coordinator: coordinator().address(),
            specHash: spec.hash().unwrap(),
            beaconless: true,
            scalarsMax: spec.scalars_max().unwrap(),
            ..CreateParams::default()
        };
        let federation = FederationRecord {
            number: FEDERATION,
            owner: Address::repeat_byte(1),
            params,
            created_at: 0,
            block: 0,
            tx: B256::ZERO,
            members: members.iter().rev().map(|(m, _)| seat(m.account, m.entity, m.class)).collect(),
            validators: validators.iter().map(|(v, _)| seat(v.account, v.entity, 0)).collect(),
            funded: vec![],
            closed: false,
        };
        let matrix = B256::new(matrix_root(&seed, 1));
        let epoch = EpochRecord { epoch: 0, beacon: B256::ZERO, matrix_root: Some(matrix) };
        let facts = ChainFacts {
            deployment,
            federation,
            rounds: vec![],
            epochs: BTreeMap::from([(0, epoch)]),
            pots: vec![],
            claims: vec![],
            credited: U256::ZERO,
            payout_root: B256::ZERO,
        };
        Self {
            store: Arc::new(MemoryStore::new()),
            facts,
            spec,
            members,
            validators,
            seed,
            ledger: CumulativeLedger::default(),
            base: vec![1000; PARAMETERS],
            parent: B256::ZERO,
            time: 1_700_000_000,
        }
    }

    async fn put(&self, bytes: Vec<u8>) -> Bytes {
        self.store.put(bytes.into()).await.unwrap().to_bytes().into()
    }

    fn pot(&mut self, round: u64, change: PotChange) {
        self.facts.pots.push(PotRecord { round, change, time: self.time, tx: B256::ZERO });
    }

    fn claim(&mut self) {
        self.time += 10;
        for item in self.ledger.payouts() {
            let cumulative = self.ledger.of(item.account);
            let claims = self.facts.claims.iter();
            let before: u128 = claims.filter(|claim| claim.account == item.account).map(|claim| claim.paid).sum();
            self.facts.claims.push(ClaimRecord {
                account: item.account,
                cumulative,
                paid: cumulative - before,
                time: self.time,
                block: 0,
                tx: B256::ZERO,
                log_index: 0,
            });
        }
    }

    pub(super) async fn read<T: ListItem>(&self, cid: &[u8]) -> Vec<T> {
        let cid = almoner_store::cid_from_bytes(cid).unwrap();
        decode_list(&self.store.get(&cid, 1 << 20).await.unwrap(), 100).unwrap()
    }

    /// Replaces a posted list of the last round by a changed one, under a root and a transcript that fit.
    pub(super) async fn repost<T: ListItem>(&mut self, at: Stage, change: impl FnOnce(&mut Vec<T>)) {
        let mut items = self.read(&self.last().stages[&at].cid).await;
        change(&mut items);
        let root = list_root(&items);
        self.replace(at, encode_list(&items), root).await;
    }

    /// Replaces a posted artefact of the last round.
    pub(super) async fn replace(&mut self, at: Stage, bytes: Vec<u8>, root: B256) {
        let cid = self.put(bytes).await;
        let record = self.facts.rounds.last_mut().unwrap();
        record.stages.insert(at, stage(root, cid));
        relink(record);
    }

    pub(super) fn last(&self) -> &RoundRecord {
        self.facts.rounds.last().unwrap()
    }

    /// The last round ended void before this stage, and its money went back.
    pub(super) fn stop_last_before(&mut self, stage: Stage) {
        let record = self.facts.rounds.last_mut().unwrap();
        record.stages.retain(|at, _| *at < stage);
        (record.status, record.proposal, record.paid, record.admitted) = (RoundStatus::Void, None, None, None);
        let (number, pot) = (record.number, record.descriptor.pot);
        let paid = |record: &PotRecord| record.round == number && !matches!(record.change, PotChange::Reserved { .. });
        let was_paid = self.facts.pots.iter().any(|pot| matches!(pot.change, PotChange::Paid { .. }) && paid(pot));
        self.facts.pots.retain(|pot| !paid(pot));
        self.pot(number, PotChange::Released { to_free: pot, to_carry: 0 });
        if was_paid {
            self.facts.credited -= U256::from(pot);
            let before = self.facts.rounds.iter().rev().find(|record| record.status == RoundStatus::Final);
            self.facts.payout_root = before.map_or(B256::ZERO, |record| record.stages[&Stage::Payout].root);
            let last = self.time;
            self.facts.claims.retain(|claim| claim.time < last);
        }
    }
}

fn stage(root: B256, cid: Bytes) -> StageRecord {
    StageRecord { root, transcript: B256::ZERO, cid, time: 0, block: 0, tx: B256::ZERO }
}

/// Computes every transcript value again.
pub(super) fn relink(record: &mut RoundRecord) {
    let mut previous = B256::ZERO;
    for (stage, posted) in &mut record.stages {
        posted.transcript = transcript(previous, *stage, posted.root);
        previous = posted.transcript;
    }
}
