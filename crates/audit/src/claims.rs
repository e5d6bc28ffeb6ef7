//! Claims: every account was paid what a final ledger says, once, and all of them no more than was credited.

use std::collections::BTreeMap;

use almoner_chain::{ClaimRecord, PotChange, PotRecord};
use almoner_protocol::{Address, B256, CumulativeLedger, U256, close_split};

use crate::history::{FinalLedger, History, unknown};
use crate::round::check_payout_root;
use crate::tally::{Checked, Place, Tally, Wrong, ensure};
use crate::{ChainFacts, Kind};

/// What concerns the federation as a whole, after its rounds.
pub(crate) fn check_money(facts: &ChainFacts, history: &History, tally: &mut Tally) {
    let mut ledgers = history.final_ledgers.clone();
    let carry = carried(&facts.pots);
    if facts.federation.closed && carry > 0 {
        let closing = closing_ledger(carry, history);
        // Any time will do: the event says nothing of when claims became possible.
        let ledger = tally.check(Kind::Payout, Place::none(), closing).map_or_else(unknown, Ok);
        ledgers.push(FinalLedger { time: 0, amount: carry, ledger });
    }
    tally.check(Kind::Payout, Place::none(), check_credit(facts.credited, facts.payout_root, &ledgers));
    let mut book = Book { ledgers: &ledgers, claimed: BTreeMap::new(), paid: 0 };
    for claim in &facts.claims {
        let outcome = book.enter(claim);
        tally.check(Kind::Claim, Place::none().of(claim.account), outcome);
    }
}

/// What final rounds that paid nobody, and rounds void after `admit`, left for later ones.
fn carried(pots: &[PotRecord]) -> u128 {
    pots.iter().fold(0, |carry: u128, pot| match pot.change {
        PotChange::Reserved { from_carry, .. } => carry.saturating_sub(from_carry),
        PotChange::Released { to_carry, .. } => carry.saturating_add(to_carry),
        PotChange::Carried { amount } => carry.saturating_add(amount),
        PotChange::Paid { .. } => carry,
    })
}

/// At `close` the carry is split among the last admitted set.
fn closing_ledger(carry: u128, history: &History) -> Checked<CumulativeLedger> {
    let nobody = || Err(Wrong::new("money is carried, but no set was ever admitted"));
    let admitted = history.last_admitted.clone().unwrap_or_else(nobody)?;
    Ok(close_split(carry, &admitted, &history.ledger.clone()?)?)
}

/// `Payouts` was given what the final rounds paid, under the root of the last of them.
fn check_credit(credited: U256, root: B256, ledgers: &[FinalLedger]) -> Checked<()> {
    let total = ledgers.iter().fold(U256::ZERO, |sum, ledger| sum + U256::from(ledger.amount));
    ensure(credited == total, || Wrong::new(format!("{credited} were credited, final rounds paid {total}")))?;
    match ledgers.last() {
        Some(last) => check_payout_root(&last.ledger.clone()?.payouts(), root),
        None => ensure(root.is_zero(), || Wrong::new("people may claim although no round paid")),
    }
}

/// Claims so far.
struct Book<'a> {
    ledgers: &'a [FinalLedger],
    claimed: BTreeMap<Address, u128>,
    paid: u128,
}

impl Book<'_> {
    fn enter(&mut self, claim: &ClaimRecord) -> Checked<()> {
        let before = self.claimed.insert(claim.account, claim.cumulative).unwrap_or(0);
        self.paid = self.paid.saturating_add(claim.paid);
        let final_then = || self.ledgers.iter().filter(|ledger| ledger.time <= claim.time);
        ensure(before.checked_add(claim.paid) == Some(claim.cumulative), || {
            Wrong::new(format!("it had {before} and was paid {}, which is not {}", claim.paid, claim.cumulative))
        })?;
        let credited = final_then().fold(0, |sum: u128, ledger| sum.saturating_add(ledger.amount));
        ensure(self.paid <= credited, || {
            Wrong::new(format!("{} were paid by then, {credited} had been credited", self.paid))
        })?;
        let known = || final_then().filter_map(|ledger| ledger.ledger.as_ref().ok());
        if known().any(|ledger| ledger.of(claim.account) == claim.cumulative) {
            return Ok(());
        }
        match final_then().any(|ledger| ledger.ledger.is_err()) {
            true => unknown(),
            false => Err(Wrong::new(format!("no final root had {} for it", claim.cumulative))),
        }
    }
}

#[cfg(test)]
mod tests {
    use almoner_protocol::PayoutTree;
    use almoner_protocol::types::PayoutItem;

    use super::*;

    fn account(n: u8) -> Address {
        Address::repeat_byte(n)
    }

    fn ledger(time: u64, amount: u128, totals: &[(u8, u64)]) -> FinalLedger {
        let item = |(n, total): &(u8, u64)| PayoutItem { account: account(*n), cumulative: U256::from(*total) };
        let items: Vec<PayoutItem> = totals.iter().map(item).collect();
        FinalLedger { time, amount, ledger: Ok(CumulativeLedger::from_payouts(&items).unwrap()) }
    }

    fn claim(n: u8, time: u64, cumulative: u128, paid: u128) -> ClaimRecord {
        let (block, log_index) = (0, 0);
        ClaimRecord { account: account(n), cumulative, paid, time, block, tx: B256::ZERO, log_index }
    }

    #[test]
    fn claims_are_of_final_ledgers_and_once() {
        let ledgers = [ledger(10, 100, &[(1, 60), (2, 40)]), ledger(20, 100, &[(1, 120), (2, 80)])];
        let mut book = Book { ledgers: &ledgers, claimed: BTreeMap::new(), paid: 0 };
        assert_eq!(book.enter(&claim(1, 15, 60, 60)), Ok(()));
        assert!(book.enter(&claim(2, 5, 40, 40)).is_err());
        let mut book = Book { ledgers: &ledgers, claimed: BTreeMap::new(), paid: 0 };
        // Skips the first round, as claims may.
        assert_eq!(book.enter(&claim(2, 25, 80, 80)), Ok(()));
        assert_eq!(book.enter(&claim(1, 25, 60, 60)), Ok(()));
        assert_eq!(book.enter(&claim(1, 30, 120, 60)), Ok(()));
        assert!(book.enter(&claim(1, 31, 120, 60)).is_err());
        assert!(book.enter(&claim(2, 31, 81, 1)).is_err());
    }

    #[test]
    fn what_is_due_by_a_ledger_that_nobody_knows_is_neither_right_nor_wrong() {
        let ledgers = [ledger(10, 100, &[(1, 60), (2, 40)]), FinalLedger { time: 20, amount: 100, ledger: unknown() }];
        let mut book = Book { ledgers: &ledgers, claimed: BTreeMap::new(), paid: 0 };
        assert_eq!(book.enter(&claim(1, 25, 60, 60)), Ok(()));
        assert_eq!(book.enter(&claim(2, 25, 90, 90)), unknown());
        // It was not there yet, or even all that was credited is less.
        let too_early = book.enter(&claim(3, 15, 5, 5)).unwrap_err();
        assert!(too_early.text.contains("were paid by then"), "{too_early:?}");
        let mut book = Book { ledgers: &ledgers, claimed: BTreeMap::new(), paid: 0 };
        assert_ne!(book.enter(&claim(2, 15, 41, 41)), unknown());
        assert_ne!(book.enter(&claim(2, 25, 300, 259)), unknown());
        assert_eq!(check_credit(U256::from(200), B256::repeat_byte(1), &ledgers), unknown());
        assert_ne!(check_credit(U256::from(201), B256::repeat_byte(1), &ledgers), unknown());
    }

    #[test]
    fn credit_is_what_rounds_paid() {
        let ledgers = [ledger(10, 100, &[(1, 60), (2, 40)])];
        let root = PayoutTree::new(&ledgers[0].ledger.as_ref().unwrap().payouts()).root();
        assert_eq!(check_credit(U256::from(100), root, &ledgers), Ok(()));
        assert!(check_credit(U256::from(101), root, &ledgers).is_err());
        assert!(check_credit(U256::from(100), B256::ZERO, &ledgers).is_err());
        assert_eq!(check_credit(U256::ZERO, B256::ZERO, &[]), Ok(()));
        assert!(check_credit(U256::ZERO, root, &[]).is_err());
    }

    #[test]
    fn the_carry_is_what_was_left() {
        let pot = |change| PotRecord { round: 1, change, time: 0, tx: B256::ZERO };
        let reserved = PotChange::Reserved { from_free: 70, from_carry: 30 };
        let moves = [
            pot(PotChange::Carried { amount: 100 }),
            pot(reserved),
            pot(PotChange::Released { to_free: 70, to_carry: 30 }),
            pot(reserved),
        ];
        assert_eq!(carried(&moves), 70);
    }
}
