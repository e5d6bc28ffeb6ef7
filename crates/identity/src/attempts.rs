//! How often a password may be tried. A rule without a clock and without a memory of its own.

/// Attempts that cost nothing.
const FREE: u32 = 5;
/// After that: a minute, and each time twice as long, up to an hour.
const FIRST_WAIT_S: u64 = 60;
const LONGEST_WAIT_S: u64 = 3600;
/// Attempts that are this long ago are forgotten: somebody else's must not keep a site waiting for ever.
const FORGOTTEN_S: u64 = 24 * 3600;

/// Logins of one account that were begun and not proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    pub count: u32,
    /// Unix seconds: no further one before.
    pub until: u64,
}

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedOut {
    pub seconds: u64,
}

impl Attempts {
    /// Counts one more. To be kept before it is answered; a login that succeeds is forgotten altogether.
    pub fn attempt(self, now: u64) -> Result<Self, LockedOut> {
        // A clock that was put back must not lock anybody out for longer than the rule does.
        let until = self.until.min(now.saturating_add(LONGEST_WAIT_S));
        if now < until {
            return Err(LockedOut { seconds: until - now });
        }
        let before = if now.saturating_sub(until) < FORGOTTEN_S { self.count } else { 0 };
        let count = before.saturating_add(1);
        let over = count.checked_sub(FREE);
        let wait = over.map_or(0, |over| (FIRST_WAIT_S << over.min(16)).min(LONGEST_WAIT_S));
        Ok(Self { count, until: now.saturating_add(wait) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_are_free_and_the_wait_doubles_up_to_an_hour() {
        let (mut attempts, mut now, mut waits) = (Attempts::default(), 1_000_000, Vec::new());
        for _ in 0..13 {
            attempts = attempts.attempt(now).unwrap();
            waits.push(attempts.until - now);
            now = attempts.until;
        }
        assert_eq!(waits, [0, 0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        assert_eq!(attempts.attempt(now - 9), Err(LockedOut { seconds: 9 }));
        assert_eq!(attempts.attempt(now + FORGOTTEN_S), Ok(Attempts { count: 1, until: now + FORGOTTEN_S }));
    }

    proptest! {
        #[test]
        fn nobody_waits_longer_than_an_hour(count: u32, until: u64, now: u64) {
            match (Attempts { count, until }).attempt(now) {
                Ok(next) => prop_assert!(next.count >= 1 && next.until <= now.saturating_add(LONGEST_WAIT_S)),
                Err(locked) => prop_assert!((1..=LONGEST_WAIT_S).contains(&locked.seconds)),
            }
        }
    }
}
