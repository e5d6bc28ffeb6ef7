//! Carries out the effects of a round as its actor, its workers, its chain and its sites would, and keeps what the
//! tests assert: which admit roots were ever shown, what was proposed, who got a receipt.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::world::{D, OPENED, World, posting};
use crate::list::decode_list;
use crate::types::*;
use crate::{Address, B256, packed_direction_length};

/// Who misbehaves. Members and validators by index.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) no_promise: BTreeSet<usize>,
    pub(super) no_upload: BTreeSet<usize>,
    pub(super) no_reveal: BTreeSet<usize>,
    pub(super) no_ack: BTreeSet<(Stage, usize)>,
    pub(super) no_answer: BTreeSet<(Stage, usize)>,
    /// Members whose scalar answers are off.
    pub(super) wrong_scores: BTreeSet<usize>,
    /// Members whose `T_k` are off: the worker finds no subset with them.
    pub(super) wrong_sums: BTreeSet<usize>,
    /// Members whose uploads fail the audit.
    pub(super) bad_uploads: BTreeSet<usize>,
    /// Stages whose transactions never arrive.
    pub(super) censored: BTreeSet<Stage>,
}

pub(super) struct Driver {
    pub(super) world: World,
    pub(super) round: Round,
    pub(super) faults: Faults,
    pub(super) now: u64,
    /// Events on their way to the round.
    pub(super) queue: Vec<Event>,
    /// Events that the round took, in order, with their times.
    pub(super) taken: Vec<(Event, u64)>,
    pub(super) rejected: Vec<Rejection>,
    pub(super) admit_roots: BTreeSet<B256>,
    pub(super) proposed: Vec<u128>,
    pub(super) receipts: BTreeMap<Address, Vec<Receipt>>,
    pub(super) voided: Vec<(VoidReason, Vec<Fault>)>,
    pub(super) expired: Vec<(Stage, Vec<Fault>)>,
    locked: Vec<Address>,
    directions: usize,
    chain: Vec<B256>,
}

impl Driver {
    pub(super) fn new(world: World, faults: Faults) -> Self {
        let round = world.round();
        let mut driver = Self {
            world,
            round,
            faults,
            now: OPENED,
            queue: Vec::new(),
            taken: Vec::new(),
            rejected: Vec::new(),
            admit_roots: BTreeSet::new(),
            proposed: Vec::new(),
            receipts: BTreeMap::new(),
            voided: Vec::new(),
            expired: Vec::new(),
            locked: Vec::new(),
            directions: 0,
            chain: Vec::new(),
        };
        let first = driver.round.outstanding();
        first.into_iter().for_each(|effect| driver.carry_out(effect));
        driver
    }

    pub(super) fn honest() -> Self {
        Self::new(World::new(), Faults::default())
    }

    /// Runs to the end, letting time pass whenever nobody has anything to say.
    pub(super) fn run(mut self) -> Self {
        self.run_while(|_| true);
        self
    }

    pub(super) fn run_until(mut self, state: State) -> Self {
        self.run_while(|round| round.state() < state);
        assert_eq!(self.round.state(), state, "{:?}", self.rejected);
        self
    }

    fn run_while(&mut self, go_on: impl Fn(&Round) -> bool) {
        for _ in 0..10_000 {
            let over = self.round.state().is_over() && self.queue.is_empty();
            if over || !go_on(&self.round) {
                return;
            }
            if self.queue.is_empty() {
                self.now += 125;
                self.queue.push(Event::TimePassed);
            }
            let event = self.queue.remove(0);
            self.feed(event).map(drop).unwrap_or_default();
        }
        panic!("no end in sight at {}", self.round.state());
    }

    pub(super) fn feed(&mut self, event: Event) -> Result<(), Rejection> {
        let effects = match self.round.step(event.clone(), self.now) {
            Ok(effects) => effects,
            Err(rejection) => {
                self.rejected.push(rejection.clone());
                return Err(rejection);
            }
        };
        self.taken.push((event, self.now));
        effects.into_iter().for_each(|effect| self.carry_out(effect));
        Ok(())
    }

    fn mine(&mut self, stage: Stage, posting: Posting) {
        if self.faults.censored.contains(&stage) || self.now > self.world.deadline(stage) {
            return;
        }
        // A transaction sent twice is refused the second time.
        if self.chain.len() != usize::from(stage.number()) {
            return;
        }
        let previous = self.chain.last().copied().unwrap_or_default();
        let transcript = transcript(previous, stage, posting.root);
        self.chain.push(transcript);
        let seen =
            |finality| Event::StagePosted { stage, posting: posting.clone(), transcript, at: self.now, finality };
        let (included, last) = (seen(Finality::Included), seen(Finality::Final));
        self.queue.extend([included, last]);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::OpenRound => {
                self.chain = vec![transcript(B256::ZERO, Stage::Ctx, self.world.ctx)];
                self.queue.push(Event::RoundOpened { ctx: self.world.ctx, at: self.now });
                let validators = (0..self.world.validators.len()).filter(|v| !self.faults.no_promise.contains(v));
                self.queue.extend(validators.map(|v| self.world.promise(v)));
            }
            Effect::PostPromises { list, promises: _ } => self.mine(Stage::Promise, list),
            Effect::Lock { list, count } => {
                assert_eq!(count as usize, self.locked.len());
                self.mine(Stage::Lock, list);
            }
            Effect::PostDirections { list, reveals } => {
                assert_eq!(reveals.len(), self.directions);
                self.mine(Stage::Direction, list);
            }
            Effect::PostAudit { list } => self.mine(Stage::Audit, list),
            Effect::PostScores { list } => self.mine(Stage::Score, list),
            Effect::PostAdmit { list, admitted, acks } => {
                self.admit_roots.insert(list.root);
                assert!(admitted >= self.world.setup.descriptor.minAdmitted);
                assert_eq!(acks.len(), usize::from(self.world.setup.descriptor.threshold));
                assert!(acks.is_sorted_by(|a, b| a.member < b.member));
                self.mine(Stage::Admit, list);
            }
            Effect::PostSum { sum } => self.mine(Stage::Sum, sum),
            Effect::PostOpenAndModel { open, model } => {
                self.mine(Stage::Open, open);
                self.mine(Stage::Model, model);
            }
            Effect::Propose { settle, payout, total } => {
                self.proposed.push(total);
                self.mine(Stage::Settle, settle);
                self.mine(Stage::Payout, payout);
            }
            Effect::Finalise => self.queue.push(Event::RoundFinalised),
            Effect::VoidRound { reason, faults } => {
                self.voided.push((reason, faults));
                self.queue.push(Event::RoundVoided);
            }
            Effect::ExpireRound { stage, faults } => {
                self.expired.push((stage, faults));
                self.queue.push(Event::RoundExpired);
            }
            Effect::StoreArtefact { stage, root, bytes } => {
                self.inspect(stage, root, &bytes);
                self.queue.push(Event::ArtefactStored { stage, posting: posting(stage, root) });
            }
            Effect::AskAcks { stage, transcript, list } => {
                assert_eq!(self.round.root(stage), Some(list.root));
                let acks = self.willing(|faults, member| !faults.no_ack.contains(&(stage, member)));
                self.queue.extend(acks.into_iter().map(|member| self.world.ack(member, stage, transcript)));
            }
            Effect::AskAnswers { stage, acks, participants } => self.answer(stage, &acks, &participants),
            Effect::RequestAudit { lock: _, uploads, directions: _ } => {
                assert!(uploads.iter().map(|upload| upload.participant).eq(self.locked.iter().copied()));
                let bad = self.faults.bad_uploads.iter().map(|member| self.world.members[*member].account).collect();
                self.queue.push(self.world.verdicts(&bad, &self.locked));
            }
            Effect::RequestInners { participants, directions: _ } => {
                self.queue.push(self.world.inners(&participants, self.directions));
            }
            Effect::RequestSum { weights } => {
                assert!(weights.iter().all(|weight| weight.class > 0));
                self.queue.push(Event::SumCompleted { sum: posting(Stage::Sum, B256::repeat_byte(0x50)) });
            }
            Effect::RequestOpen { answers, sum: _ } => self.queue.push(self.open(&answers)),
            Effect::SignReceipt { receipt } => self.queue.push(self.world.receipt(&receipt)),
            Effect::SendReceipt { receipt, signature: _ } => {
                self.receipts.entry(receipt.participant).or_default().push(receipt);
            }
            Effect::Broadcast { state } => self.on_state(state),
        }
    }

    fn willing(&self, will: impl Fn(&Faults, usize) -> bool) -> Vec<usize> {
        (0..self.world.members.len()).filter(|member| will(&self.faults, *member)).collect()
    }

    fn on_state(&mut self, state: State) {
        if state == State::Training {
            let members = self.willing(|faults, member| !faults.no_upload.contains(&member));
            self.queue.extend(members.into_iter().map(|member| self.world.upload(member)));
        }
        if state == State::Locked {
            let validators = (0..self.world.validators.len())
                .filter(|v| !self.faults.no_reveal.contains(v) && !self.faults.no_promise.contains(v));
            self.queue.extend(validators.map(|v| self.world.reveal(v)));
        }
    }

    fn answer(&mut self, stage: Stage, acks: &[MemberAck], participants: &[SumWeight]) {
        assert_eq!(acks.len(), usize::from(self.world.setup.descriptor.threshold), "no answer without a certificate");
        let accounts: Vec<Address> = participants.iter().map(|weight| weight.participant).collect();
        for member in self.willing(|faults, member| !faults.no_answer.contains(&(stage, member))) {
            let event = if stage == Stage::Open {
                self.world.sum_answer(member)
            } else {
                let mut values = self.world.score_values(member, &accounts, self.directions);
                if self.faults.wrong_scores.contains(&member) {
                    values.iter_mut().for_each(|value| *value /= 2);
                }
                self.world.score_answer_of(member, values)
            };
            self.queue.push(event);
        }
    }

    fn open(&self, answers: &[OpenItem]) -> Event {
        let threshold = usize::from(self.world.setup.descriptor.threshold);
        let all: Vec<u16> = answers.iter().map(|answer| answer.member).collect();
        let right = all.iter().copied().filter(|member| !self.faults.wrong_sums.contains(&usize::from(*member)));
        let members: Vec<u16> = right.take(threshold).collect();
        if members.len() < threshold {
            return Event::SumNotOpened { members: all };
        }
        let model = posting(Stage::Model, B256::repeat_byte(0x60));
        Event::SumOpened { members, model, zeroed_blocks: Vec::new() }
    }

    /// Every artefact is what its root says, in a form that strangers read back.
    fn inspect(&mut self, stage: Stage, root: B256, bytes: &[u8]) {
        fn read<T: crate::ListItem>(bytes: &[u8], root: B256) -> Vec<T> {
            let items = decode_list::<T>(bytes, 1000).unwrap();
            assert_eq!(crate::list_root(&items), root);
            items
        }
        match stage {
            Stage::Promise => drop(read::<PromiseItem>(bytes, root)),
            Stage::Lock => {
                let items = read::<LockItem>(bytes, root);
                self.locked = items.into_iter().map(|item| item.manifest.participant).collect();
            }
            Stage::Direction => {
                let items = read::<DirectionItem>(bytes, root);
                assert!(items.iter().all(|item| item.entries.len() == packed_direction_length(D)));
                self.directions = items.len();
            }
            Stage::Audit => drop(read::<VerdictItem>(bytes, root)),
            Stage::Score => drop(read::<ScoreItem>(bytes, root)),
            Stage::Admit => {
                read::<AdmitItem>(bytes, root);
                self.admit_roots.insert(root);
            }
            Stage::Open => drop(read::<OpenItem>(bytes, root)),
            // Their roots are trees of their own.
            Stage::Settle => drop(decode_list::<SettleItem>(bytes, 1000).unwrap()),
            Stage::Payout => drop(decode_list::<PayoutItem>(bytes, 1000).unwrap()),
            Stage::Ctx | Stage::Sum | Stage::Model => panic!("{stage} has no list"),
        }
    }
}
