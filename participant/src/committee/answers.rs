//! Answers. Forms are derived here from the epoch seed and the acknowledged directions, never accepted: a form of
//! somebody's choice would open a coordinate.

use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::score::{Direction, LinearForm, answer, linear_form};
use almoner_crypto::share::{AnswerVec, ShareVec, weighted_sum};
use almoner_proto::{ScoreAnswer, SumAnswer};
use almoner_protocol::types::{AdmitItem, Answer, DirectionItem, VerdictItem};
use almoner_protocol::{Address, AdmitVerdict, AuditVerdict, Stage, round, unpack_direction};

use super::HeldShares;
use crate::fetch::Terms;
use crate::{Identity, SiteError};

/// One form per direction, in the order of the direction list.
pub fn forms(seed: &EpochSeed, directions: &[DirectionItem], parameters: u32) -> Result<Vec<LinearForm>, SiteError> {
    let form = |item: &DirectionItem| {
        let entries = unpack_direction(&item.entries, parameters)?;
        Ok(linear_form(seed, &Direction(&entries)))
    };
    directions.iter().map(form).collect()
}

/// A: the participants whose upload the audit holds good, in lock-list order.
pub fn valid_set(audit: &[VerdictItem]) -> Vec<Address> {
    let held = audit.iter().filter(|item| item.verdict == AuditVerdict::Held.number());
    held.map(|item| item.participant).collect()
}

/// One word per participant of A and direction, row by participant. A participant that dealt us no good share gets
/// zeros, which open nothing: the row is then opened by the other members' answers.
pub fn answer_scores(held: &HeldShares, valid: &[Address], forms: &[LinearForm]) -> Vec<u64> {
    let row = |participant: &Address| {
        let share = held.of(*participant);
        forms.iter().map(move |form| share.map_or(0, |share| answer(share, form)))
    };
    valid.iter().flat_map(row).collect()
}

/// `T_k = Σ w_i·share_ik` over U.
pub fn answer_sum(held: &HeldShares, items: &[AdmitItem]) -> Result<AnswerVec, SiteError> {
    let admitted = items.iter().filter(|item| item.verdict == AdmitVerdict::Admitted.number());
    let weighted = |item: &AdmitItem| {
        let missing = SiteError::ShareMissing { participant: item.participant };
        Ok((item.class, held.of(item.participant).ok_or(missing)?))
    };
    let shares: Vec<(u16, &ShareVec)> = admitted.map(weighted).collect::<Result<_, SiteError>>()?;
    Ok(weighted_sum(&shares))
}

/// The scalar answer as a signed message.
pub fn signed_scores(
    identity: &Identity,
    terms: &Terms,
    member: u16,
    words: Vec<u64>,
) -> Result<ScoreAnswer, SiteError> {
    let answer_hash = round::score_answer_hash(&words);
    let stage = Stage::Score.number();
    let answer = identity.sign(Answer { ctx: terms.ctx, stage, member, answerHash: answer_hash })?;
    Ok(ScoreAnswer { answer, words })
}

/// The sum answer as a signed message.
pub fn signed_sum(identity: &Identity, terms: &Terms, member: u16, answer: &AnswerVec) -> Result<SumAnswer, SiteError> {
    let answer_hash = round::sum_answer_hash(&answer.to_bytes());
    let stage = Stage::Open.number();
    let signed = identity.sign(Answer { ctx: terms.ctx, stage, member, answerHash: answer_hash })?;
    Ok(SumAnswer { answer: signed, words: answer.words().to_vec() })
}
