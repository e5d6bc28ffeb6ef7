//! Stage acknowledgements: a member says which transcript it saw at a stage, and says it once.
//!
//! With t of m members honest but for f, two certificates over two values share an honest member, so a coordinator
//! with two faces gets one of them at most.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{Fault, MemberAck, Rejection, Round, State};
use crate::types::{Stage, StageAck};

/// Signatures over our own value of each stage, by member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acks {
    by_stage: BTreeMap<Stage, BTreeMap<Address, Bytes>>,
}

impl Acks {
    pub(super) fn count(&self, stage: Stage) -> usize {
        self.by_stage.get(&stage).map_or(0, BTreeMap::len)
    }

    fn has(&self, stage: Stage, member: Address) -> bool {
        self.by_stage.get(&stage).is_some_and(|acks| acks.contains_key(&member))
    }

    /// The first `count` of them by address, as `admit` checks them.
    pub(super) fn first(&self, stage: Stage, count: usize) -> Vec<MemberAck> {
        let acks = self.by_stage.get(&stage).into_iter().flatten().take(count);
        acks.map(|(member, signature)| MemberAck { member: *member, signature: signature.clone() }).collect()
    }
}

impl Round {
    pub(super) fn on_ack(&mut self, member: Address, ack: StageAck, signature: Bytes) -> Result<(), Rejection> {
        let field = "stage acknowledgement";
        self.terms.committee_index(member)?;
        self.terms.check_signed(member, field, ack.ctx, &ack, &signature)?;
        let stage =
            Stage::try_from(ack.stage).map_err(|error| Rejection::malformed(member, field, error.to_string()))?;
        let ours = self.acknowledged_value(stage, member)?;
        if ack.transcript != ours {
            // Having signed both values is provable; having signed only the other one may be our own fault.
            return Err(if self.acks.has(stage, member) {
                Rejection::Equivocation { account: member, field }
            } else {
                Rejection::OtherTranscript { account: member, stage, ours, theirs: ack.transcript }
            });
        }
        // ECDSA allows several signatures over one value; the first one stays.
        self.acks.by_stage.entry(stage).or_default().entry(member).or_insert(signature);
        Ok(())
    }

    /// The value members are asked to sign at a stage.
    fn acknowledged_value(&self, stage: Stage, member: Address) -> Result<B256, Rejection> {
        let field = "stage acknowledgement";
        let value = match stage {
            Stage::Direction => self.posts.posted(stage).map(|posted| posted.transcript),
            // Before it is posted: the contract takes the root together with its acknowledgements.
            Stage::Admit => self.posts.transcript(stage),
            Stage::Ctx
            | Stage::Promise
            | Stage::Lock
            | Stage::Audit
            | Stage::Score
            | Stage::Sum
            | Stage::Open
            | Stage::Model
            | Stage::Settle
            | Stage::Payout => {
                return Err(Rejection::malformed(member, field, format!("stage {stage} is not acknowledged")));
            }
        };
        value.ok_or(Rejection::TooEarly { account: member, field, state: self.state })
    }

    pub(super) fn acked(&self, stage: Stage) -> bool {
        self.acks.count(stage) >= self.terms.threshold()
    }

    /// Refuses an answer that comes before the stage it rests on is acknowledged.
    pub(super) fn need_acks(&self, account: Address, field: &'static str, stage: Stage) -> Result<(), Rejection> {
        let (have, need) = (self.acks.count(stage), self.terms.threshold());
        if have < need { Err(Rejection::AcksMissing { account, field, stage, have, need }) } else { Ok(()) }
    }

    pub(super) fn missing_acks(&self, stage: Stage) -> Vec<Fault> {
        let silent = self.terms.committee.iter().filter(|member| !self.acks.has(stage, **member));
        silent.map(|member| Fault::NoAck { member: *member, stage }).collect()
    }

    /// Whether members are being asked for the acknowledgement of `stage` now.
    pub(super) fn asks_acks(&self, stage: Stage) -> bool {
        let open = match stage {
            Stage::Direction => matches!(self.state, State::Revealed | State::Audited),
            Stage::Admit => self.state == State::Scored && self.posts.ready(stage).is_some(),
            Stage::Ctx
            | Stage::Promise
            | Stage::Lock
            | Stage::Audit
            | Stage::Score
            | Stage::Sum
            | Stage::Open
            | Stage::Model
            | Stage::Settle
            | Stage::Payout => false,
        };
        open && !self.acked(stage)
    }
}
