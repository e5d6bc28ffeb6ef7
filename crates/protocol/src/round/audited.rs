//! Audited: t members answer for A, and each participant's scalars are opened.
//!
//! A liar among the answers is found by trying the t-subsets. With exactly t answers there is only one subset, so
//! that one liar would throw out everybody: a row that does not open waits for the other members until last call.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use almoner_crypto::ring::Q;
use almoner_crypto::score::open_score;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::timing::{deadline, half_time, last_call};
use super::{Fault, InnerRow, Rejection, Round, State, VoidReason};
use crate::list::{encode_list, list_root};
use crate::types::{Answer, ScoreItem, Stage};
use crate::verdict::ScoreVerdict;

/// SHA-256 of a scalar answer's wire bytes: its words, big-endian. What `Answer.answerHash` is at stage `score`.
pub fn score_answer_hash(values: &[u64]) -> B256 {
    let mut hash = Sha256::new();
    values.iter().for_each(|value| hash.update(value.to_be_bytes()));
    B256::from(<[u8; 32]>::from(hash.finalize()))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ScoreAnswer {
    hash: B256,
    /// Row-major, A × directions. Empty once U is decided.
    values: Vec<u64>,
}

/// Inner products and answers, then the rows they open to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scores {
    inners: Option<Vec<InnerRow>>,
    by_member: BTreeMap<u16, ScoreAnswer>,
    /// Answers at the last attempt that left a row closed; the next one waits for more.
    tried: usize,
    rows: Option<Vec<ScoreItem>>,
}

impl Scores {
    pub(super) fn has_inners(&self) -> bool {
        self.inners.is_some()
    }

    pub(super) fn answers(&self) -> usize {
        self.by_member.len()
    }

    pub(super) fn answered(&self, index: u16) -> bool {
        self.by_member.contains_key(&index)
    }

    pub(super) fn rows(&self) -> &[ScoreItem] {
        self.rows.as_deref().unwrap_or_default()
    }

    pub(super) fn artefact(&self) -> Vec<u8> {
        encode_list(self.rows())
    }

    /// U is decided: of what only the rows needed, hashes stay, so that a second answer is still seen.
    pub(super) fn drop_words(&mut self) {
        self.inners = None;
        self.by_member.values_mut().for_each(|answer| answer.values = Vec::new());
        for row in self.rows.iter_mut().flatten() {
            (row.inner, row.responders, row.answers) = Default::default();
        }
    }
}

impl Round {
    pub(super) fn on_inners(&mut self, rows: Vec<InnerRow>) -> Result<(), Rejection> {
        let job = "inner products";
        if self.scores.inners.is_some() || self.scores.rows.is_some() {
            return Ok(());
        }
        if !self.wants_inners() {
            return Err(Rejection::result(job, format!("not asked for while the round is {}", self.state)));
        }
        if !rows.iter().map(|row| row.participant).eq(self.valid_set()) {
            return Err(Rejection::result(job, "not one row per participant of A, in lock-list order"));
        }
        let directions = self.reveals.len();
        if rows.iter().any(|row| row.inner.len() != directions || row.inner.iter().any(|word| *word >= Q)) {
            return Err(Rejection::result(job, "a row is not one word below q per direction"));
        }
        self.scores.inners = Some(rows);
        Ok(())
    }

    /// A and the directions are on chain, and the products of them are not known yet.
    pub(super) fn wants_inners(&self) -> bool {
        self.state == State::Audited && self.reveals.len() > 0 && !self.scores.has_inners()
    }

    pub(super) fn on_score_answer(
        &mut self,
        answer: Answer,
        values: Vec<u64>,
        signature: Bytes,
    ) -> Result<(), Rejection> {
        let field = "score answer";
        let account = self.check_answer(&answer, Stage::Score, field, &signature)?;
        if let Some(known) = self.scores.by_member.get(&answer.member) {
            let same = known.hash == answer.answerHash;
            return if same { Ok(()) } else { Err(Rejection::Equivocation { account, field }) };
        }
        if self.scores.rows.is_some() {
            // The others' were enough: one that was on its way is no fault of its member, and is not kept.
            return Ok(());
        }
        match self.state.cmp(&State::Audited) {
            std::cmp::Ordering::Less => return Err(Rejection::TooEarly { account, field, state: self.state }),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => return Err(Rejection::TooLate { account, field, state: self.state }),
        }
        self.need_acks(account, field, Stage::Direction)?;
        if values.len() != self.valid_set().len() * self.reveals.len() {
            return Err(Rejection::malformed(account, field, "not one word per participant of A and direction"));
        }
        if values.iter().any(|word| *word >= Q) {
            return Err(Rejection::malformed(account, field, "a word is not below q"));
        }
        if score_answer_hash(&values) != answer.answerHash {
            return Err(Rejection::malformed(account, field, "the words have another hash than the one signed"));
        }
        self.scores.by_member.insert(answer.member, ScoreAnswer { hash: answer.answerHash, values });
        Ok(())
    }

    /// The answer is this stage's and signed by the member whose index it names.
    pub(super) fn check_answer(
        &self,
        answer: &Answer,
        stage: Stage,
        field: &'static str,
        signature: &[u8],
    ) -> Result<Address, Rejection> {
        let account = self.terms.committee.get(usize::from(answer.member)).copied();
        // An index beyond the committee names nobody.
        let account = account.ok_or(Rejection::Stranger { account: Address::ZERO, list: "committee" })?;
        self.terms.check_signed(account, field, answer.ctx, answer, signature)?;
        if answer.stage != stage.number() {
            return Err(Rejection::malformed(account, field, format!("signed for stage number {}", answer.stage)));
        }
        Ok(account)
    }

    pub(super) fn advance_audited(&mut self) -> Result<(), Rejection> {
        let Some(audited) = self.posts.posted(Stage::Audit) else { return Ok(()) };
        if self.scores.rows.is_some() {
            return Ok(());
        }
        // A is public now; with fewer than N_min in it nothing may ever be opened.
        let (have, need) = (self.valid_set().len(), usize::from(self.terms.descriptor.minAdmitted));
        if have < need {
            self.give_up(VoidReason::TooFewValid { have, need }, self.refused_by_audit());
            return Ok(());
        }
        let end = deadline(&self.terms.descriptor, Stage::Score);
        let (half, last) = (half_time(audited.at, end), last_call(audited.at, end));
        if self.reveals.len() == 0 {
            // Nothing to open: the round goes on unscored, and pays nobody.
            return self.accept_rows(self.valid_set().into_iter().map(empty_row).collect());
        }
        let (have, need) = (self.scores.answers(), self.terms.threshold());
        if self.clock >= last && have < need {
            let (acks, stage) = (self.acks.count(Stage::Direction), Stage::Direction);
            let reason = match acks < need {
                true => VoidReason::TooFewAcks { stage, have: acks, need },
                false => VoidReason::TooFewAnswers { stage: Stage::Score, have, need },
            };
            self.give_up(reason, self.missing_scores());
            return Ok(());
        }
        let complete = have == self.terms.committee.len();
        if have < need || !(complete || self.clock >= half) {
            return Ok(());
        }
        let give_up_rows = complete || self.clock >= last;
        let (Some(inners), true) = (&self.scores.inners, give_up_rows || have > self.scores.tried) else {
            return Ok(());
        };
        let rows = self.open_rows(inners);
        if give_up_rows || rows.iter().all(|row| row.verdict == ScoreVerdict::Opened.number()) {
            return self.accept_rows(rows);
        }
        self.scores.tried = have;
        Ok(())
    }

    fn accept_rows(&mut self, rows: Vec<ScoreItem>) -> Result<(), Rejection> {
        self.posts.fix(Stage::Score, list_root(&rows))?;
        self.scores.rows = Some(rows);
        Ok(())
    }

    fn open_rows(&self, inners: &[InnerRow]) -> Vec<ScoreItem> {
        let norms = self.reveals.norms_squared();
        inners.iter().enumerate().map(|(index, row)| self.open_row(index, row, &norms)).collect()
    }

    fn open_row(&self, index: usize, row: &InnerRow, norms: &[u64]) -> ScoreItem {
        let columns = row.inner.len();
        let own = index * columns..(index + 1) * columns;
        let responders: Vec<u16> = self.scores.by_member.keys().copied().collect();
        // The lengths were checked when the answers came.
        let own_words = |answer: &ScoreAnswer| answer.values.get(own.clone()).unwrap_or_default().to_vec();
        let answers: Vec<u64> = self.scores.by_member.values().flat_map(own_words).collect();
        let (threshold, delta) = (self.terms.threshold(), self.terms.descriptor.scale.delta);
        let (verdict, scores) = match open_score(&row.inner, &responders, &answers, threshold, delta, norms) {
            Ok(opening) => (ScoreVerdict::Opened, opening.scores),
            // Words and order were checked before; what is left is that no subset opens.
            Err(_) => (ScoreVerdict::Residual, Vec::new()),
        };
        ScoreItem {
            participant: row.participant,
            inner: row.inner.clone(),
            responders,
            answers,
            verdict: verdict.number(),
            scores,
        }
    }

    pub(super) fn missing_scores(&self) -> Vec<Fault> {
        if !self.acked(Stage::Direction) {
            return self.missing_acks(Stage::Direction);
        }
        let committee = self.terms.committee.iter().zip(0u16..);
        let silent = committee.filter(|(_, index)| !self.scores.answered(*index));
        silent.map(|(member, _)| Fault::NoAnswer { member: *member, stage: Stage::Score }).collect()
    }
}

fn empty_row(participant: Address) -> ScoreItem {
    ScoreItem {
        participant,
        inner: Vec::new(),
        responders: Vec::new(),
        answers: Vec::new(),
        verdict: ScoreVerdict::Opened.number(),
        scores: Vec::new(),
    }
}
