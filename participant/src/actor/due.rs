//! What a round asks of this site now: a function of what the chain shows and of who the site is.

use almoner_chain::{RoundRecord, RoundStatus};
use almoner_protocol::{Address, Stage};

/// Something a site does once in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    Promise,
    Contribute,
    Reveal,
    AckDirection,
    AnswerScores,
    AckAdmit,
    AnswerSum,
}

/// What a site is in a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) participant: bool,
    pub(super) committee: bool,
    pub(super) validator: bool,
}

impl Duty {
    const ALL: [Self; 7] = [
        Self::Promise,
        Self::Contribute,
        Self::Reveal,
        Self::AckDirection,
        Self::AnswerScores,
        Self::AckAdmit,
        Self::AnswerSum,
    ];

    /// Its name in logs, metrics and documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Promise => "promise",
            Self::Contribute => "contribute",
            Self::Reveal => "reveal",
            Self::AckDirection => "ack_direction",
            Self::AnswerScores => "answer_scores",
            Self::AckAdmit => "ack_admit",
            Self::AnswerSum => "answer_sum",
        }
    }

    /// Who does it, from which stage on, and until which.
    fn window(self, roles: Roles) -> (bool, Stage, Stage) {
        match self {
            Self::Promise => (roles.validator, Stage::Ctx, Stage::Promise),
            // Not before the directions are fixed: else an update could be bent towards one.
            Self::Contribute => (roles.participant, Stage::Promise, Stage::Lock),
            Self::Reveal => (roles.validator, Stage::Lock, Stage::Direction),
            Self::AckDirection => (roles.committee, Stage::Direction, Stage::Score),
            Self::AnswerScores => (roles.committee, Stage::Audit, Stage::Score),
            Self::AckAdmit => (roles.committee, Stage::Score, Stage::Admit),
            Self::AnswerSum => (roles.committee, Stage::Sum, Stage::Open),
        }
    }
}

/// In the order in which they come up.
pub(super) fn due(round: &RoundRecord, account: Address, roles: Roles) -> Vec<Duty> {
    if round.status != RoundStatus::Running {
        return Vec::new();
    }
    let posted = |stage| round.stages.contains_key(&stage);
    let open = |duty: &Duty| {
        let (mine, from, until) = duty.window(roles);
        mine && posted(from) && !posted(until)
    };
    let promised = round.promises.iter().any(|promise| promise.validator == account);
    let revealed = round.reveals.iter().any(|reveal| reveal.validator == account);
    // The chain remembers these two, whatever we do.
    let settled = |duty: &Duty| match duty {
        Duty::Promise => promised,
        Duty::Reveal => revealed || !promised,
        Duty::AnswerScores => round.reveals.is_empty(),
        Duty::Contribute | Duty::AckDirection | Duty::AckAdmit | Duty::AnswerSum => false,
    };
    Duty::ALL.into_iter().filter(|duty| open(duty) && !settled(duty)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use almoner_chain::{PromiseRecord, RevealRecord, StageRecord};
    use almoner_protocol::types::{Descriptor, OpenCids};
    use almoner_protocol::{B256, Bytes};

    use super::*;

    const ME: Address = Address::repeat_byte(7);
    const ALL: Roles = Roles { participant: true, committee: true, validator: true };

    /// A round whose last posted stage is `last`.
    fn round(last: Stage) -> RoundRecord {
        let posted = StageRecord {
            root: B256::ZERO,
            transcript: B256::ZERO,
            cid: Bytes::new(),
            time: 0,
            block: 0,
            tx: B256::ZERO,
        };
        let stages: BTreeMap<_, _> =
            Stage::ALL.into_iter().filter(|stage| *stage <= last).map(|stage| (stage, posted.clone())).collect();
        RoundRecord {
            federation: 1,
            number: 1,
            ctx: B256::ZERO,
            descriptor: Descriptor::default(),
            cids: OpenCids::default(),
            opened_at: 0,
            readies: Vec::new(),
            promises: vec![PromiseRecord { validator: ME, commitment: B256::ZERO, time: 0 }],
            direct: Vec::new(),
            reveals: vec![RevealRecord { validator: ME, direction_root: B256::ZERO, salt: B256::ZERO, time: 0 }],
            locked: None,
            admitted: None,
            proposal: None,
            paid: None,
            status: RoundStatus::Running,
            stages,
        }
    }

    #[test]
    fn each_stage_asks_for_its_own() {
        use Duty::{AckAdmit, AckDirection, AnswerScores, AnswerSum, Contribute};
        for (last, expected) in [
            (Stage::Ctx, vec![]),
            (Stage::Promise, vec![Contribute]),
            (Stage::Lock, vec![]),
            (Stage::Direction, vec![AckDirection]),
            (Stage::Audit, vec![AckDirection, AnswerScores]),
            (Stage::Score, vec![AckAdmit]),
            (Stage::Admit, vec![]),
            (Stage::Sum, vec![AnswerSum]),
            (Stage::Model, vec![]),
            (Stage::Payout, vec![]),
        ] {
            assert_eq!(due(&round(last), ME, ALL), expected, "after {last}");
        }
    }

    #[test]
    fn a_validator_promises_before_and_reveals_after_the_uploads() {
        let mut fresh = round(Stage::Ctx);
        (fresh.promises, fresh.reveals) = Default::default();
        assert_eq!(due(&fresh, ME, ALL), [Duty::Promise]);
        let mut locked = round(Stage::Lock);
        locked.reveals.clear();
        assert_eq!(due(&locked, ME, ALL), [Duty::Reveal]);
        // Without a promise there is nothing to reveal.
        locked.promises.clear();
        assert_eq!(due(&locked, ME, ALL), []);
    }

    #[test]
    fn nothing_is_due_of_others_or_when_it_is_over() {
        assert_eq!(due(&round(Stage::Promise), ME, Roles::default()), []);
        let over = RoundRecord { status: RoundStatus::Void, ..round(Stage::Audit) };
        assert_eq!(due(&over, ME, ALL), []);
        // No direction, no scores to answer.
        let mut unscored = round(Stage::Audit);
        unscored.reveals.clear();
        assert_eq!(due(&unscored, ME, ALL), [Duty::AckDirection]);
    }
}
