//! Scored: the public rule decides U from posted rows, once, and t members put their names to it.

use std::collections::BTreeSet;

use alloy_primitives::Address;

use super::timing::{deadline, last_call};
use super::{Fault, Rejection, Round, SumWeight, VoidReason};
use crate::admit::{Admission, Admitted, Evidence, admit};
use crate::list::{encode_list, list_root};
use crate::types::Stage;
use crate::verdict::{AdmitVerdict, ScoreVerdict};

impl Round {
    /// Decides on entry; the only place where an admit list comes from. Its root is fixed in the same step.
    pub(super) fn advance_scored(&mut self) -> Result<(), Rejection> {
        if self.admission.is_none() {
            match self.decide()? {
                Admission::TooFew { have, need } => {
                    let faults = [self.refused_by_audit(), self.refused_by_scores()].concat();
                    self.give_up(VoidReason::TooFewValid { have, need }, faults);
                    return Ok(());
                }
                Admission::Admitted(admitted) if self.too_close(&admitted) => {
                    self.give_up(VoidReason::SetTooClose, Vec::new());
                    return Ok(());
                }
                Admission::Admitted(admitted) => {
                    self.posts.fix(Stage::Admit, list_root(&admitted.items))?;
                    self.admission = Some(admitted);
                    self.scores.drop_words();
                    self.reveals.drop_entries();
                }
            }
        }
        self.wait_for_signatures();
        Ok(())
    }

    fn decide(&self) -> Result<Admission, Rejection> {
        let evidence = Evidence {
            descriptor: &self.terms.descriptor,
            members: &self.terms.members,
            validators: &self.terms.validators,
            promises: &self.promises.items(),
            directions: &self.reveals.items(),
            lock: &self.uploads.items(),
            audit: self.audit.as_deref().unwrap_or_default(),
            scores: self.scores.rows(),
        };
        Ok(admit(&evidence)?)
    }

    /// Two sums over the same base model whose sets differ by one participant would tell its update.
    fn too_close(&self, admitted: &Admitted) -> bool {
        let set: BTreeSet<Address> = admitted.set().map(|item| item.participant).collect();
        let distance = |earlier: &Vec<Address>| {
            let earlier: BTreeSet<Address> = earlier.iter().copied().collect();
            earlier.symmetric_difference(&set).count()
        };
        self.terms.earlier_sets.iter().any(|earlier| distance(earlier) == 1)
    }

    /// Nothing is on its way to the chain before t members signed, so the round can still be given up for want of them.
    fn wait_for_signatures(&mut self) {
        let Some(scored) = self.posts.posted(Stage::Score) else { return };
        let last = last_call(scored.at, deadline(&self.terms.descriptor, Stage::Admit));
        let (have, need) = (self.acks.count(Stage::Admit), self.terms.threshold());
        let posted = self.posts.posted(Stage::Admit).is_some();
        if self.clock >= last && have < need && !posted {
            let faults = self.missing_acks(Stage::Admit);
            self.give_up(VoidReason::TooFewAcks { stage: Stage::Admit, have, need }, faults);
        }
    }

    pub(super) fn admit_artefact(&self) -> Option<Vec<u8>> {
        self.admission.as_ref().map(|admitted| encode_list(&admitted.items))
    }

    /// U with its weights, in lock-list order.
    pub(super) fn sum_weights(&self) -> Vec<SumWeight> {
        let set = self.admission.iter().flat_map(Admitted::set);
        set.map(|item| SumWeight { participant: item.participant, class: item.class }).collect()
    }

    pub(super) fn refused_by_scores(&self) -> Vec<Fault> {
        let closed = self.scores.rows().iter().filter(|row| row.verdict != ScoreVerdict::Opened.number());
        let stage = Stage::Score;
        closed.map(|row| Fault::Refused { participant: row.participant, stage, verdict: row.verdict }).collect()
    }

    /// Whose scalars prove an update larger than it declared.
    pub(super) fn refused_as_oversize(&self) -> Vec<Fault> {
        let items = self.admission.iter().flat_map(|admitted| &admitted.items);
        let oversize = items.filter(|item| item.verdict == AdmitVerdict::Oversize.number());
        let stage = Stage::Admit;
        oversize.map(|item| Fault::Refused { participant: item.participant, stage, verdict: item.verdict }).collect()
    }
}
