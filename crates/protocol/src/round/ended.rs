//! Void, expired, settled: how a round stops, and what the chain says about it.

use super::timing::deadline;
use super::{Cause, Confirmation, End, Fault, Rejection, Round, State, VoidReason};
use crate::types::Stage;

impl Round {
    /// Gives the round up. Only called where no transaction of ours can still move it on: nothing is posted for the
    /// stage that is missing, so the order to void it races with nobody.
    pub(super) fn give_up(&mut self, reason: VoidReason, faults: Vec<Fault>) {
        self.state = State::Void;
        self.end = Some(End { cause: Cause::Void(reason), faults, confirmation: Confirmation::Ordered });
    }

    /// Up to `audited`, where no set has been acknowledged that a second round could be played against.
    pub(super) fn on_stop(&mut self) -> Result<(), Rejection> {
        if self.state.is_over() {
            return Ok(());
        }
        if self.state >= State::Scored {
            let account = self.terms.coordinator;
            return Err(Rejection::TooLate { account, field: "stop", state: self.state });
        }
        self.give_up(VoidReason::Stopped, Vec::new());
        Ok(())
    }

    pub(super) fn on_finalised(&mut self) -> Result<(), Rejection> {
        match self.state {
            State::Proposed => {
                self.state = State::Settled;
                Ok(())
            }
            State::Settled => Ok(()),
            State::Announced
            | State::Promised
            | State::Training
            | State::Locked
            | State::Revealed
            | State::Audited
            | State::Scored
            | State::Admitted
            | State::Summed
            | State::Opened
            | State::Void
            | State::Expired => self.disagree("final"),
        }
    }

    pub(super) fn on_voided(&mut self) -> Result<(), Rejection> {
        match self.state {
            State::Void => self.confirm_end(),
            State::Proposed | State::Settled | State::Expired => return self.disagree("void"),
            State::Announced
            | State::Promised
            | State::Training
            | State::Locked
            | State::Revealed
            | State::Audited
            | State::Scored
            | State::Admitted
            | State::Summed
            | State::Opened => {
                let faults = self.faults();
                self.give_up(VoidReason::OnChain, faults);
                self.confirm_end();
            }
        }
        Ok(())
    }

    pub(super) fn on_expired(&mut self) -> Result<(), Rejection> {
        match self.state {
            // Somebody expired it before our order to void it arrived: our reasons stay.
            State::Void if !self.end_is_confirmed() => {
                self.state = State::Expired;
                self.confirm_end();
            }
            State::Expired => {}
            State::Void | State::Proposed | State::Settled => return self.disagree("expired"),
            State::Announced
            | State::Promised
            | State::Training
            | State::Locked
            | State::Revealed
            | State::Audited
            | State::Scored
            | State::Admitted
            | State::Summed
            | State::Opened => {
                let (cause, faults) = (Cause::Expired(self.posts.next()), self.faults());
                self.state = State::Expired;
                self.end = Some(End { cause, faults, confirmation: Confirmation::OnChain });
            }
        }
        Ok(())
    }

    fn disagree(&self, reported: &'static str) -> Result<(), Rejection> {
        Err(Rejection::ChainDisagrees { reported, state: self.state })
    }

    fn confirm_end(&mut self) {
        if let Some(end) = &mut self.end {
            end.confirmation = Confirmation::OnChain;
        }
    }

    pub(super) fn end_is_confirmed(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.confirmation == Confirmation::OnChain)
    }

    /// The stage whose deadline is over. From then on the chain takes no posting for it.
    pub(super) fn overdue(&self) -> Option<Stage> {
        let stage = self.posts.next()?;
        let late = self.clock > deadline(&self.terms.descriptor, stage);
        (late && !self.state.is_over()).then_some(stage)
    }

    /// Who keeps the round from going on, as it stands.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let people = match self.state {
            State::Audited if self.posts.root(Stage::Score).is_none() => self.missing_scores(),
            State::Scored if !self.acked(Stage::Admit) => self.missing_acks(Stage::Admit),
            State::Summed if !self.sum_answers.is_open() => self.missing_sums(),
            // Lists are posted with those there are, so nobody but the coordinator holds these up.
            State::Announced
            | State::Promised
            | State::Training
            | State::Locked
            | State::Revealed
            | State::Audited
            | State::Scored
            | State::Admitted
            | State::Summed
            | State::Opened
            | State::Proposed
            | State::Settled
            | State::Void
            | State::Expired => Vec::new(),
        };
        if !people.is_empty() || self.state.is_over() {
            return people;
        }
        let coordinator = self.terms.coordinator;
        self.posts.next().map(|stage| Fault::NotPosted { coordinator, stage }).into_iter().collect()
    }
}
