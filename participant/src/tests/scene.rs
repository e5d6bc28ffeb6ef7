//! One round as its public pieces, all honest; tests bend what they need.

use std::collections::BTreeMap;

use almoner_chain::{
    Deployment, FederationRecord, PromiseRecord, ReadyRecord, RevealRecord, RoundRecord, RoundStatus, SeatRecord,
    SigningKey, StageRecord,
};
use almoner_crypto::encrypt::DATA_BLOCK_BYTES;
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::{N, add};
use almoner_crypto::score::{Direction, finish_inner, inner_partial, open_score};
use almoner_crypto::seal::MemberKey;
use almoner_crypto::sum::{CheckSum, SumBlock};
use almoner_proto::words_to_bytes;
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::{
    CommitteeMember, DirectionItem, LockItem, Member, OpenCids, PromiseItem, Receipt, ScoreItem, Validator,
    VerdictItem, transcript,
};
use almoner_protocol::{
    Address, B256, Bytes, RoundFacts, SealedShares, ServerStep, SolStruct, Stage, Update, build_descriptor,
    decode_list, list_root, model_root, next_model, quantise, quantise_direction, unpack_direction,
};

use crate::Identity;
use crate::committee::{HeldShares, Judged, Revealed, answer_scores, forms, open_shares, valid_set};
use crate::contribute::{Contributed, build_contribution};
use crate::fetch::Terms;
use crate::memory::Promised;
use crate::validate::{direction_item, signed_promise, signed_reveal};

/// Parameters of the model where a test does not ask for another one.
pub(super) const D: usize = 513;
pub(super) const CLASSES: [u16; 4] = [127, 96, 64, 32];
pub(super) const THRESHOLD: usize = 3;
const OPENED_AT: u64 = 1_000_000;

const SPEC: &str = r#"
name = "four hospitals"
[model]
layers = [{ type = "linear", inputs = 30, outputs = HIDDEN }, { type = "relu" }, { type = "linear", inputs = HIDDEN, outputs = 1 }]
[data]
features = 30
[training]
lr = 0.2
batch = 16
steps = 3
[round]
pot = "1000"
rounds = 10
"#;

pub(super) struct Scene {
    pub(super) coordinator: Identity,
    pub(super) hospitals: Vec<Identity>,
    pub(super) validators: Vec<Identity>,
    pub(super) keys: Vec<MemberKey>,
    pub(super) terms: Terms,
    pub(super) federation: FederationRecord,
    pub(super) round: RoundRecord,
    pub(super) updates: Vec<Update>,
    pub(super) contributed: Vec<Contributed>,
    pub(super) revealed: Revealed,
}

fn identity(byte: u8) -> Identity {
    let at = |byte| Address::repeat_byte(byte);
    let deployment = Deployment {
        chain_id: 31337,
        federations: at(0xf0),
        rounds: at(0xf1),
        payouts: at(0xf2),
        token: at(0xf3),
        from_block: 0,
    };
    Identity::new(SigningKey::from_bytes(&[byte; 32]).unwrap(), &deployment, 1)
}

/// In address order, as every list has them.
fn identities(bytes: std::ops::Range<u8>) -> Vec<Identity> {
    let mut all: Vec<Identity> = bytes.map(identity).collect();
    all.sort_by_key(Identity::account);
    all
}

fn noise(seed: u64, length: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..length).map(|_| next()).collect()
}

pub(super) fn posted(root: B256, cid: Bytes) -> StageRecord {
    StageRecord { root, transcript: B256::ZERO, cid, time: OPENED_AT, block: 1, tx: B256::ZERO }
}

/// Posts a stage and continues the transcript.
pub(super) fn post(round: &mut RoundRecord, stage: Stage, root: B256, cid: Bytes) {
    let before = round.stages.last_key_value().map_or(B256::ZERO, |(_, posted)| posted.transcript);
    let record = StageRecord { transcript: transcript(before, stage, root), ..posted(root, cid) };
    round.stages.insert(stage, record);
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::of(16)
    }

    /// With a model of `32 · hidden + 1` parameters.
    pub(super) fn of(hidden: usize) -> Self {
        let (hospitals, validators, coordinator) = (identities(1..5), identities(5..8), identity(9));
        let keys: Vec<MemberKey> = (0..4).map(|k| MemberKey::from_seed(&[k + 1; 32])).collect();
        let terms = terms(&hospitals, &validators, &keys, coordinator.account(), hidden);
        let updates: Vec<Update> = (0..4).map(|i| update(&terms, i)).collect();
        let contribute = |(i, update): (usize, &Update)| {
            build_contribution(&terms, hospitals[i].account(), update, &[i as u8 + 1; 32]).unwrap()
        };
        let contributed: Vec<Contributed> = updates.iter().enumerate().map(contribute).collect();
        let (federation, round) = records(&terms, &hospitals, &validators);
        let lock = contributed.iter().zip(&hospitals).map(|(c, who)| lock_item(&coordinator, who, c)).collect();
        let revealed = Revealed { promises: Vec::new(), lock, directions: Vec::new() };
        let mut scene =
            Self { coordinator, hospitals, validators, keys, terms, federation, round, updates, contributed, revealed };
        scene.reveal();
        scene
    }

    fn parameters(&self) -> u32 {
        self.terms.descriptor.scale.parameters
    }

    /// Promises and reveals of all validators, on chain and in the lists.
    fn reveal(&mut self) {
        for (v, validator) in self.validators.iter().enumerate() {
            let entries = quantise_direction(&noise(v as u64 + 100, self.terms.base.len())).unwrap();
            let promised = Promised { salt: B256::repeat_byte(v as u8), entries };
            let promise = signed_promise(validator, &self.terms, &promised).unwrap().message;
            let reveal = signed_reveal(validator, &self.terms, &promised).unwrap().reveal.message;
            let (validator_account, commitment) = (promise.validator, promise.commitment);
            self.revealed.promises.push(PromiseItem { validator: validator_account, commitment });
            self.round.promises.push(PromiseRecord { validator: validator_account, commitment, time: 0 });
            self.revealed.directions.push(direction_item(validator, &promised.entries));
            self.round.reveals.push(RevealRecord {
                validator: reveal.validator,
                direction_root: reveal.directionRoot,
                salt: reveal.salt,
                time: 0,
            });
        }
        self.round.locked = Some(self.revealed.lock.len() as u32);
        let roots = [
            (Stage::Promise, list_root(&self.revealed.promises)),
            (Stage::Lock, list_root(&self.revealed.lock)),
            (Stage::Direction, list_root(&self.revealed.directions)),
        ];
        for (stage, root) in roots {
            post(&mut self.round, stage, root, Bytes::new());
        }
    }

    /// The blobs dealt to member `k`.
    pub(super) fn sealed(&self, k: usize) -> BTreeMap<Address, bytes::Bytes> {
        let blob = |contributed: &Contributed| {
            let blobs: Vec<SealedShares> = decode_list(&contributed.shares, 4).unwrap();
            (contributed.manifest.participant, blobs[k].0.clone().into())
        };
        self.contributed.iter().map(blob).collect()
    }

    pub(super) fn held(&self, k: usize) -> HeldShares {
        open_shares(&self.terms, &self.keys[k], k as u16, &self.revealed.lock, &self.sealed(k))
    }

    pub(super) fn audit(&self) -> Vec<VerdictItem> {
        let held = |item: &LockItem| VerdictItem { participant: item.manifest.participant, verdict: 0 };
        self.revealed.lock.iter().map(held).collect()
    }

    /// What each member answers.
    pub(super) fn answers(&self) -> Vec<Vec<u64>> {
        let (forms, valid) =
            (forms(&self.terms.seed, &self.revealed.directions, self.parameters()).unwrap(), valid_set(&self.audit()));
        (0..4).map(|k| answer_scores(&self.held(k), &valid, &forms)).collect()
    }

    pub(super) fn directions(&self) -> Vec<Vec<i8>> {
        let signed = |item: &DirectionItem| unpack_direction(&item.entries, self.parameters()).unwrap();
        self.revealed.directions.iter().map(signed).collect()
    }

    /// The score list as an honest coordinator makes it of these answers.
    pub(super) fn judged(&self, answers: &[Vec<u64>]) -> Judged {
        let directions = self.directions();
        let norms: Vec<u64> = directions.iter().map(|g| Direction(g).norm2()).collect();
        let row = |(i, contributed): (usize, &Contributed)| {
            let inner: Vec<u64> = directions.iter().map(|g| inner(&contributed.ciphertext, g)).collect();
            let columns = i * norms.len()..(i + 1) * norms.len();
            let answers: Vec<u64> = answers.iter().flat_map(|words| words[columns.clone()].to_vec()).collect();
            let responders = [0, 1, 2, 3];
            let delta = self.terms.descriptor.scale.delta;
            let opened = open_score(&inner, &responders, &answers, THRESHOLD, delta, &norms).unwrap();
            ScoreItem {
                participant: contributed.manifest.participant,
                inner,
                responders: responders.to_vec(),
                answers,
                verdict: 0,
                scores: opened.scores,
            }
        };
        Judged { audit: self.audit(), scores: self.contributed.iter().enumerate().map(row).collect() }
    }

    /// Data sums, then check sums, of everybody.
    pub(super) fn sum(&self) -> Vec<u8> {
        let weighted = || self.contributed.iter().zip(&self.terms.members);
        let mut check = CheckSum::new();
        weighted().for_each(|(contributed, member)| check.add(&contributed.check, member.class).unwrap());
        let block = |first: usize| {
            let mut sum = SumBlock::new();
            for (contributed, member) in weighted() {
                sum.add(&contributed.ciphertext[first..][..DATA_BLOCK_BYTES], member.class).unwrap();
            }
            words_to_bytes(sum.words())
        };
        let data = (0..self.contributed[0].ciphertext.len()).step_by(DATA_BLOCK_BYTES).flat_map(block);
        data.chain(words_to_bytes(check.words())).collect()
    }

    /// The model that follows from the updates as they were before anybody encrypted them.
    pub(super) fn next(&self) -> Vec<i32> {
        let weighted = || self.updates.iter().zip(CLASSES);
        let sum = |j: usize| weighted().map(|(update, class)| i64::from(update.values()[j]) * i64::from(class)).sum();
        let sums: Vec<i64> = (0..self.terms.base.len()).map(sum).collect();
        let scale = &self.terms.descriptor.scale;
        let step = ServerStep {
            frac_bits: scale.fracBits,
            update_bits: scale.updateBits,
            lr_num: 1,
            lr_den: 1,
            weight_total: CLASSES.iter().map(|class| u64::from(*class)).sum(),
        };
        next_model(&self.terms.base, &sums, step).unwrap()
    }
}

fn inner(ciphertext: &[u8], direction: &[i8]) -> u64 {
    let blocks = ciphertext.chunks(DATA_BLOCK_BYTES).zip(direction.chunks(N));
    let raw = blocks.fold(0, |sum, (block, g)| add(sum, inner_partial(block, g).unwrap()));
    finish_inner(raw, &Direction(direction))
}

fn update(terms: &Terms, i: usize) -> Update {
    let delta: Vec<f32> = noise(i as u64, terms.base.len()).iter().map(|x| x * 0.02).collect();
    quantise(&delta, &terms.scale()).unwrap()
}

fn terms(
    hospitals: &[Identity],
    validators: &[Identity],
    keys: &[MemberKey],
    coordinator: Address,
    hidden: usize,
) -> Terms {
    let spec = FederationSpec::parse(&SPEC.replace("HIDDEN", &hidden.to_string())).unwrap();
    let parameters = spec.model.parameters().unwrap() as i32;
    let base: Vec<i32> = (0..parameters).map(|j| j * 1000 - 250_000).collect();
    let entity = |who: &Identity| who.account().into_word();
    let members: Vec<Member> = hospitals
        .iter()
        .zip(CLASSES)
        .map(|(who, class)| Member { account: who.account(), entity: entity(who), class })
        .collect();
    let committee: Vec<CommitteeMember> = hospitals
        .iter()
        .zip(keys)
        .map(|(who, key)| CommitteeMember { account: who.account(), key: key.public().to_vec().into() })
        .collect();
    let validators: Vec<Validator> =
        validators.iter().map(|who| Validator { account: who.account(), entity: entity(who), stake: 1 }).collect();
    let facts = RoundFacts {
        federation: 1,
        round: 1,
        parent_ctx: B256::ZERO,
        base_model_root: model_root(&base),
        matrix_root: B256::repeat_byte(3),
        members: &members,
        committee: &committee,
        validators: &validators,
    };
    let descriptor = build_descriptor(&spec, &facts, OPENED_AT, 0).unwrap();
    let ctx = hospitals[0].ctx(&descriptor);
    let (seed, base) = (EpochSeed([7; 32]), base.into());
    Terms { ctx, descriptor, spec, members, committee, validators, seed, coordinator, base }
}

fn lock_item(coordinator: &Identity, who: &Identity, contributed: &Contributed) -> LockItem {
    let manifest = contributed.manifest.clone();
    let signed = who.sign(manifest.clone()).unwrap();
    let receipt = Receipt {
        ctx: manifest.ctx,
        participant: manifest.participant,
        manifestHash: manifest.eip712_hash_struct(),
        receivedAt: OPENED_AT,
    };
    let receipt = coordinator.sign(receipt).unwrap();
    LockItem {
        manifest,
        signature: signed.signature.to_vec().into(),
        receipt: receipt.signature.to_vec().into(),
        receivedAt: OPENED_AT,
    }
}

fn records(terms: &Terms, hospitals: &[Identity], validators: &[Identity]) -> (FederationRecord, RoundRecord) {
    let seat = |who: &Identity, class, stake| SeatRecord {
        account: who.account(),
        entity: who.account().into_word(),
        class,
        since: 1,
        stake,
    };
    let federation = FederationRecord {
        number: 1,
        owner: terms.coordinator,
        params: Default::default(),
        created_at: 0,
        block: 0,
        tx: B256::ZERO,
        members: hospitals.iter().zip(CLASSES).map(|(who, class)| seat(who, class, 1)).collect(),
        validators: validators.iter().map(|who| seat(who, 0, 1)).collect(),
        funded: Vec::new(),
        closed: false,
    };
    let ready = |member: &CommitteeMember| ReadyRecord {
        member: member.account,
        key_hash: alloy_primitives::keccak256(&member.key),
        time: 0,
    };
    let mut round = RoundRecord {
        federation: 1,
        number: 1,
        ctx: terms.ctx,
        descriptor: terms.descriptor.clone(),
        cids: OpenCids::default(),
        opened_at: OPENED_AT,
        readies: terms.committee.iter().map(ready).collect(),
        promises: Vec::new(),
        direct: Vec::new(),
        reveals: Vec::new(),
        locked: None,
        admitted: None,
        proposal: None,
        paid: None,
        status: RoundStatus::Running,
        stages: BTreeMap::new(),
    };
    post(&mut round, Stage::Ctx, terms.ctx, Bytes::new());
    (federation, round)
}
