//! Block times: the clock plus an offset, and never backwards.

use std::fmt;

use crate::Clock;
use crate::error::RpcError;

pub(crate) struct Timing {
    clock: Clock,
    /// Seconds the chain is ahead of the clock (behind, where a block was forced into the past of it).
    offset: i64,
    forced: Option<u64>,
}

impl Timing {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, offset: 0, forced: None }
    }

    /// Time of the next block after one at `tip`.
    pub(crate) fn next(&self, tip: u64) -> u64 {
        self.forced.unwrap_or_else(|| self.now().max(tip.saturating_add(1)))
    }

    /// A block was made at `timestamp`: a forced time is used up, and time goes on from it.
    pub(crate) fn used(&mut self, timestamp: u64) {
        if self.forced.take().is_some() {
            self.offset = signed(timestamp).saturating_sub(signed((self.clock)()));
        }
    }

    /// After a restart a chain that had been moved into the future goes on from there.
    pub(crate) fn resume(&mut self, tip: u64) {
        if self.now() < tip {
            self.offset = signed(tip).saturating_sub(signed((self.clock)()));
        }
    }

    /// Moves time on by `seconds`, counted from the tip where blocks have run ahead of the clock.
    pub(crate) fn increase(&mut self, tip: u64, seconds: u64) -> Result<i64, RpcError> {
        let target = self
            .now()
            .max(tip)
            .checked_add(seconds)
            .filter(|t| i64::try_from(*t).is_ok())
            .ok_or_else(|| RpcError::params("time is out of range"))?;
        self.offset = signed(target).saturating_sub(signed((self.clock)()));
        Ok(self.offset)
    }

    pub(crate) fn force(&mut self, tip: u64, timestamp: u64) -> Result<(), RpcError> {
        if timestamp <= tip || i64::try_from(timestamp).is_err() {
            return Err(RpcError::params(format!(
                "timestamp {timestamp} is not after that of the previous block, {tip}"
            )));
        }
        self.forced = Some(timestamp);
        Ok(())
    }

    fn now(&self) -> u64 {
        (self.clock)().saturating_add_signed(self.offset)
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timing").field("offset", &self.offset).field("forced", &self.forced).finish_non_exhaustive()
    }
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
