//! Why a round stands still, for the log.

use almoner_protocol::round::State;
use tokio::time::Instant;

use super::Actor;

/// Since when a round is in its state, and when the log last heard of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stands {
    round: u64,
    state: State,
    since: Instant,
    said: Instant,
}

impl Actor {
    pub(super) fn say_what_is_waited_for(&mut self) {
        let Some(current) = &self.current else { return };
        let (now, round, state) = (Instant::now(), current.at().round, current.round.state());
        let same = self.stands.filter(|stands| (stands.round, stands.state) == (round, state));
        let mut stands = same.unwrap_or(Stands { round, state, since: now, said: now });
        if now - stands.said >= self.config.say_waits {
            let waiting_for = current.round.waits_for();
            let seconds = (now - stands.since).as_secs();
            tracing::info!(round, %state, seconds, ?waiting_for, "the round waits");
            stands.said = now;
        }
        self.stands = Some(stands);
    }
}
