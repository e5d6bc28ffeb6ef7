//! What happens in the round in hand: stepped through, written down, and what follows from it carried out.

use std::collections::VecDeque;

use almoner_journal::Batch;
use almoner_protocol::Bytes;
use almoner_protocol::round::{Effect, Event, Round};
use serde::{Deserialize, Serialize};

use super::{Actor, resume};
use crate::CoordinatorError;

/// An event of the round in hand as it is written down: stepping through them again gives the same round.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Happened {
    pub(super) now: u64,
    pub(super) event: Event,
}

impl Happened {
    /// A direction, which may be megabytes, stands as it is behind the text and a zero byte, which is in no JSON.
    fn to_bytes(now: u64, mut event: Event) -> Result<Vec<u8>, CoordinatorError> {
        let long = match &mut event {
            Event::RevealReceived { entries, .. } => std::mem::take(entries),
            _ => Bytes::new(),
        };
        let mut body = resume::encode(&Self { now, event })?;
        if !long.is_empty() {
            body.reserve_exact(1 + long.len());
            body.push(0);
            body.extend_from_slice(&long);
        }
        Ok(body)
    }

    /// Also as earlier versions wrote it, all of it text.
    pub(super) fn from_bytes(body: &[u8]) -> Result<Self, String> {
        let (text, long) = match body.iter().position(|byte| *byte == 0) {
            Some(end) => (&body[..end], Some(&body[end + 1..])),
            None => (body, None),
        };
        let mut happened: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match (&mut happened.event, long) {
            (_, None) => {}
            (Event::RevealReceived { entries, .. }, Some(long)) => *entries = Bytes::copy_from_slice(long),
            (_, Some(_)) => return Err("there are bytes behind an event that has none".into()),
        }
        Ok(happened)
    }
}

impl Actor {
    /// Feeds the round one event and everything that follows from it. An error is the event's own; what goes wrong
    /// further down is ours, and is tried again.
    pub(super) async fn apply(&mut self, event: Event) -> Result<(), CoordinatorError> {
        self.apply_all(vec![event]).await.pop().unwrap_or(Ok(()))
    }

    /// As [`Self::apply`], one after another, at the price of one commit.
    pub(super) async fn apply_all(&mut self, events: Vec<Event>) -> Vec<Result<(), CoordinatorError>> {
        let mut pending = VecDeque::new();
        let stepped = self.step(events).into_iter();
        let mut all: Vec<_> = stepped.map(|stepped| stepped.map(|effects| pending.extend(effects))).collect();
        while let Some(effect) = pending.pop_front() {
            match self.carry_out(effect).await {
                Ok(events) => {
                    for stepped in self.step(events) {
                        match stepped {
                            Ok(effects) => pending.extend(effects),
                            Err(error) => self.log_failure("own event", Err(error)),
                        }
                    }
                }
                Err(error) => {
                    self.try_again_soon();
                    self.lost |= matches!(error, CoordinatorError::Lost { .. });
                    self.log_failure("order", Err(error));
                }
            }
        }
        let finished = self.finish_round().await;
        // Whoever spoke last hears of it.
        if let (Err(error), Some(last)) = (finished, all.iter_mut().rev().find(|one| one.is_ok())) {
            *last = Err(error);
        }
        all
    }

    pub(super) async fn give_orders_again(&mut self) -> Result<(), CoordinatorError> {
        let Some(current) = &self.current else { return Ok(()) };
        let mut all = Ok(());
        for effect in current.round.outstanding() {
            // What cannot be done keeps nothing else back: a round that stands still is ended by one of them.
            let done = self.obey(effect).await;
            self.lost |= matches!(done, Err(CoordinatorError::Lost { .. }));
            all = all.and(done);
        }
        all
    }

    async fn obey(&mut self, effect: Effect) -> Result<(), CoordinatorError> {
        let events = self.carry_out(effect).await?;
        self.apply_all(events).await.into_iter().collect()
    }

    /// Steps the round through events and writes down at once those that changed it: durable before anything that follows
    /// is sent or acknowledged.
    fn step(&mut self, events: Vec<Event>) -> Vec<Result<Vec<Effect>, CoordinatorError>> {
        let now = self.now();
        let Some(current) = &mut self.current else {
            return events.iter().map(|_| Err(CoordinatorError::NotNow("no round is running"))).collect();
        };
        let mut round = current.round.clone();
        let mut written = Vec::new();
        let mut states = Vec::new();
        let mut one = |event: &Event| {
            let (effects, news) = stepped(&mut round, event, now)?;
            if let Some(news) = news {
                written.push(news);
                states.push(round.state());
            }
            Ok(effects)
        };
        let all: Vec<Result<Vec<Effect>, CoordinatorError>> = events.iter().map(&mut one).collect();
        if written.is_empty() {
            return all;
        }
        let batch = written.iter().fold(Batch::new(), |batch, event| batch.append(event));
        match self.journal.commit(&batch) {
            Ok(()) => {
                current.round = round;
                for state in states {
                    almoner_failpoint::reached(|| format!("round:{state}"));
                }
                all
            }
            // What could not be written did not happen. Perhaps it can be said of one of them alone.
            Err(_) if events.len() > 1 => events.into_iter().flat_map(|event| self.step(vec![event])).collect(),
            Err(error) => {
                // Nobody but us repeats what is our own: the order that it answers is given again.
                self.try_again_soon();
                vec![Err(error.into())]
            }
        }
    }
}

/// What an event calls for, and how it is written down: not at all if it is no news, so that nobody fills the journal by
/// saying again what was said.
fn stepped(round: &mut Round, event: &Event, now: u64) -> Result<(Vec<Effect>, Option<Vec<u8>>), CoordinatorError> {
    let mut next = round.clone();
    let (effects, news) = next.step_if_news(event.clone(), now).map_err(CoordinatorError::Rejected)?;
    if !news {
        return Ok((effects, None));
    }
    let written = Happened::to_bytes(now, event.clone())?;
    *round = next;
    Ok((effects, Some(written)))
}

#[cfg(test)]
mod tests {
    use almoner_protocol::types::Reveal;

    use super::*;

    #[test]
    fn a_direction_is_written_down_as_it_is_and_read_as_earlier_versions_wrote_it_too() {
        for entries in [Bytes::from_static(&[0, 0xf1, 0, 7]), Bytes::from(vec![0; 1 << 20]), Bytes::new()] {
            let event = Event::RevealReceived { reveal: Reveal::default(), entries, signature: vec![7; 65].into() };
            let text = resume::encode(&Happened { now: 5, event: event.clone() }).unwrap();
            let body = Happened::to_bytes(5, event.clone()).unwrap();
            assert!(body.len() <= text.len(), "{} and {}", body.len(), text.len());
            for written in [body, text] {
                let Happened { now, event: read } = Happened::from_bytes(&written).unwrap();
                assert_eq!((now, read), (5, event.clone()));
            }
        }
        let mut other = Happened::to_bytes(5, Event::TimePassed).unwrap();
        assert!(Happened::from_bytes(&other).is_ok());
        other.extend([0, 1]);
        assert!(Happened::from_bytes(&other).unwrap_err().contains("behind an event"));
    }
}
