//! Rounds of a small federation with real encryption, as the chain and the store would hold them.

use std::collections::BTreeMap;
use std::sync::Arc;

use almoner_chain::contracts::Federations::CreateParams;
use almoner_chain::{
    AdmittedRecord, ClaimRecord, Deployment, EpochRecord, FederationRecord, PotChange, PotRecord, PromiseRecord,
    ProposalRecord, ReadyRecord, RevealRecord, RoundRecord, RoundStatus, SeatRecord, SigningKey, StageRecord,
};
use almoner_crypto::encrypt::{Ciphertext, Params, Secret, encrypt_update, update_digest};
use almoner_crypto::matrix::{EpochSeed, matrix_root};
use almoner_crypto::score::{Direction, answer, finish_inner, inner_partial, linear_form, open_score};
use almoner_crypto::seal::PUBLIC_KEY_BYTES;
use almoner_crypto::share::{ShareVec, deal, interpolate, weighted_sum};
use almoner_crypto::sum::{CheckSum, SumBlock, SumRule, open_block};
use almoner_crypto::tree::{kind, vector_root};
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::*;
use almoner_protocol::*;
use almoner_store::{MemoryStore, Store};
use alloy_primitives::keccak256;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

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

fn sign<T: SolStruct>(key: &SigningKey, message: &T) -> Bytes {
    key.sign_hash(signing_hash(message, &domain(31_337, rounds()))).unwrap().to_vec().into()
}

fn rounds() -> Address {
    Address::repeat_byte(0xa2)
}

fn coordinator() -> SigningKey {
    key(99)
}

/// One participant's upload and what it kept to itself.
struct Upload {
    ciphertext: Ciphertext,
    shares: Vec<ShareVec>,
    item: LockItem,
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
        let member = |(key, class): (SigningKey, u16)| {
            (Member { account: key.address(), entity: entity(&key), class }, key)
        };
        let validator =
            |key: SigningKey| (Validator { account: key.address(), entity: entity(&key), stake: 1 }, key);
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

    fn direction(v: usize) -> Vec<i8> {
        (0..PARAMETERS).map(|j| if (j + v) % 3 == 0 { 0 } else if j % 2 == 0 { 1 } else { -1 }).collect()
    }

    /// Against the direction of both validators, each hospital by another amount.
    fn update(i: usize, scale: &Scale) -> Update {
        let delta: Vec<f32> = (0..PARAMETERS)
            .map(|j| -(0.01 + 0.02 * i as f32) * f32::from(Self::direction(0)[j] + Self::direction(1)[j]))
            .collect();
        quantise(&delta, scale).unwrap()
    }

    async fn announce(&mut self, number: u64) -> RoundRecord {
        let members: Vec<Member> = self.members.iter().map(|(member, _)| member.clone()).collect();
        let validators: Vec<Validator> = self.validators.iter().map(|(validator, _)| validator.clone()).collect();
        let committee: Vec<CommitteeMember> = (members.iter().zip(1u8..))
            .map(|(m, n)| CommitteeMember { account: m.account, key: vec![n; PUBLIC_KEY_BYTES].into() })
            .collect();
        let facts = RoundFacts {
            federation: FEDERATION,
            round: number,
            parent_ctx: self.parent,
            base_model_root: model_root(&self.base),
            matrix_root: self.facts.epochs[&0].matrix_root.unwrap(),
            members: &members,
            committee: &committee,
            validators: &validators,
        };
        let descriptor = build_descriptor(&self.spec, &facts, self.time, 0).unwrap();
        let cids = OpenCids {
            spec: self.put(self.spec.canonical_bytes().unwrap()).await,
            base: self.put(encode_model(&self.spec.model, &self.base).unwrap()).await,
            members: self.put(encode_list(&members)).await,
            committee: self.put(encode_list(&committee)).await,
            validators: self.put(encode_list(&validators)).await,
        };
        let ready =
            |item: &CommitteeMember| ReadyRecord { member: item.account, key_hash: keccak256(&item.key), time: 0 };
        let ctx = ctx(31_337, rounds(), &descriptor);
        RoundRecord {
            federation: FEDERATION,
            number,
            ctx,
            readies: committee.iter().rev().map(ready).collect(),
            descriptor,
            cids,
            opened_at: self.time + 2,
            promises: vec![],
            direct: vec![],
            reveals: vec![],
            locked: None,
            admitted: None,
            proposal: None,
            paid: None,
            status: RoundStatus::Running,
            stages: BTreeMap::from([(Stage::Ctx, stage(ctx, Bytes::new()))]),
        }
    }

    async fn post<T: ListItem>(&self, record: &mut RoundRecord, at: Stage, items: &[T]) {
        let cid = self.put(encode_list(items)).await;
        record.stages.insert(at, stage(list_root(items), cid));
    }

    async fn upload(&self, record: &RoundRecord, i: usize, rng: &mut ChaCha20Rng) -> Upload {
        let d = &record.descriptor;
        let (member, key) = &self.members[i];
        let scale = Scale {
            delta: d.scale.delta,
            update_bits: d.scale.updateBits,
            clip: d.scale.clip,
            update_max: d.scale.updateMax,
            direction_norm: d.scale.directionNorm,
        };
        let update = Self::update(i, &scale);
        let secret = Secret::draw(&[i as u8; 32], &record.ctx.0, &update_digest(update.values()));
        let shares = deal(&secret, 4, THRESHOLD, rng).unwrap();
        let params = Params::new(scale.delta, scale.update_max.into()).unwrap();
        let ciphertext = encrypt_update(&self.seed, secret, update.values(), &params, rng).unwrap();
        let manifest = Contribution {
            ctx: record.ctx,
            participant: member.account,
            blocks: 1,
            ciphertextRoot: ciphertext.ciphertext_root.into(),
            checkRoot: ciphertext.check_root.into(),
            shareRoot: B256::repeat_byte(1),
            ciphertextCid: self.put(ciphertext.data.clone()).await,
            checkCid: self.put(ciphertext.check.clone()).await,
            sharesCid: self.put(vec![i as u8; 50]).await,
            normClass: update.norm_class(),
        };
        let receipt = Receipt {
            ctx: record.ctx,
            participant: member.account,
            manifestHash: manifest.eip712_hash_struct(),
            receivedAt: self.time + 60,
        };
        let item = LockItem {
            signature: sign(key, &manifest),
            receipt: sign(&coordinator(), &receipt),
            receivedAt: receipt.receivedAt,
            manifest,
        };
        Upload { ciphertext, shares, item }
    }

    /// One round from `open` to `final`.
    async fn round(&mut self) {
        let number = self.facts.rounds.len() as u64 + 1;
        let mut rng = ChaCha20Rng::seed_from_u64(number);
        let mut record = self.announce(number).await;
        let d = record.descriptor.clone();
        self.pot(number, PotChange::Reserved { from_free: d.pot, from_carry: 0 });

        let directions = self.promise_and_reveal(&mut record).await;
        let mut uploads = Vec::new();
        for i in 0..self.members.len() {
            uploads.push(self.upload(&record, i, &mut rng).await);
        }
        let lock: Vec<LockItem> = uploads.iter().map(|upload| upload.item.clone()).collect();
        self.post(&mut record, Stage::Lock, &lock).await;
        record.locked = Some(lock.len() as u32);
        self.post(&mut record, Stage::Direction, &directions).await;
        let accounts: Vec<Address> = self.members.iter().map(|(member, _)| member.account).collect();
        let verdicts: Vec<VerdictItem> =
            accounts.iter().map(|a| VerdictItem { participant: *a, verdict: 0 }).collect();
        self.post(&mut record, Stage::Audit, &verdicts).await;
        let scores = self.scores(&d, &uploads, &directions);
        self.post(&mut record, Stage::Score, &scores).await;

        let promises: Vec<PromiseItem> = self.read(&record.stages[&Stage::Promise].cid).await;
        let members: Vec<Member> = self.members.iter().map(|(member, _)| member.clone()).collect();
        let validators: Vec<Validator> = self.validators.iter().map(|(validator, _)| validator.clone()).collect();
        let evidence = Evidence {
            descriptor: &d,
            members: &members,
            validators: &validators,
            promises: &promises,
            directions: &directions,
            lock: &lock,
            audit: &verdicts,
            scores: &scores,
        };
        let Admission::Admitted(admitted) = admit(&evidence).unwrap() else { panic!("too few") };
        assert_eq!(admitted.scores, Scores::Valid);
        self.post(&mut record, Stage::Admit, &admitted.items).await;
        let signers = accounts[..THRESHOLD].to_vec();
        record.admitted = Some(AdmittedRecord { count: admitted.count() as u16, signers });
        self.sum_and_model(&mut record, &uploads).await;
        self.settle(&mut record, &admitted).await;
        relink(&mut record);
        self.facts.rounds.push(record);
    }

    async fn promise_and_reveal(&mut self, record: &mut RoundRecord) -> Vec<DirectionItem> {
        let mut directions = Vec::new();
        for (v, (validator, _)) in self.validators.iter().enumerate() {
            let entries: Vec<u8> = Self::direction(v).iter().map(|entry| entry.cast_unsigned()).collect();
            let item = DirectionItem { validator: validator.account, entries: entries.into() };
            let (direction_root, salt) = (list_root(std::slice::from_ref(&item)), B256::repeat_byte(v as u8));
            let commitment = commitment(&Promise {
                chain_id: 31_337,
                rounds: rounds(),
                federation: FEDERATION,
                round: record.number,
                validator: validator.account,
                ctx: record.ctx,
                direction_root,
                salt,
            });
            record.promises.push(PromiseRecord { validator: validator.account, commitment, time: 0 });
            record.reveals.push(RevealRecord { validator: validator.account, direction_root, salt, time: 0 });
            directions.push(item);
        }
        let items: Vec<PromiseItem> = (record.promises.iter())
            .map(|promise| PromiseItem { validator: promise.validator, commitment: promise.commitment })
            .collect();
        self.post(record, Stage::Promise, &items).await;
        directions
    }

    fn scores(&self, d: &Descriptor, uploads: &[Upload], directions: &[DirectionItem]) -> Vec<ScoreItem> {
        let entries: Vec<Vec<i8>> =
            directions.iter().map(|item| item.entries.iter().map(|b| b.cast_signed()).collect()).collect();
        let all: Vec<Direction> = entries.iter().map(|entries| Direction(entries)).collect();
        let forms: Vec<_> = all.iter().map(|direction| linear_form(&self.seed, direction)).collect();
        let norms: Vec<u64> = all.iter().map(Direction::norm2).collect();
        let row = |upload: &Upload| {
            let product = |g: &Direction| finish_inner(inner_partial(&upload.ciphertext.data, g.0).unwrap(), g);
            let inner: Vec<u64> = all.iter().map(product).collect();
            let rows = upload.shares.iter();
            let answers: Vec<u64> = rows.flat_map(|share| forms.iter().map(|form| answer(share, form))).collect();
            let responders = vec![0, 1, 2, 3];
            let opened = open_score(&inner, &responders, &answers, THRESHOLD, d.scale.delta, &norms).unwrap();
            let participant = upload.item.manifest.participant;
            ScoreItem { participant, inner, responders, answers, verdict: 0, scores: opened.scores }
        };
        uploads.iter().map(row).collect()
    }

    async fn sum_and_model(&mut self, record: &mut RoundRecord, uploads: &[Upload]) {
        let d = record.descriptor.clone();
        let (mut sum, mut checks) = (SumBlock::new(), CheckSum::new());
        for (upload, weight) in uploads.iter().zip(CLASSES) {
            sum.add(&upload.ciphertext.data, weight).unwrap();
            checks.add(&upload.ciphertext.check, weight).unwrap();
        }
        let words: Vec<u8> = sum.words().iter().chain(checks.words()).flat_map(|word| word.to_be_bytes()).collect();
        let root = B256::new(vector_root(kind::SUM, 8, &words));
        let cid = self.put(words).await;
        record.stages.insert(Stage::Sum, stage(root, cid));

        let share = |k: usize| -> Vec<(u16, &ShareVec)> {
            uploads.iter().zip(CLASSES).map(|(upload, weight)| (weight, &upload.shares[k])).collect()
        };
        let answers: Vec<_> = [0u16, 1, 3].into_iter().map(|k| (k, weighted_sum(&share(k.into())))).collect();
        let items: Vec<OpenItem> =
            answers.iter().map(|(k, words)| OpenItem { member: *k, words: words.to_bytes().into() }).collect();
        self.post(record, Stage::Open, &items).await;
        let borrowed: Vec<_> = answers.iter().map(|(k, words)| (*k, words)).collect();
        let secret = interpolate(&borrowed, THRESHOLD).unwrap();
        let weights = || CLASSES.iter().map(|weight| u64::from(*weight));
        let rule = SumRule {
            weight: weights().sum(),
            weight_norm2: weights().map(|weight| weight * weight).sum(),
            delta: d.scale.delta,
            update_max: d.scale.updateMax.into(),
        };
        let opened = open_block(&self.seed, 0, &secret, sum.words(), &rule).unwrap();
        assert!(opened.ok);
        let step = ServerStep {
            frac_bits: d.scale.fracBits,
            update_bits: d.scale.updateBits,
            lr_num: d.lrNum,
            lr_den: d.lrDen,
            weight_total: rule.weight,
        };
        self.base = next_model(&self.base, &opened.values[..PARAMETERS], step).unwrap();
        self.parent = record.ctx;
        let cid = self.put(encode_model(&self.spec.model, &self.base).unwrap()).await;
        record.stages.insert(Stage::Model, stage(model_root(&self.base), cid));
    }

    async fn settle(&mut self, record: &mut RoundRecord, admitted: &Admitted) {
        let d = &record.descriptor;
        let settlement = settle(d.pot, d.feeBps, admitted, &self.ledger).unwrap();
        assert_eq!(settlement.total, d.pot);
        let payout_root = settlement.payout_tree().root();
        let cid = self.put(encode_list(&settlement.items)).await;
        record.stages.insert(Stage::Settle, stage(settlement.settle_tree().unwrap().root(), cid));
        let cid = self.put(encode_list(&settlement.ledger.payouts())).await;
        record.stages.insert(Stage::Payout, stage(payout_root, cid));
        record.proposal =
            Some(ProposalRecord { proposer: coordinator().address(), total: settlement.total, ends_at: 0 });
        (record.status, record.paid) = (RoundStatus::Final, Some(settlement.total));
        self.time += 5000;
        self.pot(record.number, PotChange::Paid { amount: settlement.total, payout_root });
        self.facts.credited += U256::from(settlement.total);
        self.facts.payout_root = payout_root;
        self.ledger = settlement.ledger;
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
                gas: 0,
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
    StageRecord { root, transcript: B256::ZERO, cid, time: 0, block: 0, tx: B256::ZERO, gas: 0 }
}

/// Computes every transcript value again.
pub(super) fn relink(record: &mut RoundRecord) {
    let mut previous = B256::ZERO;
    for (stage, posted) in &mut record.stages {
        posted.transcript = transcript(previous, *stage, posted.root);
        previous = posted.transcript;
    }
}
