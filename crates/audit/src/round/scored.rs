//! Stage 5: inner products, what the answers open to, and how many scalars each site has opened so far.

use std::sync::Arc;

use almoner_chain::StageRecord;
use almoner_crypto::CryptoError;
use almoner_crypto::score::{Direction, open_score};
use almoner_protocol::types::{Descriptor, ScoreItem, VerdictItem};
use almoner_protocol::{Address, AuditVerdict, ScoreVerdict};

use super::RoundAudit;
use crate::tally::{Checked, Place, Wrong, ensure};
use crate::uploads::{compute, inner_products};
use crate::{AuditError, Kind};

impl RoundAudit<'_> {
    pub(super) async fn scored(&mut self, posted: &StageRecord) -> Result<(), AuditError> {
        let (Some(audit), Some((_, entries))) = (&self.seen.audit, &self.seen.directions) else { return Ok(()) };
        let valid = valid_set(audit);
        let entries = entries.clone();
        let least = usize::from(self.record.descriptor.minAdmitted);
        let most = self.facts.federation.members.len();
        let rows =
            self.list(Kind::Score, &posted.cid, posted.root, most, |items| check_rows(items, &valid, least)).await;
        for row in rows.iter().flatten() {
            self.row(posted, row, &entries).await?;
        }
        self.seen.scores = rows;
        Ok(())
    }

    async fn row(
        &mut self,
        posted: &StageRecord,
        row: &ScoreItem,
        entries: &Arc<Vec<Vec<i8>>>,
    ) -> Result<(), AuditError> {
        let place = Place::cid(&posted.cid).of(row.participant);
        let outcome = self.inner(row, entries).await?;
        self.tally.check(Kind::InnerProduct, place, outcome);
        let norms: Vec<u64> = entries.iter().map(|entries| Direction(entries).norm2()).collect();
        let (owned, descriptor) = (row.clone(), self.record.descriptor.clone());
        let outcome = compute(move || check_row(&owned, &descriptor, &norms)).await?;
        if let Some(off) = self.tally.check(Kind::Score, place, outcome).filter(|off| !off.is_empty()) {
            self.tally.note(format!("{}: answers of members {off:?} contradict the others", row.participant));
        }
        self.leak(row);
        Ok(())
    }

    /// Inner products again, from the ciphertext.
    async fn inner(&self, row: &ScoreItem, entries: &Arc<Vec<Vec<i8>>>) -> Result<Checked<()>, AuditError> {
        let Some(manifest) = self.manifest(row.participant) else {
            return Ok(Err(Wrong::new("it is not in the lock list")));
        };
        let found = inner_products(self.store, manifest, self.blocks(), entries).await?;
        Ok(found.and_then(|found| compare_inner(&row.inner, &found)))
    }

    /// Every answered direction opened one scalar, whether or not it made a score.
    fn leak(&mut self, row: &ScoreItem) {
        if row.responders.is_empty() {
            return;
        }
        let opened = self.history.opened_scalars.entry(row.participant).or_default();
        *opened += row.inner.len() as u64;
        let limit = self.record.descriptor.scalarsMax;
        let outcome = check_limit(*opened, limit);
        self.tally.check(Kind::Leak, Place::none().of(row.participant), outcome);
    }
}

/// A, in the order of the lock list.
fn valid_set(audit: &[VerdictItem]) -> Vec<Address> {
    let held = audit.iter().filter(|item| item.verdict == AuditVerdict::Held.number());
    held.map(|item| item.participant).collect()
}

/// One row per participant of A; and nothing opened where a sum may never be.
fn check_rows(items: &[ScoreItem], valid: &[Address], least: usize) -> Checked<()> {
    let same = items.iter().map(|item| &item.participant).eq(valid);
    ensure(same, || Wrong::new("not one row per participant whose upload held, in the order of the lock list"))?;
    let answered = items.iter().any(|item| !item.responders.is_empty());
    ensure(!answered || valid.len() >= least, || {
        Wrong::new(format!("scalars were opened with {} valid uploads, {least} are the least", valid.len()))
    })
}

fn compare_inner(stated: &[u64], found: &[u64]) -> Checked<()> {
    ensure(stated.len() == found.len(), || {
        Wrong::new(format!("{} inner products where there are {} directions", stated.len(), found.len()))
    })?;
    match stated.iter().zip(found).position(|(stated, found)| stated != found) {
        Some(at) => Err(Wrong::new(format!("direction {at}: {} is stated, recomputed: {}", stated[at], found[at]))),
        None => Ok(()),
    }
}

/// Opens a row again. Returns the members whose answers do not fit.
fn check_row(row: &ScoreItem, d: &Descriptor, norms: &[u64]) -> Checked<Vec<u16>> {
    let stated = ScoreVerdict::try_from(row.verdict)?;
    if norms.is_empty() {
        let empty = row.responders.is_empty() && row.answers.is_empty() && row.scores.is_empty();
        return match empty && stated == ScoreVerdict::Opened {
            true => Ok(Vec::new()),
            false => Err(Wrong::new("answers where nothing was asked")),
        };
    }
    let known = row.responders.iter().all(|member| *member < d.members);
    ensure(known, || Wrong::new("an answer of somebody outside the committee"))?;
    ensure(row.inner.len() == norms.len(), || Wrong::new("not one inner product per direction"))?;
    let threshold = usize::from(d.threshold);
    let opened = open_score(&row.inner, &row.responders, &row.answers, threshold, d.scale.delta, norms);
    match opened {
        Ok(opening) => {
            ensure(stated == ScoreVerdict::Opened, || Wrong::new(format!("verdict {stated}, but the answers open")))?;
            compare_scores(&row.scores, &opening.scores)?;
            Ok(opening.off)
        }
        Err(CryptoError::NoSubset { .. }) => {
            let closed = stated == ScoreVerdict::Residual && row.scores.is_empty();
            ensure(closed, || Wrong::new("scores are stated, but no t answers open"))?;
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

fn compare_scores(stated: &[i64], found: &[i64]) -> Checked<()> {
    ensure(stated.len() == found.len(), || Wrong::new("not one score per direction"))?;
    match stated.iter().zip(found).position(|(stated, found)| stated != found) {
        Some(at) => Err(Wrong::new(format!("direction {at}: score {} is stated, opened: {}", stated[at], found[at]))),
        None => Ok(()),
    }
}

fn check_limit(opened: u64, limit: u32) -> Checked<()> {
    ensure(opened <= u64::from(limit), || Wrong::new(format!("{opened} scalars are open, its limit is {limit}")))
}

#[cfg(test)]
mod tests {
    use almoner_protocol::types::Scales;

    use super::*;

    const DELTA: u64 = 1 << 17;

    /// Shares of zero, so that every answer is zero and an inner product is its score times Δ.
    fn row(scores: &[i64]) -> ScoreItem {
        ScoreItem {
            participant: Address::repeat_byte(1),
            inner: scores.iter().map(|score| almoner_crypto::ring::from_signed(score * DELTA as i64)).collect(),
            responders: vec![0, 1, 3],
            answers: vec![0; 3 * scores.len()],
            verdict: 0,
            scores: scores.to_vec(),
        }
    }

    fn check(row: &ScoreItem) -> Checked<Vec<u16>> {
        let scale = Scales { delta: DELTA, ..Scales::default() };
        let d = Descriptor { members: 4, threshold: 3, scale, ..Descriptor::default() };
        check_row(row, &d, &vec![4; row.inner.len()])
    }

    #[test]
    fn scores_are_what_the_answers_open_to() {
        assert_eq!(check(&row(&[-5, 7])), Ok(vec![]));
        let mut other = row(&[-5, 7]);
        other.scores[1] = 8;
        assert!(check(&other).unwrap_err().text.starts_with("direction 1"));
        other = row(&[-5, 7]);
        other.answers[0] = 1 << 40;
        assert!(check(&other).is_err());
        other = row(&[-5, 7]);
        other.responders[2] = 4;
        assert!(check(&other).is_err());
        other = row(&[-5, 7]);
        (other.verdict, other.scores) = (1, vec![]);
        assert!(check(&other).unwrap_err().text.contains("but the answers open"));
    }

    #[test]
    fn a_row_that_does_not_open_says_so() {
        let mut closed = row(&[-5]);
        closed.inner[0] += DELTA / 2;
        assert!(check(&closed).is_err());
        (closed.verdict, closed.scores) = (1, vec![]);
        assert_eq!(check(&closed), Ok(vec![]));
    }

    #[test]
    fn without_directions_nothing_is_opened() {
        let mut empty = row(&[]);
        assert!(check(&empty).is_err());
        empty.responders.clear();
        assert_eq!(check(&empty), Ok(vec![]));
    }

    #[test]
    fn rows_are_those_of_the_valid_set() {
        let rows = [row(&[1])];
        let valid = [Address::repeat_byte(1)];
        assert_eq!(check_rows(&rows, &valid, 1), Ok(()));
        assert!(check_rows(&rows, &valid, 2).is_err());
        assert!(check_rows(&rows, &[], 1).is_err());
    }

    #[test]
    fn inner_products_and_limits_are_compared() {
        assert_eq!(compare_inner(&[1, 2], &[1, 2]), Ok(()));
        assert!(compare_inner(&[1, 2], &[1, 3]).unwrap_err().text.starts_with("direction 1"));
        assert!(compare_inner(&[1], &[1, 3]).is_err());
        assert_eq!(check_limit(14, 14), Ok(()));
        assert!(check_limit(15, 14).is_err());
    }
}
