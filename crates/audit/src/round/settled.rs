//! Stages 10 and 11: who is paid what, recomputed from the admitted set and the ledger before the round.

use almoner_chain::StageRecord;
use almoner_protocol::types::{PayoutItem, SettleItem};
use almoner_protocol::{B256, CumulativeLedger, PayoutTree, Role, SettleTree, settle};

use super::RoundAudit;
use crate::Kind;
use crate::tally::{Checked, Place, Wrong, ensure};

impl RoundAudit<'_> {
    pub(super) async fn settled(&mut self, posted: &StageRecord) {
        let place = Place::cid(&posted.cid);
        let read = self.artefacts().items::<SettleItem>(&posted.cid, self.seats()).await;
        let outcome = read.and_then(|items| check_settle_root(&items, posted.root).map(|()| items));
        let items = self.tally.check(Kind::Settle, place, outcome);
        let (Some(admission), Ok(before)) = (&self.seen.admission, &self.history.ledger) else { return };
        let d = &self.record.descriptor;
        let follows = settle(d.pot, d.feeBps, admission, before).map_err(Wrong::from);
        let total = self.record.proposal.as_ref().map(|proposal| proposal.total);
        let compared = follows.and_then(|settlement| {
            if let Some(items) = &items {
                compare_settle(items, &settlement.items)?;
            }
            ensure(total == Some(settlement.total), || {
                Wrong::new(format!("it pays {} in all, proposed were {}", settlement.total, total.unwrap_or(0)))
            })?;
            Ok(settlement)
        });
        self.seen.settlement = self.tally.check(Kind::Settle, place, compared);
    }

    pub(super) async fn paid_out(&mut self, posted: &StageRecord) {
        let place = Place::cid(&posted.cid);
        let read = self.artefacts().items::<PayoutItem>(&posted.cid, self.seats()).await;
        let outcome = read.and_then(|items| {
            check_payout_root(&items, posted.root)?;
            let ledger = CumulativeLedger::from_payouts(&items)?;
            Ok((items, ledger))
        });
        let Some((items, ledger)) = self.tally.check(Kind::Payout, place, outcome) else { return };
        self.seen.payouts = Some(ledger);
        if let Some(settlement) = &self.seen.settlement {
            let compared = compare_payout(&items, &settlement.ledger.payouts());
            self.tally.check(Kind::Payout, place, compared);
        }
    }
}

fn check_settle_root(items: &[SettleItem], posted: B256) -> Checked<()> {
    let found = SettleTree::new(items)?.root();
    ensure(found == posted, || Wrong::new(format!("its root is {found}, posted is {posted}")))
}

pub(crate) fn check_payout_root(items: &[PayoutItem], posted: B256) -> Checked<()> {
    let found = PayoutTree::new(items).root();
    ensure(found == posted, || Wrong::new(format!("its root is {found}, posted is {posted}")))
}

fn compare_settle(stated: &[SettleItem], found: &[SettleItem]) -> Checked<()> {
    if let Some((stated, found)) = stated.iter().zip(found).find(|(stated, found)| stated != found) {
        let role = if found.role == Role::Hospital as u8 { "hospital" } else { "validator" };
        let show = |item: &SettleItem| {
            format!(
                "quality {}, weight {}, pay {}, cumulative {}",
                item.quality, item.weight, item.pay, item.cumulative
            )
        };
        let text = format!("{role}: {} is stated; it follows: {}", show(stated), show(found));
        return Err(Wrong::of(stated.account, text));
    }
    ensure(stated.len() == found.len(), || {
        Wrong::new(format!("{} lines are listed, {} follow", stated.len(), found.len()))
    })
}

fn compare_payout(stated: &[PayoutItem], found: &[PayoutItem]) -> Checked<()> {
    if let Some((stated, found)) = stated.iter().zip(found).find(|(stated, found)| stated != found) {
        let text = format!("{} is stated; it follows: {} to {}", stated.cumulative, found.cumulative, found.account);
        return Err(Wrong::of(stated.account, text));
    }
    ensure(stated.len() == found.len(), || {
        Wrong::new(format!("{} accounts are listed, {} were ever paid", stated.len(), found.len()))
    })
}

#[cfg(test)]
mod tests {
    use almoner_protocol::{Address, U256};

    use super::*;

    fn line(n: u8, pay: u128) -> SettleItem {
        SettleItem { index: n.into(), account: Address::repeat_byte(n), pay, cumulative: pay, ..SettleItem::default() }
    }

    #[test]
    fn a_line_that_does_not_follow_names_its_account() {
        let lines = [line(0, 5), line(1, 7)];
        assert_eq!(compare_settle(&lines, &lines), Ok(()));
        let wrong = compare_settle(&[line(0, 5), line(1, 8)], &lines).unwrap_err();
        assert_eq!(wrong.account, Some(Address::repeat_byte(1)));
        assert!(compare_settle(&lines[..1], &lines).is_err());
        let root = SettleTree::new(&lines).unwrap().root();
        assert_eq!(check_settle_root(&lines, root), Ok(()));
        assert!(check_settle_root(&lines[..1], root).is_err());
    }

    #[test]
    fn payouts_are_the_ledger() {
        let item = |n: u8, total: u64| PayoutItem { account: Address::repeat_byte(n), cumulative: U256::from(total) };
        let items = [item(1, 5), item(2, 6)];
        assert_eq!(compare_payout(&items, &items), Ok(()));
        let wrong = compare_payout(&[item(1, 5), item(2, 7)], &items).unwrap_err();
        assert_eq!(wrong.account, Some(Address::repeat_byte(2)));
        assert!(compare_payout(&items[..1], &items).is_err());
        let root = PayoutTree::new(&items).root();
        assert_eq!(check_payout_root(&items, root), Ok(()));
        assert!(check_payout_root(&items[1..], root).is_err());
    }
}
