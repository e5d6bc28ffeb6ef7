//! Revealed: the locked ciphertexts are checked against their manifests. The verdicts decide the valid set A.

use alloy_primitives::Address;

use super::{Fault, Rejection, Round, State};
use crate::list::{encode_list, list_root};
use crate::types::{Stage, VerdictItem};
use crate::verdict::AuditVerdict;

impl Round {
    pub(super) fn on_audit(&mut self, verdicts: Vec<VerdictItem>) -> Result<(), Rejection> {
        let job = "audit";
        if let Some(known) = &self.audit {
            return if *known == verdicts { Ok(()) } else { Err(Rejection::result(job, "it was another before")) };
        }
        if self.state < State::Locked || self.state.is_over() {
            return Err(Rejection::result(job, format!("not asked for while the round is {}", self.state)));
        }
        if !self.uploads.participants().eq(verdicts.iter().map(|item| item.participant)) {
            return Err(Rejection::result(job, "not one verdict per locked participant, in the list's order"));
        }
        if let Some(item) = verdicts.iter().find(|item| AuditVerdict::try_from(item.verdict).is_err()) {
            return Err(Rejection::result(
                job,
                format!("{}: verdict {} has no meaning", item.participant, item.verdict),
            ));
        }
        self.audit = Some(verdicts);
        Ok(())
    }

    pub(super) fn audit_artefact(&self) -> Vec<u8> {
        encode_list(self.verdicts())
    }

    fn verdicts(&self) -> &[VerdictItem] {
        self.audit.as_deref().unwrap_or_default()
    }

    /// A, in lock-list order: who is scored.
    pub(super) fn valid_set(&self) -> Vec<Address> {
        let held = self.verdicts().iter().filter(|item| item.verdict == AuditVerdict::Held.number());
        held.map(|item| item.participant).collect()
    }

    /// Directions are on chain: the verdicts may follow as soon as they are known.
    pub(super) fn advance_revealed(&mut self) -> Result<(), Rejection> {
        if let Some(verdicts) = &self.audit {
            self.posts.fix(Stage::Audit, list_root(verdicts))?;
        }
        Ok(())
    }

    pub(super) fn refused_by_audit(&self) -> Vec<Fault> {
        let refused = self.verdicts().iter().filter(|item| item.verdict != AuditVerdict::Held.number());
        let stage = Stage::Audit;
        refused.map(|item| Fault::Refused { participant: item.participant, stage, verdict: item.verdict }).collect()
    }
}
