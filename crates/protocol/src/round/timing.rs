//! When a round stops waiting for people. A stage must be on chain by its deadline, so what is collected for it is
//! closed before: uploads, promises and reveals at three quarters of the time the stage has, for a late hospital is
//! lost for the round; answers of members are used from half of it on, and a row that does not open by three
//! quarters is given up.

use crate::types::{Descriptor, Stage};

/// Unix seconds by which `stage` must be posted; the stages of one transaction share a deadline.
pub(super) fn deadline(descriptor: &Descriptor, stage: Stage) -> u64 {
    let [promise, lock, direction, audit, score, admit, sum, model, settle] = descriptor.deadlines;
    match stage {
        // `open` has none: a round that is not opened costs nobody anything.
        Stage::Ctx => u64::MAX,
        Stage::Promise => promise,
        Stage::Lock => lock,
        Stage::Direction => direction,
        Stage::Audit => audit,
        Stage::Score => score,
        Stage::Admit => admit,
        Stage::Sum => sum,
        Stage::Open | Stage::Model => model,
        Stage::Settle | Stage::Payout => settle,
    }
}

/// After this, whoever is missing stays out.
pub(super) fn last_call(start: u64, deadline: u64) -> u64 {
    deadline - deadline.saturating_sub(start) / 4
}

/// From here on t answers are enough.
pub(super) fn half_time(start: u64, deadline: u64) -> u64 {
    deadline - deadline.saturating_sub(start) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_before_the_deadline() {
        assert_eq!(half_time(100, 200), 150);
        assert_eq!(last_call(100, 200), 175);
        // Posted late: no time is left, which is not a reason to underflow.
        assert_eq!(last_call(300, 200), 200);
        assert_eq!(half_time(u64::MAX, 0), 0);
    }
}
