//! What others may read of a round: for screens, logs and the actor that carries orders out.

use alloy_primitives::B256;

use super::{End, Fault, MemberAck, Posted, Round, State};
use crate::admit::Admitted;
use crate::payout::Settlement;
use crate::types::{Descriptor, Stage};

impl Round {
    pub fn state(&self) -> State {
        self.state
    }

    pub fn ctx(&self) -> B256 {
        self.terms.ctx
    }

    pub fn descriptor(&self) -> &Descriptor {
        &self.terms.descriptor
    }

    /// A stage as the chain has it.
    pub fn posted(&self, stage: Stage) -> Option<&Posted> {
        self.posts.posted(stage)
    }

    /// Our root of a stage, posted or not.
    pub fn root(&self, stage: Stage) -> Option<B256> {
        self.posts.root(stage)
    }

    /// H of a stage, as soon as its root is fixed and the stage before it is on chain.
    pub fn transcript(&self, stage: Stage) -> Option<B256> {
        self.posts.transcript(stage)
    }

    /// Signatures of members over our value of a stage.
    pub fn acks(&self, stage: Stage) -> Vec<MemberAck> {
        self.acks.first(stage, usize::MAX)
    }

    /// How a round ended that pays nobody.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Data blocks of the sum whose residual was out of bounds; they moved no parameter.
    pub fn zeroed_blocks(&self) -> &[u32] {
        self.sum_answers.zeroed_blocks()
    }

    /// What named accounts failed to do although the round went on without it.
    pub fn shortcomings(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut report = |stage, found: &dyn Fn() -> Vec<Fault>| {
            if self.posts.root(stage).is_some() {
                faults.extend(found());
            }
        };
        report(Stage::Promise, &|| self.missing_promises());
        report(Stage::Lock, &|| self.missing_uploads());
        report(Stage::Direction, &|| self.missing_reveals());
        report(Stage::Audit, &|| self.refused_by_audit());
        if self.reveals.len() > 0 {
            report(Stage::Score, &|| self.missing_scores());
        }
        report(Stage::Score, &|| self.refused_by_scores());
        report(Stage::Admit, &|| self.refused_as_oversize());
        report(Stage::Open, &|| self.missing_sums());
        faults
    }

    /// What the round waits for now, for whoever wants to know why it stands still; nothing where the work is ours, an
    /// aggregator's or the chain's.
    pub fn waits_for(&self) -> Vec<Fault> {
        match self.state {
            State::Announced => self.missing_promises(),
            State::Training => self.missing_uploads(),
            State::Locked => self.missing_reveals(),
            State::Audited => self.missing_scores(),
            State::Scored => self.missing_acks(Stage::Admit),
            State::Summed => self.missing_sums(),
            State::Promised
            | State::Revealed
            | State::Admitted
            | State::Opened
            | State::Proposed
            | State::Settled
            | State::Void
            | State::Expired => Vec::new(),
        }
    }

    /// Over, and the chain says so too: nothing is outstanding any more.
    pub fn is_finished(&self) -> bool {
        self.state == State::Settled
            || self.state == State::Expired
            || (self.state == State::Void && self.end_is_confirmed())
    }

    /// The admit list with the votes it follows from, once it is decided. Should the sum never be opened, the next
    /// round's `earlier_sets` name its set.
    pub fn admission(&self) -> Option<&Admitted> {
        self.admission.as_ref()
    }

    /// Who is paid what, once the sum is open. Its ledger is the next round's `cumulative` when the round is final.
    pub fn settlement(&self) -> Option<&Settlement> {
        self.settlement.as_ref()
    }
}
