//! Stages 8 and 9: the secret from exactly t answers, the sum it opens, and the model that follows.

use std::sync::Arc;

use almoner_chain::StageRecord;
use almoner_crypto::ring::N;
use almoner_crypto::share::{AnswerVec, interpolate};
use almoner_crypto::sum::{OpenedBlock, SumRule, open_block, verify_checks};
use almoner_protocol::types::{Descriptor, OpenItem};
use almoner_protocol::{ServerStep, decode_model, model_file_length, model_root, next_model};

use super::RoundAudit;
use super::summed::{read_checks, read_range, words};
use crate::tally::{Checked, Place, Wrong, ensure};
use crate::uploads::{Weighted, compute, ranges};
use crate::{AuditError, Kind};

impl RoundAudit<'_> {
    pub(super) async fn opened(&mut self, posted: &StageRecord) -> Result<(), AuditError> {
        let d = &self.record.descriptor;
        let (place, most) = (Place::cid(&posted.cid), usize::from(d.members));
        let items = self.list::<OpenItem>(Kind::Opening, &posted.cid, posted.root, most, |_| Ok(())).await;
        let Some(items) = items else { return Ok(()) };
        let (members, threshold) = (d.members, usize::from(d.threshold));
        let found = compute(move || secret(&items, members, threshold)).await?;
        let Some(secret) = self.tally.check(Kind::Opening, place, found) else { return Ok(()) };
        self.open_sum(place, Arc::new(secret)).await
    }

    /// The check blocks first, for only they leave a single secret; then every data block.
    async fn open_sum(&mut self, place: Place<'_>, secret: Arc<AnswerVec>) -> Result<(), AuditError> {
        let (Some(seed), Some(uploads)) = (self.seen.seed, self.weighted()) else { return Ok(()) };
        let Some(sum) = self.record.stages.get(&almoner_protocol::Stage::Sum) else { return Ok(()) };
        let rule = rule(&uploads, &self.record.descriptor);
        let read = read_checks(self.store, &sum.cid, self.blocks()).await;
        let Some(checks) = self.reread(&sum.cid, read) else { return Ok(()) };
        let shared = secret.clone();
        let fits = compute(move || {
            let checks: Vec<u64> = words(&checks).collect();
            verify_checks(&seed, &shared, &checks, rule.weight_norm2)
        });
        let fits = fits.await?.map_err(Wrong::from);
        if self.tally.check(Kind::Residual, place, fits).is_none() {
            return Ok(());
        }
        let mut values = Vec::with_capacity(self.record.descriptor.scale.parameters as usize);
        for range in ranges(self.blocks()) {
            let read = read_range(self.store, &sum.cid, range).await;
            let Some(sums) = self.reread(&sum.cid, read) else { return Ok(()) };
            let shared = secret.clone();
            let opened = compute(move || {
                let sums: Vec<u64> = words(&sums).collect();
                let blocks = (range.first..).zip(sums.chunks(N));
                blocks.map(|(j, sums)| open_block(&seed, j, &shared, sums, &rule)).collect::<Result<Vec<_>, _>>()
            });
            let opened = opened.await?.map_err(Wrong::from);
            let Some(blocks) = self.tally.check(Kind::Residual, place, opened) else { return Ok(()) };
            self.take(range.first, blocks, &mut values);
        }
        values.truncate(self.record.descriptor.scale.parameters as usize);
        self.seen.sums = Some(values);
        Ok(())
    }

    /// The sum was read before; a source that fails now is named like one that failed then.
    fn reread<T>(&mut self, cid: &[u8], read: Checked<T>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(wrong) => self.tally.check(Kind::Sum, Place::cid(cid), Err(wrong)),
        }
    }

    /// A block out of bounds contributes zero to everybody, which is the rule and no fault of the coordinator.
    fn take(&mut self, first: u64, blocks: Vec<OpenedBlock>, values: &mut Vec<i64>) {
        for (block, j) in blocks.into_iter().zip(first..) {
            if !block.ok {
                let residual = block.max_residual;
                self.tally
                    .note(format!("data block {j} of the sum has a residual of {residual} and moved no parameter"));
            }
            values.extend(block.values);
        }
    }

    pub(super) async fn model(&mut self, posted: &StageRecord) {
        let Some(spec) = &self.seen.spec else { return };
        let place = Place::cid(&posted.cid);
        let read = match model_file_length(&spec.model) {
            Ok(length) => self.artefacts().file(&posted.cid, length).await,
            Err(error) => Err(error.into()),
        };
        let outcome = read.and_then(|bytes| {
            let values = decode_model(&spec.model, &bytes)?;
            let root = model_root(&values);
            ensure(root == posted.root, || Wrong::new(format!("its root is {root}, posted is {}", posted.root)))?;
            Ok(values)
        });
        let stated = self.tally.check(Kind::Model, place, outcome);
        let (Some(stated), Some(base), Some(sums), Some(uploads)) =
            (stated, &self.seen.base, &self.seen.sums, self.weighted())
        else {
            return;
        };
        let found = next_model(base, sums, step(&uploads, &self.record.descriptor)).map_err(Wrong::from);
        let same = found.and_then(|found| compare(&stated, &found));
        self.tally.check(Kind::Model, place, same);
    }
}

/// `S`, from the answers of exactly t members of the committee.
fn secret(items: &[OpenItem], members: u16, threshold: usize) -> Checked<AnswerVec> {
    let known = items.iter().all(|item| item.member < members);
    ensure(known, || Wrong::new("an answer of somebody outside the committee"))?;
    ensure(items.len() == threshold, || {
        Wrong::new(format!("{} members answered where exactly {threshold} count", items.len()))
    })?;
    let words = |item: &OpenItem| match AnswerVec::from_bytes(&item.words) {
        Ok(words) => Ok((item.member, words)),
        Err(error) => Err(Wrong::new(format!("member {}: {error}", item.member))),
    };
    let answers = items.iter().map(words).collect::<Checked<Vec<_>>>()?;
    let answers: Vec<(u16, &AnswerVec)> = answers.iter().map(|(member, words)| (*member, words)).collect();
    Ok(interpolate(&answers, threshold)?)
}

fn rule(uploads: &[Weighted], d: &Descriptor) -> SumRule {
    let weights = || uploads.iter().map(|(_, weight)| u64::from(*weight));
    SumRule {
        weight: weights().sum(),
        weight_norm2: weights().map(|weight| weight * weight).sum(),
        delta: d.scale.delta,
        update_max: d.scale.updateMax.into(),
    }
}

fn step(uploads: &[Weighted], d: &Descriptor) -> ServerStep {
    ServerStep {
        frac_bits: d.scale.fracBits,
        update_bits: d.scale.updateBits,
        lr_num: d.lrNum,
        lr_den: d.lrDen,
        weight_total: uploads.iter().map(|(_, weight)| u64::from(*weight)).sum(),
    }
}

fn compare(stated: &[i32], found: &[i32]) -> Checked<()> {
    ensure(stated.len() == found.len(), || Wrong::new("another number of parameters"))?;
    match stated.iter().zip(found).position(|(stated, found)| stated != found) {
        Some(at) => {
            Err(Wrong::new(format!("parameter {at} is {}, it follows from the sum: {}", stated[at], found[at])))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(members: &[u16]) -> Vec<OpenItem> {
        members.iter().map(|member| OpenItem { member: *member, words: vec![0; N * 8].into() }).collect()
    }

    #[test]
    fn exactly_t_members_of_the_committee_open() {
        assert!(secret(&items(&[0, 2, 3]), 4, 3).is_ok());
        assert!(secret(&items(&[0, 2]), 4, 3).is_err());
        assert!(secret(&items(&[0, 1, 2, 3]), 4, 3).is_err());
        assert!(secret(&items(&[0, 2, 4]), 4, 3).is_err());
        let mut broken = items(&[0, 2, 3]);
        broken[1].words = vec![0xff; N * 8].into();
        assert!(secret(&broken, 4, 3).unwrap_err().text.starts_with("member 2"));
    }

    #[test]
    fn models_are_compared_parameter_by_parameter() {
        assert_eq!(compare(&[1, -2], &[1, -2]), Ok(()));
        assert!(compare(&[1, -2], &[1, -3]).unwrap_err().text.starts_with("parameter 1"));
        assert!(compare(&[1], &[1, -3]).is_err());
    }
}
