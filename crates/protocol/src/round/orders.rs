//! What is outstanding: derived from the state alone, so that a step and a restart cannot disagree about it. A step
//! gives out the orders it adds; a resumed round gives out all of them again.

use std::collections::BTreeSet;

use alloy_primitives::Address;

use super::posts::Post;
use super::{Cause, Effect, Posting, Round, State, SumWeight};
use crate::types::Stage;

/// Key of an order. Its content follows from the state, and while the order stands does not change but for answers that
/// come on top.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    OpenRound,
    SignReceipt(Address),
    Store(Stage),
    Post(Stage),
    AskAcks(Stage),
    AskAnswers(Stage),
    RequestAudit,
    RequestInners,
    RequestSum,
    /// Asked again when there are more answers than at the attempt that failed, and not for those that come while one is
    /// made: they are seldom needed, and opening a sum takes a while.
    RequestOpen {
        refused: usize,
    },
    Finalise,
    Void,
    Expire(Stage),
}

impl Round {
    pub(super) fn orders(&self) -> BTreeSet<Order> {
        if self.state.is_over() {
            let unconfirmed = self.state == State::Void && !self.end_is_confirmed();
            return unconfirmed.then_some(Order::Void).into_iter().collect();
        }
        let mut orders: BTreeSet<Order> =
            self.posts.iter().filter_map(|(stage, post)| self.post_order(stage, post)).collect();
        orders.extend(self.uploads.unsigned().map(|receipt| Order::SignReceipt(receipt.participant)));
        orders.extend([Stage::Direction, Stage::Admit].into_iter().filter(|s| self.asks_acks(*s)).map(Order::AskAcks));
        orders.extend([Stage::Score, Stage::Open].into_iter().filter(|s| self.asks_answers(*s)).map(Order::AskAnswers));
        orders.extend(self.wants_audit().then_some(Order::RequestAudit));
        orders.extend(self.wants_inners().then_some(Order::RequestInners));
        orders.extend(self.wants_sum().then_some(Order::RequestSum));
        let refused = self.sum_answers.refused();
        orders.extend(self.wants_opening().then_some(Order::RequestOpen { refused }));
        orders.extend(self.window_is_over().then_some(Order::Finalise));
        orders.extend(self.overdue().map(Order::Expire));
        orders
    }

    fn post_order(&self, stage: Stage, post: &Post) -> Option<Order> {
        let order = match post {
            Post::Storing { .. } if stage == Stage::Ctx => Order::OpenRound,
            Post::Storing { .. } => Order::Store(stage),
            Post::Ready(_) => Order::Post(stage),
            Post::Posted(_) => return None,
        };
        let may_post = match stage {
            // Members sign H_admit before the chain sees it.
            Stage::Admit => self.acked(Stage::Admit),
            Stage::Sum => self.admission_is_final(),
            // One transaction for two stages: the first of them stands for both.
            Stage::Settle => self.posts.ready(Stage::Payout).is_some(),
            Stage::Model | Stage::Payout => false,
            Stage::Ctx
            | Stage::Promise
            | Stage::Lock
            | Stage::Direction
            | Stage::Audit
            | Stage::Score
            | Stage::Open => true,
        };
        (may_post || order != Order::Post(stage)).then_some(order)
    }

    fn asks_answers(&self, stage: Stage) -> bool {
        let unscored = self.state == State::Audited && self.posts.root(Stage::Score).is_none();
        let (scores, sums) = (self.reveals.len() > 0 && unscored, self.state == State::Summed);
        match stage {
            Stage::Score => scores && self.acked(Stage::Direction),
            Stage::Open => sums && !self.sum_answers.is_open(),
            Stage::Ctx
            | Stage::Promise
            | Stage::Lock
            | Stage::Direction
            | Stage::Audit
            | Stage::Admit
            | Stage::Sum
            | Stage::Model
            | Stage::Settle
            | Stage::Payout => false,
        }
    }

    /// Not before the directions are there, so that the uploads are read once.
    fn wants_audit(&self) -> bool {
        self.state == State::Revealed && self.audit.is_none()
    }

    fn wants_sum(&self) -> bool {
        self.state == State::Admitted && self.posts.root(Stage::Sum).is_none()
    }

    /// The effect behind an order; `None` where the state does not hold what it needs, which `orders` rules out.
    pub(super) fn effect(&self, order: &Order) -> Option<Effect> {
        Some(match *order {
            Order::OpenRound => Effect::OpenRound,
            Order::SignReceipt(account) => {
                let receipt = self.uploads.unsigned().find(|receipt| receipt.participant == account)?;
                Effect::SignReceipt { receipt }
            }
            Order::Store(stage) => {
                let bytes = self.artefact(stage)?.into();
                Effect::StoreArtefact { stage, root: self.posts.root(stage)?, bytes }
            }
            Order::Post(stage) => self.transaction(stage)?,
            Order::AskAcks(stage) => Effect::AskAcks {
                stage,
                transcript: self.posts.transcript(stage)?,
                list: self.posts.ready(stage).cloned().or_else(|| self.posts.posting(stage))?,
            },
            Order::AskAnswers(stage) => self.question(stage)?,
            Order::RequestAudit => Effect::RequestAudit {
                lock: self.posts.posting(Stage::Lock)?,
                uploads: self.weights(self.uploads.participants()),
                directions: self.posts.posting(Stage::Direction)?,
            },
            Order::RequestInners => Effect::RequestInners {
                participants: self.weights(self.valid_set().into_iter()),
                directions: self.posts.posting(Stage::Direction)?,
            },
            Order::RequestSum => Effect::RequestSum { weights: self.sum_weights() },
            Order::RequestOpen { .. } => {
                Effect::RequestOpen { answers: self.sum_answers.items(), sum: self.posts.posting(Stage::Sum)? }
            }
            Order::Finalise => Effect::Finalise,
            Order::Void => match self.end.as_ref()?.cause {
                Cause::Void(reason) => Effect::VoidRound { reason, faults: self.end.as_ref()?.faults.clone() },
                Cause::Expired(_) => return None,
            },
            Order::Expire(stage) => Effect::ExpireRound { stage, faults: self.faults() },
        })
    }

    fn transaction(&self, stage: Stage) -> Option<Effect> {
        let list = self.posts.ready(stage)?.clone();
        let ready = |stage| -> Option<Posting> { self.posts.ready(stage).cloned() };
        Some(match stage {
            Stage::Promise => Effect::PostPromises { list, promises: self.promises.signed() },
            Stage::Lock => Effect::Lock { list, count: u32::try_from(self.uploads.len()).ok()? },
            Stage::Direction => Effect::PostDirections { list, reveals: self.reveals.signed() },
            Stage::Audit => Effect::PostAudit { list },
            Stage::Score => Effect::PostScores { list },
            Stage::Admit => Effect::PostAdmit {
                list,
                admitted: u16::try_from(self.sum_weights().len()).ok()?,
                acks: self.acks.first(Stage::Admit, self.terms.threshold()),
            },
            Stage::Sum => Effect::PostSum { sum: list },
            Stage::Open => Effect::PostOpenAndModel { open: list, model: ready(Stage::Model)? },
            Stage::Settle => {
                let total = self.settlement.as_ref()?.total;
                Effect::Propose { settle: list, payout: ready(Stage::Payout)?, total }
            }
            // Posted with the stage before them, or, for ctx, by `OpenRound`.
            Stage::Ctx | Stage::Model | Stage::Payout => return None,
        })
    }

    fn question(&self, stage: Stage) -> Option<Effect> {
        let (certificate, participants) = match stage {
            Stage::Score => (Stage::Direction, self.weights(self.valid_set().into_iter())),
            Stage::Open => (Stage::Admit, self.sum_weights()),
            Stage::Ctx
            | Stage::Promise
            | Stage::Lock
            | Stage::Direction
            | Stage::Audit
            | Stage::Admit
            | Stage::Sum
            | Stage::Model
            | Stage::Settle
            | Stage::Payout => return None,
        };
        let acks = self.acks.first(certificate, self.terms.threshold());
        Some(Effect::AskAnswers { stage, acks, participants })
    }

    /// With their classes.
    fn weights(&self, participants: impl Iterator<Item = Address>) -> Vec<SumWeight> {
        let members = participants.filter_map(|account| self.terms.member(account).ok());
        members.map(|member| SumWeight { participant: member.account, class: member.class }).collect()
    }

    /// Bytes of a stage's list.
    fn artefact(&self, stage: Stage) -> Option<Vec<u8>> {
        Some(match stage {
            Stage::Promise => self.promises.artefact(),
            Stage::Lock => self.uploads.artefact(),
            Stage::Direction => self.reveals.artefact(),
            Stage::Audit => self.audit_artefact(),
            Stage::Score => self.scores.artefact(),
            Stage::Admit => self.admit_artefact()?,
            Stage::Open => self.sum_answers.artefact(),
            Stage::Settle => self.settle_artefact()?,
            Stage::Payout => self.payout_artefact()?,
            // Whoever made them stored them too.
            Stage::Ctx | Stage::Sum | Stage::Model => return None,
        })
    }
}
