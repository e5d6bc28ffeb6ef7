//! A journal that was put back from a copy does not know what this site said after the copy was made. Whatever it may
//! have said in that time it does not say again: rounds that start from a base model that somebody was asked about
//! before the journal's first use are refused, and the scalars of those rounds count as opened.

use std::time::{SystemTime, UNIX_EPOCH};

use almoner_chain::{FederationRecord, RoundRecord};
use almoner_protocol::{Address, B256};

use super::Site;
use crate::SiteError;

impl Site {
    /// The time up to which this site may have said what its journal does not know; 0 for a journal that is no copy.
    pub(super) async fn forgotten_until(
        &mut self,
        federation: &FederationRecord,
        rounds: &[RoundRecord],
    ) -> Result<u64, SiteError> {
        if let Some(until) = self.forgotten {
            return Ok(until);
        }
        let memory = &self.from.memory;
        let generation = memory.generation().await?;
        let until = match memory.forgotten(generation).await? {
            Some(until) => until,
            None if generation == 0 => 0,
            None => {
                // A node that is behind, or hides a round, does not hide it from the clock.
                let until = unix_seconds().max(self.from.ledger.now().await?);
                let opened = may_be_opened(federation, rounds, self.from.identity.account(), until);
                memory.keep_forgotten(generation, until, &opened).await?;
                tracing::warn!(generation, until, rounds = opened.len(), "the journal was restored from a copy");
                until
            }
        };
        self.forgotten = Some(until);
        Ok(until)
    }
}

/// Whether the site may have answered something in this round, or in another one from the same base model, that it
/// does not know of.
pub(super) fn may_have_answered(rounds: &[RoundRecord], round: &RoundRecord, until: u64) -> bool {
    let same = |other: &&RoundRecord| other.descriptor.baseModelRoot == round.descriptor.baseModelRoot;
    let mut asked = rounds.iter().chain([round]).filter(same);
    until > 0 && asked.any(|other| other.opened_at <= until)
}

/// How many scalars of this site's updates each of the rounds may have opened.
fn may_be_opened(
    federation: &FederationRecord,
    rounds: &[RoundRecord],
    account: Address,
    until: u64,
) -> Vec<(B256, u32)> {
    let seated = |round: &&RoundRecord| {
        federation.members.iter().any(|seat| seat.account == account && seat.since <= round.number)
    };
    let asked = rounds.iter().filter(|round| round.opened_at <= until).filter(seated);
    asked.map(|round| (round.ctx, round.descriptor.validators.into())).collect()
}

fn unix_seconds() -> u64 {
    // A clock before 1970 hides nothing from the chain's own time.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use almoner_chain::{RoundStatus, SeatRecord};
    use almoner_protocol::types::{Descriptor, OpenCids};

    use super::*;

    fn round(number: u64, base: u8, opened_at: u64) -> RoundRecord {
        let ctx = B256::with_last_byte(base);
        let descriptor = Descriptor { baseModelRoot: B256::repeat_byte(base), validators: 3, ..Descriptor::default() };
        RoundRecord {
            federation: 1,
            number,
            ctx,
            descriptor,
            cids: OpenCids::default(),
            opened_at,
            readies: Vec::new(),
            promises: Vec::new(),
            direct: Vec::new(),
            reveals: Vec::new(),
            locked: None,
            admitted: None,
            proposal: None,
            paid: None,
            status: RoundStatus::Void,
            stages: Default::default(),
        }
    }

    fn federation(account: Address, since: u64) -> FederationRecord {
        FederationRecord {
            number: 1,
            owner: Address::ZERO,
            params: Default::default(),
            created_at: 0,
            block: 0,
            tx: B256::ZERO,
            members: vec![SeatRecord { account, entity: B256::ZERO, class: 1, since, stake: 1 }],
            validators: Vec::new(),
            funded: Vec::new(),
            closed: false,
        }
    }

    #[test]
    fn what_was_asked_before_is_not_answered_again() {
        // Round 3 is a retry of round 2, which was given up.
        let rounds = [round(1, 1, 100), round(2, 2, 200), round(3, 2, 300), round(4, 3, 400)];
        let refused = |until| rounds.iter().map(|round| may_have_answered(&rounds, round, until)).collect::<Vec<_>>();
        assert_eq!(refused(0), [false; 4], "a journal that is no copy");
        assert_eq!(refused(250), [true, true, true, false]);
        assert_eq!(refused(400), [true; 4]);
        // A round that the node showed late, and whose base model no other round has.
        assert!(may_have_answered(&rounds, &round(5, 9, 399), 400));
        assert!(!may_have_answered(&rounds, &round(5, 9, 401), 400));
    }

    #[test]
    fn scalars_of_rounds_in_that_time_count_as_opened() {
        let (me, rounds) = (Address::repeat_byte(7), [round(1, 1, 100), round(2, 2, 200), round(3, 3, 300)]);
        let opened = may_be_opened(&federation(me, 2), &rounds, me, 250);
        assert_eq!(opened, [(rounds[1].ctx, 3)], "seated from round 2 on, and round 3 came later");
        assert_eq!(may_be_opened(&federation(me, 1), &rounds, Address::ZERO, 250), []);
    }
}
