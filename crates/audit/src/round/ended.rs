//! How a round ended: what became of its pot, and what it leaves to the next one.

use almoner_chain::{PotChange, RoundRecord, RoundStatus};
use almoner_protocol::types::SettleItem;
use almoner_protocol::{SettleTree, Stage};

use super::RoundAudit;
use crate::history::{FinalLedger, Head, unknown};
use crate::tally::{Checked, Place, Wrong, ensure};
use crate::wording::cid_text;
use crate::{Kind, RoundPayments};

impl RoundAudit<'_> {
    pub(super) fn ended(&mut self) {
        let record = self.record;
        let moves: Vec<PotChange> =
            self.facts.pots.iter().filter(|pot| pot.round == record.number).map(|pot| pot.change).collect();
        let outcome = check_status(record).and_then(|()| check_pot(record, &moves));
        self.tally.check(Kind::Pot, Place::none(), outcome);
        self.note_unseen_answers();
        self.hand_over();
    }

    /// Answers are given before they are posted, so a round that stopped in between may have opened more than is seen.
    fn note_unseen_answers(&mut self) {
        let over = matches!(self.record.status, RoundStatus::Void | RoundStatus::Expired);
        let last = self.record.stages.last_key_value().map(|(stage, _)| *stage);
        if over && matches!(last, Some(Stage::Direction | Stage::Audit)) {
            let each = self.record.reveals.len();
            self.tally.note(format!("it ended before scores were posted: up to {each} scalars per site may be open"));
        }
    }

    /// The head of the chain of models moves as the contract moves it.
    fn hand_over(&mut self) {
        let record = self.record;
        let model = record.stages.get(&Stage::Model);
        let moves = match record.status {
            RoundStatus::Final | RoundStatus::Expired => model,
            RoundStatus::Running | RoundStatus::Proposed | RoundStatus::Void => None,
        };
        if let Some(model) = moves {
            self.history.head = Some(Head { ctx: record.ctx, model_root: model.root });
            self.history.sets.clear();
        }
        if record.status != RoundStatus::Final {
            return;
        }
        let settlement = self.seen.settlement.take();
        self.history.payments.extend(settlement.as_ref().and_then(|settlement| payments(record, &settlement.items)));
        // Where the settlement could not be recomputed, the posted list is what people claim from.
        let recomputed = settlement.map(|settlement| settlement.ledger);
        self.history.ledger = recomputed.or(self.seen.payouts.take()).map_or_else(unknown, Ok);
        let paid = self.facts.pots.iter().find_map(|pot| match pot.change {
            PotChange::Paid { amount, .. } if pot.round == record.number => Some((amount, pot.time)),
            _ => None,
        });
        if let Some((amount, time)) = paid {
            let ledger = self.history.ledger.clone();
            self.history.final_ledgers.push(FinalLedger { time, amount, ledger });
        }
    }
}

/// What a final round paid, if the lines that follow from its evidence are those behind the root that people were paid
/// from.
fn payments(record: &RoundRecord, lines: &[SettleItem]) -> Option<RoundPayments> {
    let posted = record.stages.get(&Stage::Settle)?;
    let same = SettleTree::new(lines).is_ok_and(|tree| tree.root() == posted.root);
    same.then(|| RoundPayments {
        round: record.number,
        settle_root: posted.root,
        settle_cid: cid_text(&posted.cid),
        lines: lines.to_vec(),
    })
}

/// The stages that were reached fit the way the round ended.
fn check_status(record: &RoundRecord) -> Checked<()> {
    let reached = |stage| record.stages.contains_key(&stage);
    match record.status {
        RoundStatus::Running => Ok(()),
        RoundStatus::Proposed | RoundStatus::Final => {
            ensure(reached(Stage::Payout), || Wrong::new("final or proposed without a payout root"))
        }
        // Before `admit` nothing may be opened, and what has been opened is never void.
        RoundStatus::Void => ensure(!reached(Stage::Model), || Wrong::new("void after its sum was opened")),
        RoundStatus::Expired => {
            ensure(!reached(Stage::Payout), || Wrong::new("expired although its settlement was posted"))
        }
    }
}

/// The pot was reserved whole, and left the round in one way: paid, carried, or given back if nothing was admitted.
fn check_pot(record: &RoundRecord, moves: &[PotChange]) -> Checked<()> {
    let pot = record.descriptor.pot;
    let (from_free, from_carry, rest) = match moves {
        [PotChange::Reserved { from_free, from_carry }, rest @ ..] => (*from_free, *from_carry, rest),
        _ => return Err(Wrong::new("the pot was not reserved")),
    };
    ensure(from_free.checked_add(from_carry) == Some(pot), || {
        Wrong::new(format!("{from_free} and {from_carry} were reserved for a pot of {pot}"))
    })?;
    let total = record.proposal.as_ref().map_or(0, |proposal| proposal.total);
    let payout_root = record.stages.get(&Stage::Payout).map(|stage| stage.root).unwrap_or_default();
    let carried = [PotChange::Carried { amount: pot }];
    let expected: &[PotChange] = match record.status {
        RoundStatus::Running | RoundStatus::Proposed => &[],
        RoundStatus::Final if total > 0 => &[PotChange::Paid { amount: pot, payout_root }],
        RoundStatus::Final => &carried,
        RoundStatus::Void | RoundStatus::Expired if record.stages.contains_key(&Stage::Admit) => &carried,
        RoundStatus::Void | RoundStatus::Expired => &[PotChange::Released { to_free: from_free, to_carry: from_carry }],
    };
    ensure(rest == expected, || Wrong::new(format!("the pot went {rest:?}, it should have gone {expected:?}")))?;
    let paid = (record.status == RoundStatus::Final).then_some(total);
    ensure(record.paid == paid, || {
        Wrong::new(format!("the round says that it paid {:?}, its proposal {paid:?}", record.paid))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use almoner_chain::{ProposalRecord, StageRecord};
    use almoner_protocol::types::Descriptor;
    use almoner_protocol::{Address, B256};

    use super::*;

    const RESERVED: PotChange = PotChange::Reserved { from_free: 60, from_carry: 40 };

    fn round(status: RoundStatus, last: Stage, total: Option<u128>) -> RoundRecord {
        let stage = |stage: Stage| StageRecord {
            root: B256::repeat_byte(stage.number()),
            transcript: B256::ZERO,
            cid: Default::default(),
            time: 0,
            block: 0,
            tx: B256::ZERO,
        };
        RoundRecord {
            federation: 1,
            number: 1,
            ctx: B256::ZERO,
            descriptor: Descriptor { pot: 100, ..Descriptor::default() },
            cids: Default::default(),
            opened_at: 0,
            readies: vec![],
            promises: vec![],
            direct: vec![],
            reveals: vec![],
            locked: None,
            admitted: None,
            proposal: total.map(|total| ProposalRecord { proposer: Address::ZERO, total, ends_at: 0 }),
            paid: total.filter(|_| status == RoundStatus::Final),
            status,
            stages: Stage::ALL.into_iter().filter(|s| *s <= last).map(|s| (s, stage(s))).collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn a_pot_leaves_its_round_in_one_way() {
        let paid = PotChange::Paid { amount: 100, payout_root: B256::repeat_byte(11) };
        let carried = PotChange::Carried { amount: 100 };
        let released = PotChange::Released { to_free: 60, to_carry: 40 };
        let settled = round(RoundStatus::Final, Stage::Payout, Some(100));
        assert_eq!(check_pot(&settled, &[RESERVED, paid]), Ok(()));
        assert!(check_pot(&settled, &[RESERVED]).is_err());
        assert!(check_pot(&settled, &[RESERVED, carried]).is_err());
        let other = PotChange::Paid { amount: 100, payout_root: B256::ZERO };
        assert!(check_pot(&settled, &[RESERVED, other]).is_err());
        let unpaid = round(RoundStatus::Final, Stage::Payout, Some(0));
        assert_eq!(check_pot(&unpaid, &[RESERVED, carried]), Ok(()));
        let early = round(RoundStatus::Void, Stage::Score, None);
        assert_eq!(check_pot(&early, &[RESERVED, released]), Ok(()));
        let late = round(RoundStatus::Expired, Stage::Admit, None);
        assert_eq!(check_pot(&late, &[RESERVED, carried]), Ok(()));
        assert!(check_pot(&late, &[RESERVED, released]).is_err());
        assert_eq!(check_pot(&round(RoundStatus::Running, Stage::Lock, None), &[RESERVED]), Ok(()));
        assert!(check_pot(&early, &[PotChange::Reserved { from_free: 60, from_carry: 39 }, released]).is_err());
    }

    #[test]
    fn what_was_opened_is_never_void() {
        assert_eq!(check_status(&round(RoundStatus::Void, Stage::Sum, None)), Ok(()));
        assert!(check_status(&round(RoundStatus::Void, Stage::Model, None)).is_err());
        assert!(check_status(&round(RoundStatus::Final, Stage::Model, Some(0))).is_err());
        assert_eq!(check_status(&round(RoundStatus::Expired, Stage::Model, None)), Ok(()));
    }
}
