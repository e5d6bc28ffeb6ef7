//! Whether this machine knows what time it is. Deadlines are block times: a site whose clock is an hour off misses
//! uploads, and cannot tell an old round from a new one; a coordinator ends rounds too early, or opens them too late.

use std::time::{Duration, SystemTime};

use almoner_chain::{Depth, Ledger};
use almoner_store::Url;

use crate::failure::{Blame, Failure, Kind};

/// More than this is worth mending, and more than that is refused.
const NOTABLE: Duration = Duration::from_secs(120);
const WRONG: Duration = Duration::from_secs(3600);
/// How often a coordinator looks for a new block, and so how old one may be when it is seen.
const LOOK: Duration = Duration::from_secs(30);

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
    if block <= ours { Ok(Apart::Little) } else { against(ours, block, CHAIN) }
}

/// How a chain comes by its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// When there is something to be in one.
    OnDemand,
    /// By itself, so that the newest is never old.
    Steady,
}

impl Blocks {
    /// Where nobody waits for depth, there are none to wait for.
    fn of(ledger: &Ledger) -> Self {
        match Depth::usual(ledger.deployment().chain_id) {
            Depth::NONE => Self::OnDemand,
            _ => Self::Steady,
        }
    }

    fn against(self, ours: SystemTime, newest: SystemTime) -> Result<Apart, ClockError> {
        match self {
            Self::OnDemand => against_block(ours, newest),
            Self::Steady => against(ours, newest, CHAIN),
        }
    }
}

const CHAIN: &str = "the chain's newest block";

/// Refuses a coordinator whose clock, by which it opens and ends rounds, is not the chain's.
pub(crate) async fn against_chain(ledger: &Ledger, rpc: &Url) -> Result<(), Failure> {
    let newest = ledger.now().await.blame(Kind::Peer, format!("rpc = {rpc}"))?;
    match Blocks::of(ledger).against(SystemTime::now(), at(newest)) {
        Ok(Apart::Little) => Ok(()),
        Ok(Apart::Notable(error)) => {
            tracing::warn!(%rpc, %error, remedy = SYNCHRONISE, "clock");
            Ok(())
        }
        Err(error) => Err(error)
            .blame(Kind::You, format!("clock, rpc = {rpc}: {SYNCHRONISE}, or wait until the node is up to date")),
    }
}

/// Holds each block that comes against this machine's clock, and says once when they are apart, until they agree again.
pub(crate) async fn keep_looking(ledger: Ledger) {
    let (mut seen, mut said) = (None, false);
    loop {
        tokio::time::sleep(LOOK).await;
        // Whoever needs the chain says that it is away.
        let Ok(newest) = ledger.now().await else { continue };
        // Old when it was first seen, perhaps.
        if seen.replace(newest).is_none_or(|seen| seen == newest) {
            continue;
        }
        said = match against(SystemTime::now(), at(newest), CHAIN) {
            Ok(Apart::Little) => false,
            Ok(Apart::Notable(error)) | Err(error) => {
                if !said {
                    tracing::warn!(%error, remedy = SYNCHRONISE, "clock");
                }
                true
            }
        };
    }
}

fn at(unix_s: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_old_block_says_something_where_blocks_come_by_themselves() {
        assert!(Blocks::Steady.against(at(10_000), at(6400)).is_err());
        assert_eq!(Blocks::Steady.against(at(10_000), at(9990)), Ok(Apart::Little));
        assert_eq!(Blocks::OnDemand.against(at(10_000), at(1)), Ok(Apart::Little));
        assert!(Blocks::OnDemand.against(at(6400), at(10_000)).is_err());
    }
}
