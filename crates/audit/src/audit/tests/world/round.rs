//! One round, played by everybody honestly.

use alloy_primitives::keccak256;
use almoner_chain::{
    AdmittedRecord, PotChange, PromiseRecord, ProposalRecord, ReadyRecord, RevealRecord, RoundRecord, RoundStatus,
    SigningKey,
};
use almoner_crypto::encrypt::{Ciphertext, Params, Secret, encrypt_update, update_digest};
use almoner_crypto::score::{Direction, answer, finish_inner, inner_partial, linear_form, open_score};
use almoner_crypto::seal::PUBLIC_KEY_BYTES;
use almoner_crypto::share::{ShareVec, deal, interpolate, weighted_sum};
use almoner_crypto::sum::{CheckSum, SumBlock, SumRule, open_block};
use almoner_crypto::tree::{kind, vector_root};
use almoner_protocol::types::*;
use almoner_protocol::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;

use super::{CLASSES, FEDERATION, PARAMETERS, THRESHOLD, World, coordinator, relink, rounds, stage};

fn sign<T: SolStruct>(key: &SigningKey, message: &T) -> Bytes {
    key.sign_hash(signing_hash(message, &domain(31_337, rounds()))).unwrap().to_vec().into()
}

/// One participant's upload and what it kept to itself.
struct Upload {
    ciphertext: Ciphertext,
    shares: Vec<ShareVec>,
    item: LockItem,
}

impl World {
    fn direction(v: usize) -> Vec<i8> {
        (0..PARAMETERS).map(|j| [1, 0, -1][(j + v) % 3]).collect()
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
    pub(super) async fn round(&mut self) {
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
        let verdicts: Vec<VerdictItem> = accounts.iter().map(|a| VerdictItem { participant: *a, verdict: 0 }).collect();
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
            let item = DirectionItem { validator: validator.account, entries: pack_direction(&Self::direction(v)) };
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
        let unpack = |item: &DirectionItem| unpack_direction(&item.entries, PARAMETERS as u32).unwrap();
        let entries: Vec<Vec<i8>> = directions.iter().map(unpack).collect();
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
}
