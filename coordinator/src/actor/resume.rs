//! What a restarted coordinator goes on from: the federation between its rounds, the round in hand as it began, and
//! every event since. All of it is written down before anything that follows from it is sent.
//!
//! Not written down are consents that wait for the launch, offers to serve and work that is leased out: sites say
//! theirs again when the stream of notices breaks, and the round orders its work again.

use almoner_chain::RoundStatus;
use almoner_journal::Batch;
use almoner_protocol::round::State;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::events::Happened;
use super::{Actor, Current, millis};
use crate::CoordinatorError;
use crate::campaign::Campaign;
use crate::chain::At;
use crate::jobs::JobBoard;

/// Journal keys.
pub(super) const CAMPAIGN: &str = "campaign";
pub(super) const ROUND: &str = "round";
pub(super) const STARTS: &str = "starts";
/// A round of an earlier life that is to be ended.
pub(super) const STRAY: &str = "stray";
/// The generation of this journal that was brought up to date.
pub(super) const BEGUN: &str = "begun";
/// Starts that a journal may not know of, because they came after it was copied.
const UNKNOWN_STARTS: u64 = 1 << 12;
/// Leases of one life of the process; their numbers are never those of an earlier life, whose workers may still post.
const LEASES: u32 = 40;

impl Actor {
    /// A round as it begins. What happens in it is written down event by event.
    pub(super) fn save_round(&self) -> Result<(), CoordinatorError> {
        let round = encode(&self.current)?;
        Ok(self.journal.commit(&Batch::new().forget_events().state(ROUND, &round))?)
    }

    /// Between rounds both change, and together: a model taken on, or a payment booked, twice would be wrong.
    pub(super) fn save_between_rounds(&self) -> Result<(), CoordinatorError> {
        let (campaign, round) = (encode(&self.campaign)?, encode(&self.current)?);
        self.journal.commit(&Batch::new().forget_events().state(CAMPAIGN, &campaign).state(ROUND, &round))?;
        Ok(())
    }

    /// The round in hand, through everything that happened since it was last written down whole.
    fn replayed(&self) -> Result<Option<Current>, CoordinatorError> {
        let Some(mut current) = self.read::<Option<Current>>(ROUND)?.flatten() else { return Ok(None) };
        let unreadable = |error: String| CoordinatorError::Saved { key: "event".into(), error };
        self.journal.replay(|body| {
            let Happened { now, event } = Happened::from_bytes(body).map_err(unreadable)?;
            let effects = current.round.step(event, now);
            effects.map(drop).map_err(|rejection| unreadable(rejection.to_string()))
        })?;
        Ok(Some(current))
    }

    /// Takes up what an earlier life of this process wrote down.
    pub(crate) async fn restore(&mut self) -> Result<(), CoordinatorError> {
        let mut starts = self.read::<u64>(STARTS)?.unwrap_or(0) + 1;
        self.campaign = self.read::<Option<Campaign>>(CAMPAIGN)?.flatten();
        let generation = self.journal.generation()?;
        if generation != self.read::<u64>(BEGUN)?.unwrap_or(0) {
            starts += UNKNOWN_STARTS;
            self.begin_again(generation, starts).await?;
            self.campaign = self.read::<Option<Campaign>>(CAMPAIGN)?.flatten();
        }
        self.journal.state_put(STARTS, &encode(&starts)?)?;
        self.jobs = JobBoard::new(millis(self.config.lease), starts << LEASES);
        let stray = self.read::<Option<u64>>(STRAY)?.flatten();
        self.stray = self.campaign.as_ref().zip(stray).map(|(c, round)| At { federation: c.number, round });
        if self.campaign.is_some() {
            self.publish_again().await?;
        }
        let Some(campaign) = &self.campaign else { return Ok(()) };
        self.verify_base(&campaign.spec, &campaign.base).await?;
        self.keep_base().await;
        self.current = self.replayed()?;
        match self.read_locked().await {
            Err(error @ CoordinatorError::Lost { .. }) => {
                tracing::error!(%error, "the round in hand cannot go on");
                self.lost = true;
            }
            read => read?,
        }
        self.refuse_older_than_chain().await?;
        let campaign = self.campaign_mut()?;
        tracing::info!(federation = campaign.number, round = campaign.last_round + 1, "taken up where it was left");
        if self.current.is_none() && self.stray.is_none() {
            self.look_for_pot().await;
        }
        self.tell_where_it_stands().await;
        let caught_up = self.catch_up().await;
        if caught_up.is_err() {
            self.try_again_soon();
        }
        self.log_failure("catching up", caught_up);
        Ok(())
    }

    /// A round is written down before it is opened, so no round on chain is news to us.
    async fn refuse_older_than_chain(&self) -> Result<(), CoordinatorError> {
        let Some(campaign) = &self.campaign else { return Ok(()) };
        let federation = campaign.number;
        let held = self.current.as_ref().map(|current| current.at().round).or(self.stray.map(|at| at.round));
        let known = held.unwrap_or(campaign.last_round);
        // Where the chain cannot be read now, it is when there is something to do.
        let rounds = self.chain.ledger.rounds(federation).await.unwrap_or_default();
        match rounds.last().map(|round| round.number).filter(|found| *found > known) {
            Some(found) => Err(CoordinatorError::Stale { federation, known, found }),
            None => Ok(()),
        }
    }

    /// What the chain did without us comes first: an order that was carried out is not given again.
    async fn catch_up(&mut self) -> Result<(), CoordinatorError> {
        if self.current.is_none() {
            return Ok(());
        }
        self.follow().await?;
        self.give_orders_again().await?;
        if self.current.as_ref().is_some_and(|current| current.round.state() == State::Proposed) {
            self.pass_window().await?;
        }
        self.finish_round().await
    }

    pub(super) async fn tell_where_it_stands(&self) {
        let Some(campaign) = &self.campaign else { return };
        let ended = match self.current {
            Some(_) => None,
            None => self.how_it_ended(At { federation: campaign.number, round: campaign.last_round }).await,
        };
        let running = self.current.as_ref().map(|current| (current.at().round, current.round.state()));
        self.notify(|notice| {
            notice.federation = campaign.number;
            notice.round = campaign.last_round;
            match running {
                Some((round, state)) => (notice.round, notice.state) = (round, state.to_string()),
                // A round of an earlier life is ended first.
                None if self.stray.is_some() => notice.next_round = 0,
                None => {
                    notice.next_round = campaign.next_round().unwrap_or_default();
                    notice.reason = campaign.short.map(|short| short.to_string()).unwrap_or_default();
                    notice.state = ended.map(|state| state.to_string()).unwrap_or_default();
                }
            }
        });
    }

    /// Sites ask for their pay once they hear that the last round is over; whoever died before saying so says it now.
    async fn how_it_ended(&self, At { federation, round }: At) -> Option<State> {
        if round == 0 {
            return None;
        }
        let record = self.chain.ledger.round(federation, round).await;
        let record = record.inspect_err(|error| tracing::warn!(%error, "how the last round ended is not known yet"));
        match record.ok()??.status {
            RoundStatus::Final => Some(State::Settled),
            RoundStatus::Void => Some(State::Void),
            RoundStatus::Expired => Some(State::Expired),
            RoundStatus::Running | RoundStatus::Proposed => None,
        }
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, CoordinatorError> {
        let Some(bytes) = self.journal.state_get(key)? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|error| CoordinatorError::Saved { key: key.to_owned(), error: error.to_string() })
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, CoordinatorError> {
    serde_json::to_vec(value).map_err(|error| CoordinatorError::Bug(error.to_string()))
}
