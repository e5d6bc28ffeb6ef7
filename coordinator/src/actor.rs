//! The one loop that awaits. It owns the federation and the round in hand, feeds the round events, and has its
//! effects carried out; what follows from what is the round's business.

mod effects;
mod events;
mod finishing;
mod follow;
mod kept;
mod money;
mod opening;
mod reading;
mod reorganised;
mod requests;
mod restored;
mod resume;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use almoner_chain::SigningKey;
use almoner_journal::Journal;
use almoner_proto::{Job, RoundNotice, Signed};
use almoner_protocol::round::{Event, Posted, Rejection, Round};
use almoner_protocol::types::{Descriptor, LockItem, OpenCids, Receipt};
use almoner_protocol::{Address, B256, Bytes, Stage};
use almoner_store::Store;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::campaign::Campaign;
use crate::chain::{At, Chain};
use crate::ingress::{Ingress, Reply};
use crate::jobs::JobBoard;
use crate::notice::Notices;
use crate::run::Clock;
use crate::work::{Look, RoundFacts};
use crate::{CoordinatorConfig, CoordinatorError, Progress};
use reading::Seen;
use waiting::Stands;

/// The round in hand and what belongs to it beside its state.
#[derive(Debug, Serialize, Deserialize)]
struct Current {
    round: Round,
    cids: OpenCids,
    facts: RoundFacts,
    /// The locked manifests, in lock-list order; read again from their artefact after a restart.
    #[serde(skip)]
    locked: Vec<LockItem>,
}

impl Current {
    fn at(&self) -> At {
        let Descriptor { federation, round, .. } = *self.round.descriptor();
        At { federation, round }
    }
}

/// How often the chain is read where no transaction of ours says that there is something new.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// Messages taken at once: what came of them in the round is written down together.
const TOGETHER: usize = 64;

pub(crate) struct Actor {
    config: CoordinatorConfig,
    chain: Chain,
    key: SigningKey,
    store: Arc<dyn Store>,
    journal: Journal,
    clock: Clock,
    /// Time of the latest block seen.
    block_time: u64,
    notices: Notices,
    progress: broadcast::Sender<Progress>,
    campaign: Option<Campaign>,
    current: Option<Current>,
    /// A round on chain that this journal, being a copy, does not know: it is ended, and nothing is said in it.
    stray: Option<At>,
    jobs: JobBoard<Look, Bytes>,
    /// Of the uploads of the round in hand.
    seen: Option<Seen>,
    lease_waiters: VecDeque<Reply<Job>>,
    receipt_waiters: BTreeMap<Address, Vec<Reply<Signed<Receipt>>>>,
    /// The copy of the model, while it is made.
    keeping: Option<kept::Copying>,
    /// The store no longer has what an order needs.
    lost: bool,
    /// An order failed; all outstanding ones are given again then.
    retry_at: Option<Instant>,
    started: Instant,
    /// Root of the public matrix that was computed last, and of which seed and number of parameters.
    matrix: Option<(([u8; 32], u32), B256)>,
    /// When the chain was last read without a transaction of ours.
    followed_at: Instant,
    /// When the money for the next round was last looked for.
    looked_for_pot: Instant,
    stands: Option<Stands>,
    /// When it was last looked whether the chain took something back, and how often it had.
    looked_back: (Instant, u64),
}

impl Actor {
    #[expect(clippy::too_many_arguments, reason = "called once, by the door")]
    pub(crate) fn new(
        config: CoordinatorConfig,
        chain: Chain,
        key: SigningKey,
        store: Arc<dyn Store>,
        journal: Journal,
        clock: Clock,
        notices: Notices,
        progress: broadcast::Sender<Progress>,
    ) -> Self {
        let jobs = JobBoard::new(millis(config.lease), 1);
        Self {
            config,
            chain,
            key,
            store,
            journal,
            clock,
            block_time: 0,
            notices,
            progress,
            campaign: None,
            current: None,
            stray: None,
            jobs,
            seen: None,
            lease_waiters: VecDeque::new(),
            receipt_waiters: BTreeMap::new(),
            keeping: None,
            lost: false,
            retry_at: None,
            started: Instant::now(),
            matrix: None,
            followed_at: Instant::now(),
            looked_for_pot: Instant::now(),
            stands: None,
            looked_back: (Instant::now(), 0),
        }
    }

    /// Until it is told to stop, or the chain has taken back what all of it rests on.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Ingress>,
        stop: CancellationToken,
    ) -> Result<(), CoordinatorError> {
        let mut tick = tokio::time::interval(self.config.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut messages = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.base_is_kept().await;
                    return Ok(());
                }
                received = inbox.recv_many(&mut messages, TOGETHER) => match received {
                    0 => return Ok(()),
                    _ => self.receive_all(messages.drain(..)).await,
                },
                _ = tick.tick() => self.tick().await?,
            }
            self.serve_leases();
        }
    }

    /// The later of our clock and the chain's: a block is never in the future of a rule.
    fn now(&self) -> u64 {
        (self.clock)().max(self.block_time)
    }

    async fn tick(&mut self) -> Result<(), CoordinatorError> {
        match self.look_back().await {
            Err(error @ CoordinatorError::TakenBack { .. }) => return Err(error),
            looked => self.log_failure("looking what the chain took back", looked),
        }
        self.look_for_pot_again().await;
        match self.maybe_open().await {
            Ok(()) => {}
            Err(error @ CoordinatorError::NotNow(_)) => tracing::debug!(%error, "the next round is not opened yet"),
            Err(error) => tracing::warn!(%error, "the next round could not be opened; trying again"),
        }
        if self.current.is_none() {
            let ended = self.end_stray().await;
            self.log_failure("ending a round of an earlier life", ended);
            return Ok(());
        }
        let result = self.look().await;
        self.log_failure("tick", result);
        self.say_what_is_waited_for();
        Ok(())
    }

    /// Time passed: deadlines, posts of others, orders that failed.
    async fn look(&mut self) -> Result<(), CoordinatorError> {
        if self.followed_at.elapsed() >= self.follow_every() {
            self.followed_at = Instant::now();
            self.follow().await?;
        }
        if self.current.is_none() {
            return Ok(());
        }
        self.apply(Event::TimePassed).await?;
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_at = None;
            if let Err(error) = self.give_orders_again().await {
                self.give_up_unopened().await?;
                return Err(error);
            }
        }
        if self.jobs.take_lapsed() {
            // Nobody can work on what is gone.
            let locked = self.current.as_ref().map(|current| current.locked.clone()).unwrap_or_default();
            let checked = self.check_uploads(locked.iter()).await;
            self.lost |= matches!(checked, Err(CoordinatorError::Lost { .. }));
            self.log_failure("a job", checked);
        }
        if std::mem::take(&mut self.lost) && self.current.is_some() {
            // Once a set is acknowledged there is no way back: then its deadline ends the round.
            self.apply(Event::StopRequested).await?;
        }
        Ok(())
    }

    /// Changes the notice and wakes everybody.
    fn notify(&self, change: impl FnOnce(&mut RoundNotice)) {
        self.notices.publish(|notice| {
            notice.block = self.chain.newest();
            change(notice);
        });
    }

    fn try_again_soon(&mut self) {
        self.retry_at = Some(Instant::now() + self.config.tick * 4);
    }

    fn log_failure(&self, what: &str, result: Result<(), CoordinatorError>) {
        match result {
            Ok(()) => {}
            Err(error @ CoordinatorError::Rejected(Rejection::ForeignPost { .. })) => {
                tracing::error!(%error, "somebody else posted for this round");
            }
            Err(error) => tracing::warn!(%error, what, "failed; it will be tried again"),
        }
    }

    /// Hands work to whoever waits for it.
    fn serve_leases(&mut self) {
        let Some(current) = &self.current else { return };
        while !self.lease_waiters.is_empty() {
            // Those that gave up waiting must not take a lease with them.
            self.lease_waiters.retain(|waiter| !waiter.is_closed());
            // A worker's time, not a rule's: it passes even where the chain's stands still.
            let now = millis(self.started.elapsed());
            let Some(waiter) = self.lease_waiters.pop_front() else { return };
            let Some((lease, work, range)) = self.jobs.lease(now) else {
                self.lease_waiters.push_front(waiter);
                return;
            };
            if waiter.send(Ok(work.job(lease, range, &current.facts))).is_err() {
                self.jobs.release(lease);
            }
        }
    }
}

fn posted(current: &Current) -> impl Iterator<Item = (Stage, &Posted)> {
    Stage::ALL.into_iter().filter_map(|stage| current.round.posted(stage).map(|posted| (stage, posted)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
