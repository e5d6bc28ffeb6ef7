//! While somebody does not answer: how long to wait between tries, and when to speak of it. Time and chance are
//! arguments.
//!
//! Waits double from a quarter of a second to half a minute. Each is drawn from the upper half of what it may be, so that a
//! thousand sites that lost one coordinator do not come back in one moment. A log hears of it at once, then every ten
//! minutes, and once it is over.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(250);
/// The longest wait: whoever is back is found within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a log is told of the same outage.
const SAY_EVERY: Duration = Duration::from_secs(600);

/// How long to wait after `failures` in a row, the first of them counted. `draw` is any number.
fn pause(failures: u32, draw: u64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let half = doubled.min(LONGEST_PAUSE) / 2;
    half + half.mul_f64(draw as f64 / u64::MAX as f64)
}

/// Tries in a row that failed; none while all is well.
#[derive(Debug, Default)]
pub struct Outage {
    failures: u32,
    began: Option<Instant>,
    said: Option<Instant>,
}

/// What to do after a try that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    pub wait: Duration,
    /// How long nobody has answered, where the log is to hear of it.
    pub say: Option<Duration>,
}

impl Outage {
    pub fn failed(&mut self, now: Instant, draw: u64) -> Pause {
        self.failures = self.failures.saturating_add(1);
        let began = *self.began.get_or_insert(now);
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_EVERY);
        if due {
            self.said = Some(now);
        }
        let say = due.then(|| now.saturating_duration_since(began));
        Pause { wait: pause(self.failures, draw), say }
    }

    /// All is well; how long it was not, if it was not.
    pub fn over(&mut self, now: Instant) -> Option<Duration> {
        std::mem::take(self).began.map(|began| now.saturating_duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_spread_over_their_upper_half() {
        let ends = |failures| (pause(failures, 0), pause(failures, u64::MAX));
        for failures in 1..=u32::from(u8::MAX) {
            let (least, most) = ends(failures);
            assert!(
                least >= FIRST / 2 && most <= LONGEST_PAUSE && least * 2 == most,
                "{failures}: {least:?}, {most:?}"
            );
            let between = pause(failures, u64::MAX / 3);
            assert!(least < between && between < most);
            assert!(ends(failures + 1) >= ends(failures));
        }
        assert_eq!(ends(1).1, FIRST);
        assert_eq!(ends(3).1, FIRST * 4);
        assert_eq!(ends(u32::MAX).1, LONGEST_PAUSE);
    }

    #[test]
    fn what_answers_again_is_asked_at_once_the_next_time_it_fails() {
        let (mut outage, now) = (Outage::default(), Instant::now());
        for _ in 0..20 {
            outage.failed(now, 0);
        }
        let later = now + Duration::from_secs(90);
        assert_eq!(outage.over(later), Some(Duration::from_secs(90)));
        assert_eq!(outage.over(later), None);
        assert_eq!(outage.failed(later, u64::MAX).wait, FIRST);
    }

    #[test]
    fn a_day_without_an_answer_is_said_every_ten_minutes_and_tried_every_half() {
        const DAY: Duration = Duration::from_secs(86_400);
        let (mut outage, start) = (Outage::default(), Instant::now());
        let (mut now, mut tries, mut said) = (start, 0u32, Vec::new());
        while now < start + DAY {
            let pause = outage.failed(now, u64::MAX / 2);
            said.extend(pause.say);
            now += pause.wait;
            tries += 1;
        }
        assert_eq!(said[0], Duration::ZERO);
        assert!((140..=144).contains(&said.len()), "{}", said.len());
        assert!((3_800..4_000).contains(&tries), "{tries}");
        assert!(outage.over(now).unwrap() >= DAY);
    }
}
