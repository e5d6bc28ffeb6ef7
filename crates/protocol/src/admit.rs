//! Who is in the sum: A becomes U, the only set ever summed. Committee members repeat this before they sign, and
//! auditors after.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::direction::unpack_direction;
use crate::fixed::declared_norm;
use crate::leak::check_direction;
use crate::quality::{Candidate, Judge, Quality, Scores, Standing, Vote, quality};
use crate::types::{
    AdmitItem, Descriptor, DirectionItem, LockItem, Member, PromiseItem, ScoreItem, Validator, VerdictItem,
};
use crate::verdict::{AdmitVerdict, AuditVerdict, ScoreVerdict};

/// The published lists admission follows from.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub descriptor: &'a Descriptor,
    pub members: &'a [Member],
    pub validators: &'a [Validator],
    pub promises: &'a [PromiseItem],
    pub directions: &'a [DirectionItem],
    pub lock: &'a [LockItem],
    pub audit: &'a [VerdictItem],
    pub scores: &'a [ScoreItem],
}

/// A validator's part in the scores of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorVote {
    pub validator: Address,
    pub vote: Vote,
}

/// What follows from the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    Admitted(Admitted),
    /// A is smaller than `N_min`: the round is void.
    TooFew {
        have: usize,
        need: usize,
    },
}

/// The admit list and what the settlement needs beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// One row per locked participant, in lock-list order.
    pub items: Vec<AdmitItem>,
    /// Of every validator of the round, in address order.
    pub votes: Vec<ValidatorVote>,
    pub scores: Scores,
}

impl Admitted {
    /// U, in address order.
    pub fn set(&self) -> impl Iterator<Item = &AdmitItem> {
        self.items.iter().filter(|item| item.verdict == AdmitVerdict::Admitted.number())
    }

    /// |U|
    pub fn count(&self) -> usize {
        self.set().count()
    }
}

/// The admission rule.
pub fn admit(evidence: &Evidence<'_>) -> Result<Admission, Error> {
    let rows = rows(evidence)?;
    let judges = judges(evidence)?;
    let candidates: Vec<Candidate> = rows.iter().filter_map(|row| row.candidate.clone()).collect();
    let promised = promised_stake(evidence)?;
    let outcome = quality(evidence.descriptor.scale.parameters, promised, &judges, &candidates)?;
    let need = usize::from(evidence.descriptor.minAdmitted);
    match floor_verdicts(&outcome, evidence.descriptor.qualityFloor, need) {
        Ok(verdicts) => {
            let (items, votes) = (items(rows, &outcome, &verdicts), votes(evidence, &outcome));
            Ok(Admission::Admitted(Admitted { items, votes, scores: outcome.scores }))
        }
        Err(TooFew { have }) => Ok(Admission::TooFew { have, need }),
    }
}

/// A locked participant before the quality rule: either it has scores, or a reason why not.
struct Row {
    account: Address,
    class: u16,
    verdict: AdmitVerdict,
    candidate: Option<Candidate>,
}

fn rows(evidence: &Evidence<'_>) -> Result<Vec<Row>, Error> {
    let members: BTreeMap<Address, &Member> = evidence.members.iter().map(|m| (m.account, m)).collect();
    let locked = evidence.lock.iter().map(|item| item.manifest.participant);
    if !locked.eq(evidence.audit.iter().map(|item| item.participant)) {
        return Err(Error::ListsDisagree { left: "lock", right: "audit" });
    }
    let mut scores = evidence.scores.iter();
    let mut rows = Vec::with_capacity(evidence.lock.len());
    for (item, audit) in evidence.lock.iter().zip(evidence.audit) {
        let account = item.manifest.participant;
        let member = *members.get(&account).ok_or(Error::Stranger { account, list: "lock", missing_from: "member" })?;
        let (verdict, candidate) = match AuditVerdict::try_from(audit.verdict)? {
            AuditVerdict::Held => scored(evidence, member, item, scores.next())?,
            AuditVerdict::Unavailable
            | AuditVerdict::Malformed
            | AuditVerdict::CiphertextRoot
            | AuditVerdict::CheckRoot => (AdmitVerdict::Audit, None),
        };
        rows.push(Row { account, class: member.class, verdict, candidate });
    }
    match scores.next() {
        Some(_) => Err(Error::ListsDisagree { left: "audit", right: "score" }),
        None => Ok(rows),
    }
}

/// The score row of a participant whose upload held.
fn scored(
    evidence: &Evidence<'_>,
    member: &Member,
    item: &LockItem,
    row: Option<&ScoreItem>,
) -> Result<(AdmitVerdict, Option<Candidate>), Error> {
    let row = row.filter(|row| row.participant == member.account);
    let row = row.ok_or(Error::ListsDisagree { left: "audit", right: "score" })?;
    match ScoreVerdict::try_from(row.verdict)? {
        ScoreVerdict::Residual => Ok((AdmitVerdict::Residual, None)),
        ScoreVerdict::Opened => {
            let norm = declared_norm(evidence.descriptor.scale.clip, item.manifest.normClass)?;
            let scores = row.scores.clone();
            Ok((AdmitVerdict::Admitted, Some(Candidate { entity: member.entity, class: member.class, norm, scores })))
        }
    }
}

/// The validators whose directions were revealed, in the order of the direction list.
fn judges(evidence: &Evidence<'_>) -> Result<Vec<Judge>, Error> {
    let judge = |item: &DirectionItem| {
        let validator = validator(evidence, item.validator, "direction")?;
        if !evidence.promises.iter().any(|promise| promise.validator == item.validator) {
            let account = item.validator;
            return Err(Error::Stranger { account, list: "direction", missing_from: "promise" });
        }
        let parameters = evidence.descriptor.scale.parameters;
        let norm_squared = check_direction(&unpack_direction(&item.entries, parameters)?, parameters)?;
        Ok(Judge { entity: validator.entity, stake: validator.stake, norm_squared })
    };
    evidence.directions.iter().map(judge).collect()
}

fn promised_stake(evidence: &Evidence<'_>) -> Result<u128, Error> {
    evidence.promises.iter().try_fold(0u128, |sum, promise| {
        let stake = validator(evidence, promise.validator, "promise")?.stake;
        sum.checked_add(stake).ok_or(Error::Overflow("stake"))
    })
}

fn validator<'a>(evidence: &Evidence<'a>, account: Address, list: &'static str) -> Result<&'a Validator, Error> {
    let known = evidence.validators.iter().find(|validator| validator.account == account);
    known.ok_or(Error::Stranger { account, list, missing_from: "validator" })
}

/// A has fewer participants than every sum needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFew {
    pub have: usize,
}

/// U = those of A at or above the floor; the best of the others are taken back until there are `need`. Among equals
/// the earlier candidate is the better one. A floor over scores that decide nothing would decide by address, so void
/// scores admit all of A.
pub fn floor_verdicts(outcome: &Quality, floor: u64, need: usize) -> Result<Vec<AdmitVerdict>, TooFew> {
    let mut verdicts = vec![AdmitVerdict::Oversize; outcome.standings.len()];
    let mut ranked = Vec::new();
    for (at, standing) in outcome.standings.iter().enumerate() {
        match standing {
            Standing::Oversize => {}
            Standing::Quality(quality) => ranked.push((at, *quality)),
        }
    }
    if ranked.len() < need {
        return Err(TooFew { have: ranked.len() });
    }
    // Stable: equals keep their order.
    ranked.sort_by_key(|(_, quality)| Reverse(*quality));
    for (rank, (at, quality)) in ranked.into_iter().enumerate() {
        let below = outcome.scores == Scores::Valid && rank >= need && quality < u128::from(floor);
        verdicts[at] = if below { AdmitVerdict::BelowFloor } else { AdmitVerdict::Admitted };
    }
    Ok(verdicts)
}

/// Puts standings and verdicts, which come in the order of the candidates, back into the lock list's order.
fn items(rows: Vec<Row>, outcome: &Quality, verdicts: &[AdmitVerdict]) -> Vec<AdmitItem> {
    let mut judged = outcome.standings.iter().zip(verdicts);
    let item = |row: Row| {
        let (verdict, quality) = match row.candidate.and_then(|_| judged.next()) {
            Some((Standing::Quality(quality), verdict)) => (*verdict, *quality),
            Some((Standing::Oversize, verdict)) => (*verdict, 0),
            None => (row.verdict, 0),
        };
        AdmitItem { participant: row.account, verdict: verdict.number(), class: row.class, quality }
    };
    rows.into_iter().map(item).collect()
}

/// One row per validator of the round; those without a direction voted nothing.
fn votes(evidence: &Evidence<'_>, outcome: &Quality) -> Vec<ValidatorVote> {
    let revealed: BTreeMap<Address, Vote> =
        evidence.directions.iter().map(|item| item.validator).zip(outcome.votes.iter().copied()).collect();
    let vote = |account: Address| revealed.get(&account).copied().unwrap_or_default();
    evidence.validators.iter().map(|v| ValidatorVote { validator: v.account, vote: vote(v.account) }).collect()
}

#[cfg(test)]
mod tests;
