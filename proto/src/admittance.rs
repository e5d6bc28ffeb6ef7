//! Whether the other end takes us. Whoever is refused before it was ever let in made a mistake, and ends; whoever is
//! refused later has an operator to hear of it, and waits. Time and chance are arguments.

use std::time::{Duration, Instant};

use crate::{Outage, Pause};

/// How we stand to the other end.
#[derive(Debug, Default)]
pub struct Admittance {
    state: State,
    /// Refusals in a row.
    refused: Outage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It was not heard yet.
    #[default]
    Unknown,
    LetIn,
    ShutOut,
}

impl Admittance {
    /// After a refusal: how long to wait, unless we were never let in.
    pub fn shut_out(&mut self, now: Instant, draw: u64) -> Option<Pause> {
        if self.state == State::Unknown {
            return None;
        }
        self.state = State::ShutOut;
        Some(self.refused.failed(now, draw))
    }

    /// After an answer: how long we were shut out, if we were.
    pub fn let_in(&mut self, now: Instant) -> Option<Duration> {
        self.state = State::LetIn;
        self.refused.over(now)
    }

    /// Whether it was heard yet.
    pub fn is_known(&self) -> bool {
        self.state != State::Unknown
    }

    pub fn is_shut_out(&self) -> bool {
        self.state == State::ShutOut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_never_let_in_does_not_wait() {
        let (mut admittance, now) = (Admittance::default(), Instant::now());
        assert_eq!(admittance.shut_out(now, 0), None);
        assert_eq!(admittance.shut_out(now, 0), None);
        assert!(!admittance.is_shut_out() && !admittance.is_known());
        assert_eq!(admittance.let_in(now), None);
        assert!(admittance.is_known());
    }

    #[test]
    fn whoever_is_refused_later_waits_says_so_once_and_is_let_in_again() {
        let (mut admittance, now) = (Admittance::default(), Instant::now());
        admittance.let_in(now);
        assert_eq!(admittance.shut_out(now, 0).unwrap().say, Some(Duration::ZERO));
        let later = now + Duration::from_secs(9);
        assert_eq!(admittance.shut_out(later, 0).unwrap().say, None);
        assert!(admittance.is_shut_out());
        assert_eq!(admittance.let_in(later), Some(Duration::from_secs(9)));
        assert!(!admittance.is_shut_out());
        assert_eq!(admittance.let_in(later), None);
    }
}
