//! Who is paid what: steps 6 and 7 of the payment rule, the settle list and the cumulative payout list.
//!
//! Rule `proportional`: a hospital's weight is its quality. Payments are differences of rounded-down prefixes, so
//! they add up to the pot exactly, and each is provable from its neighbour's prefix and its own.

mod claims;
mod settle_tree;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::admit::{Admitted, ValidatorVote};
use crate::types::{AdmitItem, PayoutItem, SettleItem};
use crate::verdict::AdmitVerdict;

pub use claims::{PayoutTree, payout_leaf, verify_claim};
pub use settle_tree::{SettleNode, SettleTree, settle_leaf, verify_settle};

const BASIS_POINTS: u128 = 10_000;

/// `role` of a settle item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Role {
    Hospital = 0,
    Validator = 1,
}

/// What each account of a federation was awarded so far; it only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CumulativeLedger(BTreeMap<Address, u128>);

impl CumulativeLedger {
    /// The ledger that a payout list states.
    pub fn from_payouts(items: &[PayoutItem]) -> Result<Self, Error> {
        let amount = |item: &PayoutItem| u128::try_from(item.cumulative).map_err(|_| Error::Overflow("cumulative"));
        items.iter().map(|item| Ok((item.account, amount(item)?))).collect::<Result<_, _>>().map(Self)
    }

    pub fn of(&self, account: Address) -> u128 {
        self.0.get(&account).copied().unwrap_or(0)
    }

    fn add(&mut self, account: Address, pay: u128) -> Result<u128, Error> {
        let total = self.of(account).checked_add(pay).ok_or(Error::Overflow("cumulative"))?;
        if total > 0 {
            self.0.insert(account, total);
        }
        Ok(total)
    }

    /// The payout list: every account ever paid, by address.
    pub fn payouts(&self) -> Vec<PayoutItem> {
        self.0.iter().map(|(account, total)| PayoutItem { account: *account, cumulative: U256::from(*total) }).collect()
    }
}

/// The money of one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Hospitals of A in address order, then the validators in address order.
    pub items: Vec<SettleItem>,
    /// The pot, or nothing.
    pub total: u128,
    /// After this round.
    pub ledger: CumulativeLedger,
}

impl Settlement {
    pub fn settle_tree(&self) -> Result<SettleTree, Error> {
        SettleTree::new(&self.items)
    }

    pub fn payout_tree(&self) -> PayoutTree {
        PayoutTree::new(&self.ledger.payouts())
    }
}

/// Steps 6 and 7. If no hospital has weight nobody is paid, validators neither: the pot is carried.
pub fn settle(pot: u128, fee_bps: u16, admitted: &Admitted, before: &CumulativeLedger) -> Result<Settlement, Error> {
    if u128::from(fee_bps) > BASIS_POINTS {
        return Err(Error::Overflow("feeBps"));
    }
    let hospitals: Vec<&AdmitItem> = admitted.items.iter().filter(|item| in_valid_set(item)).collect();
    let weights: Vec<U256> = hospitals.iter().map(|item| hospital_weight(item)).collect();
    let fees: Vec<U256> = admitted.votes.iter().map(|row| row.vote.fee_weight).collect();
    let (hospital_pot, fee_pot) = divide_floor(pot, fee_bps, has_weight(&weights), has_weight(&fees));

    let mut book = Book { items: Vec::new(), ledger: before.clone(), total: 0 };
    for (item, share) in hospitals.iter().zip(prefix_split_floor(hospital_pot, &weights)?) {
        book.enter(item.participant, Role::Hospital, item.quality, share)?;
    }
    for (ValidatorVote { validator, vote }, share) in admitted.votes.iter().zip(prefix_split_floor(fee_pot, &fees)?) {
        book.enter(*validator, Role::Validator, vote.agreed, share)?;
    }
    Ok(Settlement { items: book.items, total: book.total, ledger: book.ledger })
}

/// A, after oversize participants left it: U and those below the floor.
fn in_valid_set(item: &AdmitItem) -> bool {
    item.verdict == AdmitVerdict::Admitted.number() || item.verdict == AdmitVerdict::BelowFloor.number()
}

/// Step 6, rule `proportional`; outside U nothing.
fn hospital_weight(item: &AdmitItem) -> U256 {
    if item.verdict == AdmitVerdict::Admitted.number() { U256::from(item.quality) } else { U256::ZERO }
}

fn has_weight(weights: &[U256]) -> bool {
    weights.iter().any(|weight| !weight.is_zero())
}

/// Hospitals' and validators' part of the pot. The fee is rounded down; without a validator to pay it stays with the
/// hospitals, and without a hospital to pay nobody has anything.
fn divide_floor(pot: u128, fee_bps: u16, hospitals: bool, validators: bool) -> (u128, u128) {
    if !hospitals {
        return (0, 0);
    }
    if !validators {
        return (pot, 0);
    }
    // pot·fee_bps / 10^4 without the product, which could exceed 128 bits.
    let fee_bps = u128::from(fee_bps);
    let fee = pot / BASIS_POINTS * fee_bps + pot % BASIS_POINTS * fee_bps / BASIS_POINTS;
    (pot - fee, fee)
}

/// One account's line of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub weight: U256,
    /// `P_i`, this weight included.
    pub prefix: U256,
    pub pay: u128,
}

/// Step 7: `pay_i = ⌊pot·P_i/W⌋ − ⌊pot·P_{i−1}/W⌋`. Pays the pot exactly, or nothing if no weight is positive.
pub fn prefix_split_floor(pot: u128, weights: &[U256]) -> Result<Vec<Share>, Error> {
    let overflow = || Error::Overflow("weight");
    let total = weights.iter().try_fold(U256::ZERO, |sum, weight| sum.checked_add(*weight)).ok_or_else(overflow)?;
    let (mut prefix, mut paid) = (U256::ZERO, 0);
    let mut shares = Vec::with_capacity(weights.len());
    for weight in weights {
        prefix += weight;
        let up_to = match total.is_zero() {
            true => 0,
            false => {
                let product = U256::from(pot).checked_mul(prefix).ok_or_else(overflow)?;
                // At most the pot.
                (product / total).saturating_to::<u128>()
            }
        };
        shares.push(Share { weight: *weight, prefix, pay: up_to - paid });
        paid = up_to;
    }
    Ok(shares)
}

/// What a closed federation still carries, split among the U of the last round that reached `admit`, by class.
pub fn close_split(carried: u128, admitted: &Admitted, before: &CumulativeLedger) -> Result<CumulativeLedger, Error> {
    let set: Vec<&AdmitItem> = admitted.set().collect();
    let classes: Vec<U256> = set.iter().map(|item| U256::from(item.class)).collect();
    let mut ledger = before.clone();
    for (item, share) in set.iter().zip(prefix_split_floor(carried, &classes)?) {
        ledger.add(item.participant, share.pay)?;
    }
    Ok(ledger)
}

struct Book {
    items: Vec<SettleItem>,
    ledger: CumulativeLedger,
    total: u128,
}

impl Book {
    fn enter(&mut self, account: Address, role: Role, quality: u128, share: Share) -> Result<(), Error> {
        let Share { weight, prefix, pay } = share;
        let index = u32::try_from(self.items.len()).map_err(|_| Error::Overflow("settle list"))?;
        let cumulative = self.ledger.add(account, pay)?;
        self.total += pay;
        self.items.push(SettleItem { index, account, role: role as u8, quality, weight, prefix, pay, cumulative });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
