//! Summed: t members answer for U, the sum is opened, and the next model follows from it.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes};
use almoner_crypto::ring::{N, Q};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::timing::{deadline, last_call};
use super::{Fault, Posting, Rejection, Round, State, VoidReason};
use crate::list::{encode_list, list_root};
use crate::types::{Answer, OpenItem, Stage};

/// SHA-256 of `T_k` as it is sent: 2048 big-endian words. What `Answer.answerHash` is at stage `open`.
pub fn sum_answer_hash(words: &[u8]) -> B256 {
    B256::from(<[u8; 32]>::from(Sha256::digest(words)))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SumAnswer {
    hash: B256,
    /// Empty once the opening is on chain.
    words: Bytes,
}

/// What the answers opened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opening {
    /// The t committee indices that count, ascending.
    members: Vec<u16>,
    /// Data blocks with a residual out of bounds: zero for everybody, and never opened again.
    zeroed_blocks: Vec<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SumAnswers {
    by_member: BTreeMap<u16, SumAnswer>,
    /// Answers at the last attempt that failed.
    refused: usize,
    opening: Option<Opening>,
}

impl SumAnswers {
    pub(super) fn len(&self) -> usize {
        self.by_member.len()
    }

    pub(super) fn is_open(&self) -> bool {
        self.opening.is_some()
    }

    pub(super) fn zeroed_blocks(&self) -> &[u32] {
        self.opening.as_ref().map_or(&[], |opening| &opening.zeroed_blocks)
    }

    /// All answers there are.
    pub(super) fn items(&self) -> Vec<OpenItem> {
        let answers = self.by_member.iter();
        answers.map(|(member, answer)| OpenItem { member: *member, words: answer.words.clone() }).collect()
    }

    fn opened_items(&self) -> Vec<OpenItem> {
        let members = self.opening.as_ref().map_or(&[][..], |opening| &opening.members);
        self.items().into_iter().filter(|item| members.contains(&item.member)).collect()
    }

    /// With how many answers the last attempt failed.
    pub(super) fn refused(&self) -> usize {
        self.refused
    }

    pub(super) fn artefact(&self) -> Vec<u8> {
        encode_list(&self.opened_items())
    }

    /// The opening is on chain: only hashes stay, so that a second answer is still seen.
    pub(super) fn drop_words(&mut self) {
        self.by_member.values_mut().for_each(|answer| answer.words = Bytes::new());
    }
}

impl Round {
    pub(super) fn on_sum_answer(&mut self, answer: Answer, words: Bytes, signature: Bytes) -> Result<(), Rejection> {
        let field = "sum answer";
        let account = self.check_answer(&answer, Stage::Open, field, &signature)?;
        if let Some(known) = self.sum_answers.by_member.get(&answer.member) {
            let same = known.hash == answer.answerHash;
            return if same { Ok(()) } else { Err(Rejection::Equivocation { account, field }) };
        }
        if self.sum_answers.is_open() {
            // Those of t members were enough: one that was on its way is no fault of its member, and is not kept.
            return Ok(());
        }
        match self.state.cmp(&State::Summed) {
            std::cmp::Ordering::Less => return Err(Rejection::TooEarly { account, field, state: self.state }),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => return Err(Rejection::TooLate { account, field, state: self.state }),
        }
        self.need_acks(account, field, Stage::Admit)?;
        let (chunks, rest) = words.as_chunks::<8>();
        if chunks.len() != N || !rest.is_empty() {
            return Err(Rejection::malformed(account, field, "not 2048 words of eight bytes"));
        }
        if chunks.iter().any(|word| u64::from_be_bytes(*word) >= Q) {
            return Err(Rejection::malformed(account, field, "a word is not below q"));
        }
        if sum_answer_hash(&words) != answer.answerHash {
            return Err(Rejection::malformed(account, field, "the words have another hash than the one signed"));
        }
        self.sum_answers.by_member.insert(answer.member, SumAnswer { hash: answer.answerHash, words });
        Ok(())
    }

    pub(super) fn on_sum_opened(
        &mut self,
        members: Vec<u16>,
        model: Posting,
        zeroed_blocks: Vec<u32>,
    ) -> Result<(), Rejection> {
        let job = "opening";
        let opening = Opening { members, zeroed_blocks };
        if let Some(known) = &self.sum_answers.opening {
            let same = *known == opening && self.posts.root(Stage::Model) == Some(model.root);
            return if same { Ok(()) } else { Err(Rejection::result(job, "it was another before")) };
        }
        if self.state != State::Summed {
            return Err(Rejection::result(job, format!("not asked for while the round is {}", self.state)));
        }
        let answered = |member: &u16| self.sum_answers.by_member.contains_key(member);
        if opening.members.len() != self.terms.threshold()
            || !opening.members.is_sorted_by(|a, b| a < b)
            || !opening.members.iter().all(answered)
        {
            return Err(Rejection::result(job, "not by exactly t members that answered, in order"));
        }
        self.sum_answers.opening = Some(opening);
        self.posts.fix(Stage::Open, list_root(&self.sum_answers.opened_items()))?;
        self.posts.fix(Stage::Model, model.root)?;
        self.posts.stored(Stage::Model, model)
    }

    pub(super) fn on_sum_not_opened(&mut self, members: &[u16]) -> Result<(), Rejection> {
        if self.state == State::Summed && !self.sum_answers.is_open() {
            self.sum_answers.refused = self.sum_answers.refused.max(members.len());
        }
        Ok(())
    }

    /// Any t answers that fit the check blocks give the same sum, so there is nothing to wait for beyond them.
    pub(super) fn wants_opening(&self) -> bool {
        let answers = self.sum_answers.len();
        self.state == State::Summed
            && !self.sum_answers.is_open()
            && answers >= self.terms.threshold()
            && answers > self.sum_answers.refused
    }

    pub(super) fn advance_summed(&mut self) {
        let Some(summed) = self.posts.posted(Stage::Sum) else { return };
        let last = last_call(summed.at, deadline(&self.terms.descriptor, Stage::Open));
        let (have, need) = (self.sum_answers.len(), self.terms.threshold());
        if self.clock >= last && have < need {
            self.give_up(VoidReason::TooFewAnswers { stage: Stage::Open, have, need }, self.missing_sums());
        }
    }

    /// Why the sum is not open: members that are silent, or answers that do not fit.
    pub(super) fn missing_sums(&self) -> Vec<Fault> {
        let answered = |index: &u16| self.sum_answers.by_member.contains_key(index);
        let committee = || self.terms.committee.iter().copied().zip(0u16..);
        let silent = committee().filter(|(_, index)| !answered(index));
        let mut faults: Vec<Fault> = silent.map(|(member, _)| Fault::NoAnswer { member, stage: Stage::Open }).collect();
        if self.sum_answers.refused >= self.terms.threshold() {
            let members = committee().filter(|(_, index)| answered(index)).map(|(member, _)| member).collect();
            faults.push(Fault::WrongAnswers { members });
        }
        faults
    }
}
