//! Stage 4: the verdict on every upload, against what the upload turns out to be.

use almoner_chain::StageRecord;
use almoner_protocol::AuditVerdict;
use almoner_protocol::types::{LockItem, VerdictItem};

use super::RoundAudit;
use crate::tally::{Checked, Place, Wrong, ensure};
use crate::uploads::{Examined, examine, has_its_cid};
use crate::{AuditError, Kind};

/// What is known of an upload beside its content.
#[derive(Clone, Copy, Debug)]
struct Circumstances {
    /// Its bytes do not have their CID: whatever is wrong is the source's doing.
    altered: bool,
    /// The coordinator said that it has the bytes.
    receipted: bool,
}

impl RoundAudit<'_> {
    pub(super) async fn audited(&mut self, posted: &StageRecord) -> Result<(), AuditError> {
        let Some(lock) = self.seen.lock.take() else { return Ok(()) };
        let items =
            self.list(Kind::AuditVerdict, &posted.cid, posted.root, lock.len(), |items| check_rows(items, &lock)).await;
        for (item, locked) in items.iter().flatten().zip(&lock) {
            self.upload(posted, item, locked).await?;
        }
        (self.seen.audit, self.seen.lock) = (items, Some(lock));
        Ok(())
    }

    async fn upload(&mut self, posted: &StageRecord, item: &VerdictItem, locked: &LockItem) -> Result<(), AuditError> {
        let (manifest, blocks) = (&locked.manifest, self.blocks());
        let list = Place::cid(&posted.cid).of(item.participant);
        let stated = match AuditVerdict::try_from(item.verdict) {
            Ok(verdict) => verdict,
            Err(error) => {
                self.tally.check::<()>(Kind::AuditVerdict, list, Err(error.into()));
                return Ok(());
            }
        };
        let found = examine(self.store, manifest, blocks).await?;
        let altered = match found.file() {
            Some(file) if found.verdict() != Some(stated) => !has_its_cid(self.store, manifest, blocks, file).await,
            _ => false,
        };
        let circumstances = Circumstances { altered, receipted: !locked.receipt.is_empty() };
        let checks = compare(stated, &found, circumstances);
        if checks.is_empty() {
            self.tally.note(format!("{}: judged unavailable, but it is here now", item.participant));
        }
        for (kind, outcome) in checks {
            let place = match kind {
                Kind::Ciphertext => Place::cid(&manifest.ciphertextCid).of(item.participant),
                Kind::CheckWords => Place::cid(&manifest.checkCid).of(item.participant),
                _ => list,
            };
            self.tally.check(kind, place, outcome);
        }
        Ok(())
    }
}

/// One verdict per locked participant, in the list's order.
fn check_rows(items: &[VerdictItem], lock: &[LockItem]) -> Checked<()> {
    let same = items.iter().map(|item| item.participant).eq(lock.iter().map(|item| item.manifest.participant));
    ensure(same, || Wrong::new("not one verdict per locked participant, in the order of the lock list"))
}

/// The checks that a stated verdict comes to. None where an upload that was not there has turned up since: only a
/// receipt would say that it was there in time.
fn compare(stated: AuditVerdict, found: &Examined, at: Circumstances) -> Vec<(Kind, Checked<()>)> {
    match found {
        Examined::Unreadable(file, wrong) => return vec![(file.kind(), Err(wrong.clone()))],
        Examined::Unavailable(file, wrong) if stated != AuditVerdict::Unavailable => {
            return vec![(file.kind(), Err(wrong.clone()))];
        }
        Examined::Unavailable(..)
        | Examined::Held
        | Examined::Malformed(_)
        | Examined::CheckRoot
        | Examined::CiphertextRoot => {}
    }
    if found.verdict() == Some(stated) {
        let files = [Kind::Ciphertext, Kind::CheckWords].map(|kind| (kind, Ok(())));
        let files = files.into_iter().filter(|_| stated == AuditVerdict::Held);
        return files.chain([(Kind::AuditVerdict, Ok(()))]).collect();
    }
    if let Some(file) = found.file().filter(|_| at.altered) {
        return vec![(file.kind(), Err(Wrong::new("its bytes do not have this CID")))];
    }
    if stated == AuditVerdict::Unavailable && *found == Examined::Held && !at.receipted {
        return Vec::new();
    }
    let recomputed = found.verdict().map(|verdict| verdict.to_string()).unwrap_or_default();
    vec![(Kind::AuditVerdict, Err(Wrong::new(format!("the list says {stated}, recomputed: {recomputed}"))))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uploads::File;

    const PLAIN: Circumstances = Circumstances { altered: false, receipted: true };

    #[track_caller]
    fn check(stated: AuditVerdict, found: &Examined, at: Circumstances, expected: &[(Kind, bool)]) {
        let outcome = compare(stated, found, at);
        let outcome: Vec<_> = outcome.into_iter().map(|(kind, outcome)| (kind, outcome.is_ok())).collect();
        assert_eq!(outcome, expected);
    }

    #[test]
    fn a_right_verdict_holds() {
        let held = [(Kind::Ciphertext, true), (Kind::CheckWords, true), (Kind::AuditVerdict, true)];
        check(AuditVerdict::Held, &Examined::Held, PLAIN, &held);
        check(AuditVerdict::CheckRoot, &Examined::CheckRoot, PLAIN, &[(Kind::AuditVerdict, true)]);
        let gone = Examined::Unavailable(File::Data, Wrong::new("gone"));
        check(AuditVerdict::Unavailable, &gone, PLAIN, &[(Kind::AuditVerdict, true)]);
    }

    #[test]
    fn a_wrong_verdict_is_told_from_wrong_bytes() {
        let wrong = [(Kind::AuditVerdict, false)];
        check(AuditVerdict::Held, &Examined::CiphertextRoot, PLAIN, &wrong);
        check(AuditVerdict::CheckRoot, &Examined::Held, PLAIN, &wrong);
        let altered = Circumstances { altered: true, ..PLAIN };
        check(AuditVerdict::Held, &Examined::CiphertextRoot, altered, &[(Kind::Ciphertext, false)]);
        check(AuditVerdict::Held, &Examined::CheckRoot, altered, &[(Kind::CheckWords, false)]);
        check(AuditVerdict::Held, &Examined::Malformed(File::Check), altered, &[(Kind::CheckWords, false)]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let gone = Examined::Unavailable(File::Check, Wrong::new("gone"));
        check(AuditVerdict::Held, &gone, PLAIN, &[(Kind::CheckWords, false)]);
        let lying = Examined::Unreadable(File::Data, Wrong::new("lies"));
        check(AuditVerdict::Unavailable, &lying, PLAIN, &[(Kind::Ciphertext, false)]);
    }

    #[test]
    fn what_turned_up_later_proves_nothing_without_a_receipt() {
        let direct = Circumstances { receipted: false, ..PLAIN };
        check(AuditVerdict::Unavailable, &Examined::Held, direct, &[]);
        check(AuditVerdict::Unavailable, &Examined::Held, PLAIN, &[(Kind::AuditVerdict, false)]);
    }
}
