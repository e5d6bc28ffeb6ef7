//! A round as its coordinator sees it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use almoner_coordinator::Progress;
use almoner_protocol::round::State;
use opentelemetry::trace::Status;
use tokio::sync::broadcast::Receiver;

use crate::Traces;
use crate::send::{Span, next};

/// A round that is not over.
struct Open {
    since: SystemTime,
    state: (State, SystemTime),
}

impl Traces {
    /// Sends what a coordinator tells, until it tells nothing more.
    pub async fn follow_coordinator(self, mut told: Receiver<Progress>) {
        let mut rounds = BTreeMap::new();
        while let Some(progress) = next(&mut told).await {
            self.coordinated(progress, &mut rounds, SystemTime::now()).await;
        }
    }

    async fn coordinated(&self, progress: Progress, rounds: &mut BTreeMap<u64, Open>, now: SystemTime) {
        match progress {
            Progress::RoundOpened { round, .. } => {
                rounds.insert(round, Open { since: now, state: (State::Announced, now) });
            }
            Progress::State { round, state } => {
                // After a restart a round is met in the middle.
                let open = rounds.entry(round).or_insert(Open { since: now, state: (state, now) });
                let (was, since) = std::mem::replace(&mut open.state, (state, now));
                if was != state {
                    self.within(Span::new(round, was.to_string(), since, now)).await;
                }
            }
            // Of no round: the federation was opened, or somebody joined.
            Progress::Sent { round: 0, .. } => {}
            Progress::Sent { round, step, gas, seconds } => {
                let start = now.checked_sub(Duration::try_from_secs_f64(seconds).unwrap_or_default()).unwrap_or(now);
                let gas = i64::try_from(gas).unwrap_or(i64::MAX);
                let span = Span::new(round, format!("transaction {step}"), start, now);
                self.within(span.with("almoner.gas", gas)).await;
            }
            Progress::Settled(settlement) => {
                self.over(settlement.round, "settled", rounds, now, Status::Ok).await;
            }
            // Why stands in the log and on chain; here, that it is so.
            Progress::Ended { round, state, .. } => {
                self.over(round, &state.to_string(), rounds, now, Status::error("the round failed")).await;
            }
            Progress::Idle => {}
        }
    }

    async fn over(&self, round: u64, outcome: &str, rounds: &mut BTreeMap<u64, Open>, now: SystemTime, status: Status) {
        let since = rounds.remove(&round).map_or(now, |open| open.since);
        let span = Span::new(round, "round", since, now).with("almoner.outcome", outcome.to_owned());
        self.round(Span { status, ..span }).await;
    }
}
