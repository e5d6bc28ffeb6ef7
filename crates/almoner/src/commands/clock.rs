//! Whether this machine knows what time it is. Deadlines are block times: a site whose clock is an hour off misses
//! uploads, and cannot tell an old round from a new one.

use std::time::{Duration, SystemTime};

/// More than this is worth mending, and more than that is refused.
const NOTABLE: Duration = Duration::from_secs(120);
const WRONG: Duration = Duration::from_secs(3600);

/// What to do about it.
pub(crate) const SYNCHRONISE: &str = "synchronise the clock (NTP) of whichever machine is wrong";

/// Which of two clocks is wrong is not said by either; somebody has to look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClockError {
    #[error("this machine's clock is {} s behind {of}", .by.as_secs())]
    Behind { of: &'static str, by: Duration },
    #[error("this machine's clock is {} s ahead of {of}", .by.as_secs())]
    Ahead { of: &'static str, by: Duration },
}

/// How far two clocks are apart, if that is worth a word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    Little,
    Notable(ClockError),
}

/// Against a clock that runs.
pub(crate) fn against(ours: SystemTime, theirs: SystemTime, of: &'static str) -> Result<Apart, ClockError> {
    let (error, by) = match ours.duration_since(theirs) {
        Ok(by) => (ClockError::Ahead { of, by }, by),
        Err(earlier) => (ClockError::Behind { of, by: earlier.duration() }, earlier.duration()),
    };
    match by {
        by if by >= WRONG => Err(error),
        by if by >= NOTABLE => Ok(Apart::Notable(error)),
        _ => Ok(Apart::Little),
    }
}

/// Against the newest block, which may be old where nothing happens: only a block that is yet to come says anything.
pub(crate) fn against_block(ours: SystemTime, block: SystemTime) -> Result<Apart, ClockError> {
    if block <= ours { Ok(Apart::Little) } else { against(ours, block, "the chain's newest block") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_hour_is_too_much_and_two_minutes_are_told() {
        let check = |ours, theirs| against(at(ours), at(theirs), "it");
        assert_eq!(check(10_000, 10_119), Ok(Apart::Little));
        let behind = |by| ClockError::Behind { of: "it", by: Duration::from_secs(by) };
        assert_eq!(check(10_000, 10_120), Ok(Apart::Notable(behind(120))));
        assert_eq!(check(10_000, 13_600), Err(behind(3600)));
        assert_eq!(check(13_600, 10_000), Err(ClockError::Ahead { of: "it", by: Duration::from_secs(3600) }));
        assert_eq!(behind(3600).to_string(), "this machine's clock is 3600 s behind it");
    }

    #[test]
    fn an_old_block_says_nothing_and_one_from_the_future_does() {
        assert_eq!(against_block(at(1_000_000), at(1)), Ok(Apart::Little));
        assert!(against_block(at(1), at(3601)).is_err());
    }
}
