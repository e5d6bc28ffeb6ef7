//! Four hospitals who are the committee, three validators, a chain and a store: everything around one round. Scalars
//! are real (shares of a masked word, opened by the crypto crate); ciphertexts, sums and models are names of roots.

use std::collections::{BTreeMap, BTreeSet};

use alloy_sol_types::{SolStruct, SolValue};
use almoner_crypto::ring::{N, Q, add, mul};
use k256::ecdsa::SigningKey;

use super::super::*;
use crate::list::list_root;
use crate::payout::CumulativeLedger;
use crate::scale::Scale;
use crate::types::*;
use crate::{Address, B256, Bytes, Committee, U256, pack_direction};

pub(super) const OPENED: u64 = 1_000;
pub(super) const STAGE_SECONDS: u64 = 1_000;
pub(super) const WINDOW: u64 = 500;
pub(super) const D: u32 = 16;
pub(super) const POT: u128 = 1_000_000;
const CLASSES: [u16; 4] = [40, 30, 20, 10];
const COORDINATOR: u8 = 99;

/// An account with its key.
#[derive(Clone)]
pub(super) struct Site {
    key: SigningKey,
    pub(super) account: Address,
}

impl Site {
    fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let account = Address::from_public_key(key.verifying_key());
        Self { key, account }
    }
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) ctx: B256,
    pub(super) members: Vec<Site>,
    pub(super) validators: Vec<Site>,
    coordinator: Site,
    /// Scalar of each member's update in every direction: what the round should open.
    pub(super) truth: BTreeMap<Address, i64>,
}

impl World {
    pub(super) fn new() -> Self {
        let (members, validators) = (sorted(1..5), sorted(11..14));
        let member_list: Vec<Member> = members
            .iter()
            .zip(CLASSES)
            .map(|(site, class)| Member { account: site.account, entity: entity(site.account), class })
            .collect();
        let committee: Vec<CommitteeMember> = members
            .iter()
            .map(|site| CommitteeMember { account: site.account, key: Bytes::from(vec![7; 1216]) })
            .collect();
        let validator_list: Vec<Validator> = validators
            .iter()
            .map(|site| Validator { account: site.account, entity: entity(site.account), stake: 1 })
            .collect();
        let descriptor = descriptor(&member_list, &committee, &validator_list);
        let rounds = Address::repeat_byte(0xaa);
        // Beyond one sigma of an update without data (B·‖g‖/√d = C), within B·‖g‖ = 4·C; the last one does harm.
        let clip = descriptor.scale.clip as i64;
        let truth = members.iter().map(|site| site.account).zip([-3 * clip, -5 * clip / 2, -2 * clip, clip]).collect();
        Self {
            ctx: ctx(31337, rounds, &descriptor),
            setup: Setup {
                chain_id: 31337,
                rounds,
                coordinator: Site::new(COORDINATOR).account,
                descriptor,
                members: member_list,
                committee,
                validators: validator_list,
                cumulative: CumulativeLedger::default(),
                earlier_sets: Vec::new(),
            },
            members,
            validators,
            coordinator: Site::new(COORDINATOR),
            truth,
        }
    }

    pub(super) fn round(&self) -> Round {
        Round::announce(self.setup.clone()).unwrap()
    }

    pub(super) fn deadline(&self, stage: Stage) -> u64 {
        super::super::timing::deadline(&self.setup.descriptor, stage)
    }

    pub(super) fn sign<T: SolStruct>(&self, site: &Site, message: &T) -> Bytes {
        let hash = signing_hash(message, &domain(self.setup.chain_id, self.setup.rounds));
        let (signature, parity) = site.key.sign_prehash_recoverable(hash.as_slice()).unwrap();
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(27 + u8::from(parity));
        bytes.into()
    }

    // ---- what sites send ------------------------------------------------------------------------

    pub(super) fn entries(&self, validator: usize) -> Bytes {
        let entries = (0..D as usize).map(|j| if (j >> validator) & 1 == 0 { 1 } else { -1 });
        pack_direction(&entries.collect::<Vec<i8>>())
    }

    pub(super) fn reveal_of(&self, validator: usize, entries: &Bytes) -> Reveal {
        let account = self.validators[validator].account;
        let item = DirectionItem { validator: account, entries: entries.clone() };
        let salt = B256::repeat_byte(validator as u8 + 1);
        Reveal { ctx: self.ctx, validator: account, directionRoot: list_root(&[item]), salt }
    }

    pub(super) fn promise_to(&self, validator: usize, entries: &Bytes) -> Event {
        let reveal = self.reveal_of(validator, entries);
        let commitment = commitment(&Promise {
            chain_id: self.setup.chain_id,
            rounds: self.setup.rounds,
            federation: self.setup.descriptor.federation,
            round: self.setup.descriptor.round,
            validator: reveal.validator,
            ctx: self.ctx,
            direction_root: reveal.directionRoot,
            salt: reveal.salt,
        });
        let promise = DirectionPromise { ctx: self.ctx, validator: reveal.validator, commitment };
        let signature = self.sign(&self.validators[validator], &promise);
        Event::PromiseReceived { promise, signature }
    }

    pub(super) fn promise(&self, validator: usize) -> Event {
        self.promise_to(validator, &self.entries(validator))
    }

    pub(super) fn reveal_with(&self, validator: usize, entries: Bytes) -> Event {
        let reveal = self.reveal_of(validator, &entries);
        let signature = self.sign(&self.validators[validator], &reveal);
        Event::RevealReceived { reveal, entries, signature }
    }

    pub(super) fn reveal(&self, validator: usize) -> Event {
        self.reveal_with(validator, self.entries(validator))
    }

    pub(super) fn manifest(&self, member: usize) -> Contribution {
        let root = |part: u8| B256::repeat_byte(16 * part + member as u8);
        Contribution {
            ctx: self.ctx,
            participant: self.members[member].account,
            blocks: 1,
            ciphertextRoot: root(1),
            checkRoot: root(2),
            shareRoot: root(3),
            ciphertextCid: vec![1; 36].into(),
            checkCid: vec![2; 36].into(),
            sharesCid: vec![3; 36].into(),
            normClass: 0,
        }
    }

    pub(super) fn upload_of(&self, member: usize, manifest: Contribution) -> Event {
        let signature = self.sign(&self.members[member], &manifest);
        Event::ContributionReceived { manifest, signature, bodies: Bodies::Stored }
    }

    pub(super) fn upload(&self, member: usize) -> Event {
        self.upload_of(member, self.manifest(member))
    }

    pub(super) fn ack(&self, member: usize, stage: Stage, transcript: B256) -> Event {
        let ack = StageAck { ctx: self.ctx, stage: stage.number(), transcript };
        let signature = self.sign(&self.members[member], &ack);
        Event::StageAckReceived { member: self.members[member].account, ack, signature }
    }

    pub(super) fn score_answer_of(&self, member: usize, values: Vec<u64>) -> Event {
        let hash = score_answer_hash(&values);
        let answer = Answer { ctx: self.ctx, stage: 5, member: member as u16, answerHash: hash };
        let signature = self.sign(&self.members[member], &answer);
        Event::ScoreAnswerReceived { answer, values, signature }
    }

    /// Shares of the mask of every word of A × V, at this member's point.
    pub(super) fn score_values(&self, member: usize, participants: &[Address], directions: usize) -> Vec<u64> {
        let x = member as u64 + 1;
        let cells = participants.iter().flat_map(|account| (0..directions).map(move |v| mask(*account, v)));
        // Degree t − 1 = 2, the mask at zero.
        cells.map(|mask| add(mask, add(mul(mask ^ 1, x), mul(mask / 3, mul(x, x))))).collect()
    }

    pub(super) fn score_answer(&self, member: usize, participants: &[Address], directions: usize) -> Event {
        self.score_answer_of(member, self.score_values(member, participants, directions))
    }

    pub(super) fn sum_answer_of(&self, member: usize, fill: u64) -> Event {
        let words: Bytes = std::iter::repeat_n(fill.to_be_bytes(), N).flatten().collect();
        let answer = Answer { ctx: self.ctx, stage: 8, member: member as u16, answerHash: sum_answer_hash(&words) };
        let signature = self.sign(&self.members[member], &answer);
        Event::SumAnswerReceived { answer, words, signature }
    }

    pub(super) fn sum_answer(&self, member: usize) -> Event {
        self.sum_answer_of(member, member as u64)
    }

    // ---- what our own parts answer --------------------------------------------------------------

    pub(super) fn receipt(&self, receipt: &Receipt) -> Event {
        let signature = self.sign(&self.coordinator, receipt);
        Event::ReceiptSigned { participant: receipt.participant, signature }
    }

    pub(super) fn verdicts(&self, bad: &BTreeSet<Address>, locked: &[Address]) -> Event {
        let verdict = |participant: &Address| VerdictItem {
            participant: *participant,
            verdict: if bad.contains(participant) { 3 } else { 0 },
        };
        Event::AuditCompleted { verdicts: locked.iter().map(verdict).collect() }
    }

    pub(super) fn inners(&self, participants: &[SumWeight], directions: usize) -> Event {
        let word = |account: Address, v: usize| {
            let message =
                i128::from(self.truth[&account]) * i128::from(self.setup.descriptor.scale.delta) + v as i128 - 1;
            add(mask(account, v), message.rem_euclid(i128::from(Q)) as u64)
        };
        let row = |SumWeight { participant, .. }: &SumWeight| InnerRow {
            participant: *participant,
            inner: (0..directions).map(|v| word(*participant, v)).collect(),
        };
        Event::InnersCompleted { rows: participants.iter().map(row).collect() }
    }
}

/// A word below q that stands for `<a·s, g>`.
fn mask(account: Address, v: usize) -> u64 {
    let hash = alloy_primitives::keccak256((account, U256::from(v)).abi_encode());
    u64::from_be_bytes(hash[..8].try_into().unwrap()) % (Q - 2)
}

pub(super) fn cid(stage: Stage, root: B256) -> Bytes {
    [&[1, 0x55, 0x12, stage.number()][..], root.as_slice()].concat().into()
}

pub(super) fn posting(stage: Stage, root: B256) -> Posting {
    Posting { root, cid: cid(stage, root) }
}

fn sorted(seeds: std::ops::Range<u8>) -> Vec<Site> {
    let mut sites: Vec<Site> = seeds.map(Site::new).collect();
    sites.sort_by_key(|site| site.account);
    sites
}

fn entity(account: Address) -> B256 {
    alloy_primitives::keccak256(account)
}

fn descriptor(members: &[Member], committee: &[CommitteeMember], validators: &[Validator]) -> Descriptor {
    let sizes = Committee::of(members.len()).unwrap();
    let scale = Scale::derive(D, 0.25, 24, &CLASSES).unwrap();
    Descriptor {
        federation: 1,
        round: 1,
        parentCtx: B256::ZERO,
        baseModelRoot: B256::repeat_byte(0xb0),
        specHash: B256::repeat_byte(0xb1),
        scale: Scales {
            parameters: D,
            clip: scale.clip,
            delta: scale.delta,
            updateBits: scale.update_bits,
            fracBits: 24,
            dropBits: 2,
            updateMax: scale.update_max,
            directionNorm: scale.direction_norm,
        },
        members: sizes.members,
        faults: sizes.faults,
        threshold: sizes.threshold,
        minAdmitted: sizes.least_admitted(),
        validators: validators.len() as u16,
        acceptLeak: true,
        scalarsMax: 1000,
        lrNum: 1,
        lrDen: 1,
        pot: POT,
        feeBps: 1000,
        rule: 0,
        qualityFloor: 0,
        epoch: 0,
        matrixRoot: B256::repeat_byte(0xb2),
        lists: ListRoots {
            membershipRoot: list_root(members),
            committeeRoot: list_root(committee),
            validatorRoot: list_root(validators),
        },
        challengeWindow: WINDOW,
        deadlines: std::array::from_fn(|i| OPENED + (i as u64 + 1) * STAGE_SECONDS),
    }
}
