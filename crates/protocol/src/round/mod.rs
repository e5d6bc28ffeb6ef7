//! A round as a value: [`Round::step`] takes what happened and the time, and says what is to be done or why the event
//! changed nothing. It never waits, draws randomness or reads a clock; the same events give the same round.
//!
//! | state | waits for | then | deadline of |
//! |---|---|---|---|
//! | `announced` | `RoundOpened`; a promise of every validator, or last call | fixes the promise list | promise |
//! | `promised` | `StagePosted(promise)` | – | promise |
//! | `training` | an upload of every member, or last call; every `ReceiptSigned`; `StagePosted(lock)` | fixes the lock list; void with fewer than `N_min` | lock |
//! | `locked` | a reveal of every promise, or last call; `StagePosted(direction)` | fixes the direction list | direction |
//! | `revealed` | `AuditCompleted`; `StagePosted(audit)` | the audit starts: with the directions at hand one look at the uploads is enough; acknowledgements of `H_direction` are collected from here on | audit |
//! | `audited` | void with fewer than `N_min` valid; t acknowledgements; `InnersCompleted`; answers of all members, or of t from half time on; `StagePosted(score)` | opens every row | score |
//! | `scored` | t acknowledgements of `H_admit`; `StagePosted(admit)` | U is decided on entry, once; void with fewer than `N_min` | admit |
//! | `admitted` | `SumCompleted`; `StagePosted(admit)` as final; `StagePosted(sum)` | – | sum |
//! | `summed` | answers of t members; `SumOpened`; `StagePosted(open)`, `StagePosted(model)` | asks again with more answers where t do not open | model |
//! | `opened` | `StagePosted(settle)`, `StagePosted(payout)` | settlement is computed on entry | settle |
//! | `proposed` | the challenge window; `RoundFinalised` | orders `Finalise` | – |
//! | `settled`, `void`, `expired` | – | – | – |
//!
//! Every list is stored (`StoreArtefact`, `ArtefactStored`) before it is posted. A stage has one root, fixed once; the
//! chain's confirmation, not our intention, changes the state, but for `promised` (the list is closed) and `void`.
//! Past its deadline a stage cannot be posted: the order to expire the round stands until the chain says it is.
//!
//! What keeps one set from becoming two: the admit list is computed in one place, from posted rows, when `scored` is
//! entered, and its root is fixed in the same step; no event leads back, and a round given up afterwards stays so.
//!
//! Not here: the order in which members answered before (their own durable log), block confirmation depth (the
//! chain's follower says `Final`), and everything that grows with the model but the directions on their way to chain.

mod acks;
mod admitted;
mod announced;
mod audited;
mod effect;
mod ended;
mod event;
mod locked;
mod opened;
mod orders;
mod outcome;
mod posts;
mod rejection;
mod revealed;
mod scored;
mod state;
mod summed;
mod terms;
mod timing;
mod training;
mod view;

use serde::{Deserialize, Serialize};

pub use audited::score_answer_hash;
pub use effect::{Effect, MemberAck, Signed, SumWeight};
pub use event::{Bodies, Event, Finality, InnerRow, Posting};
pub use outcome::{Cause, Confirmation, End, Fault, VoidReason};
pub use posts::Posted;
pub use rejection::{Blame, Rejection};
pub use state::State;
pub use summed::sum_answer_hash;
pub use terms::Setup;

use crate::Error;
use crate::admit::Admitted;
use crate::payout::Settlement;
use crate::types::{Stage, VerdictItem};

/// The coordinator's view of one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    terms: terms::Terms,
    state: State,
    /// The latest time seen: a clock that jumps back changes nothing.
    clock: u64,
    posts: posts::Posts,
    promises: announced::Promises,
    uploads: training::Uploads,
    reveals: locked::Reveals,
    acks: acks::Acks,
    audit: Option<Vec<VerdictItem>>,
    scores: audited::Scores,
    admission: Option<Admitted>,
    sum_answers: summed::SumAnswers,
    settlement: Option<Settlement>,
    end: Option<End>,
}

impl Round {
    /// A round that is about to be opened on chain. Its first orders are [`Self::outstanding`].
    pub fn announce(setup: Setup) -> Result<Self, Error> {
        let terms = terms::Terms::new(setup)?;
        let posts = posts::Posts::new(terms.ctx);
        Ok(Self {
            terms,
            state: State::Announced,
            clock: 0,
            posts,
            promises: Default::default(),
            uploads: Default::default(),
            reveals: Default::default(),
            acks: Default::default(),
            audit: None,
            scores: Default::default(),
            admission: None,
            sum_answers: Default::default(),
            settlement: None,
            end: None,
        })
    }

    /// Takes one event. On `Err` the round is what it was.
    pub fn step(&mut self, event: Event, now: u64) -> Result<Vec<Effect>, Rejection> {
        let (next, effects) = self.after(event, now)?;
        *self = next;
        Ok(effects)
    }

    /// As [`Self::step`], for whoever writes down what happened, and whether there is anything to write: if nothing but
    /// time went by, and nothing was ordered for it, the round stays as it was, its clock too.
    pub fn step_if_news(&mut self, event: Event, now: u64) -> Result<(Vec<Effect>, bool), Rejection> {
        let (mut next, effects) = self.after(event, now)?;
        let clock = std::mem::replace(&mut next.clock, self.clock);
        let same = next == *self;
        next.clock = clock;
        let news = !same || next.orders() != self.orders();
        if news {
            *self = next;
        }
        Ok((effects, news))
    }

    fn after(&self, event: Event, now: u64) -> Result<(Self, Vec<Effect>), Rejection> {
        let mut next = self.clone();
        next.clock = next.clock.max(now);
        let mut effects = next.apply(event)?;
        next.advance()?;
        if next.state != self.state {
            effects.push(Effect::Broadcast { state: next.state });
        }
        let (before, after) = (self.orders(), next.orders());
        effects.extend(after.difference(&before).filter_map(|order| next.effect(order)));
        Ok((next, effects))
    }

    /// Every order that was given and is not done: what a resumed round starts with.
    pub fn outstanding(&self) -> Vec<Effect> {
        self.orders().iter().filter_map(|order| self.effect(order)).collect()
    }

    /// Records what happened. Effects returned here are replies; orders follow from the state.
    fn apply(&mut self, event: Event) -> Result<Vec<Effect>, Rejection> {
        let done = |result: Result<(), Rejection>| result.map(|()| Vec::new());
        match event {
            Event::RoundOpened { ctx, at } => done(self.on_opened(ctx, at)),
            Event::StagePosted { stage, posting, transcript, at, finality } => {
                let Posting { root, cid } = posting;
                done(self.posts.confirm(stage, Posted { root, cid, transcript, at, finality }))
            }
            Event::ContributionCommitted { manifest, signature, at } => {
                done(self.on_committed(manifest, signature, at))
            }
            Event::RoundFinalised => done(self.on_finalised()),
            Event::RoundVoided => done(self.on_voided()),
            Event::RoundExpired => done(self.on_expired()),
            Event::PromiseReceived { promise, signature } => done(self.on_promise(promise, signature)),
            Event::ContributionReceived { manifest, signature, bodies } => {
                self.on_contribution(manifest, signature, bodies)
            }
            Event::RevealReceived { reveal, entries, signature } => done(self.on_reveal(reveal, entries, signature)),
            Event::StageAckReceived { member, ack, signature } => done(self.on_ack(member, ack, signature)),
            Event::ScoreAnswerReceived { answer, values, signature } => {
                done(self.on_score_answer(answer, values, signature))
            }
            Event::SumAnswerReceived { answer, words, signature } => done(self.on_sum_answer(answer, words, signature)),
            Event::StopRequested => done(self.on_stop()),
            Event::ReceiptSigned { participant, signature } => self.on_receipt_signed(participant, signature),
            Event::ArtefactStored { stage, posting } => done(self.posts.stored(stage, posting)),
            Event::AuditCompleted { verdicts } => done(self.on_audit(verdicts)),
            Event::InnersCompleted { rows } => done(self.on_inners(rows)),
            Event::SumCompleted { sum } => done(self.on_sum(sum)),
            Event::SumOpened { members, model, zeroed_blocks } => {
                done(self.on_sum_opened(members, model, zeroed_blocks))
            }
            Event::SumNotOpened { members } => done(self.on_sum_not_opened(&members)),
            Event::TimePassed => Ok(Vec::new()),
        }
    }

    /// Draws the consequences, state by state, until nothing follows any more.
    fn advance(&mut self) -> Result<(), Rejection> {
        loop {
            let before = self.state;
            match before {
                State::Announced => self.advance_announced()?,
                State::Promised => self.enter_after(Stage::Promise, State::Training),
                State::Training => {
                    self.advance_training()?;
                    self.enter_after(Stage::Lock, State::Locked);
                }
                State::Locked => {
                    self.advance_locked()?;
                    self.enter_after(Stage::Direction, State::Revealed);
                }
                State::Revealed => {
                    self.advance_revealed()?;
                    self.enter_after(Stage::Audit, State::Audited);
                }
                State::Audited => {
                    self.advance_audited()?;
                    self.enter_after(Stage::Score, State::Scored);
                }
                State::Scored => {
                    self.advance_scored()?;
                    self.enter_after(Stage::Admit, State::Admitted);
                }
                State::Admitted => self.enter_after(Stage::Sum, State::Summed),
                State::Summed => {
                    self.advance_summed();
                    self.enter_after(Stage::Model, State::Opened);
                }
                State::Opened => {
                    self.advance_opened()?;
                    self.enter_after(Stage::Payout, State::Proposed);
                }
                State::Proposed | State::Settled | State::Void | State::Expired => {}
            }
            if self.state == before {
                return Ok(());
            }
        }
    }

    /// The chain's confirmation of `stage` is what `state` begins with, unless the round was just given up.
    fn enter_after(&mut self, stage: Stage, state: State) {
        if !self.state.is_over() && self.posts.posted(stage).is_some() {
            self.state = state;
        }
    }
}

#[cfg(test)]
mod tests;
