//! Steps 6 and 7, the settle list with its root, and the payout list with its root.
//!
//! `verdicts` and `qualities` are the rows of the admit list in address order; `before` lists every account's
//! cumulative amount before the round. Outputs that start with `settle` are one entry per settle leaf.

use alloy_primitives::{Address, U256};

use super::Object;
use super::fields::{many, object, one, text, texts};
use crate::types::{AdmitItem, PayoutItem};
use crate::{Admitted, CumulativeLedger, Scores, ValidatorVote, Vote, settle};

pub(super) fn run(vector: &Object) -> Result<Object, String> {
    let ledger = CumulativeLedger::from_payouts(&before(vector)).map_err(|error| error.to_string())?;
    let settlement = settle(one(vector, "pot"), one(vector, "feeBps"), &admitted(vector), &ledger)
        .map_err(|error| error.to_string())?;
    let items = &settlement.items;
    let payouts = settlement.ledger.payouts();
    let tree = settlement.settle_tree().map_err(|error| error.to_string())?;
    Ok(object([
        ("total", text(settlement.total)),
        ("settleAccounts", texts(items.iter().map(|item| item.account))),
        ("settleRoles", texts(items.iter().map(|item| item.role))),
        ("settleQualities", texts(items.iter().map(|item| item.quality))),
        ("settleWeights", texts(items.iter().map(|item| item.weight))),
        ("settlePrefixes", texts(items.iter().map(|item| item.prefix))),
        ("settlePays", texts(items.iter().map(|item| item.pay))),
        ("settleCumulatives", texts(items.iter().map(|item| item.cumulative))),
        ("settleRoot", text(tree.root())),
        ("payoutAccounts", texts(payouts.iter().map(|item| item.account))),
        ("payoutCumulatives", texts(payouts.iter().map(|item| item.cumulative))),
        ("payoutRoot", text(settlement.payout_tree().root())),
    ]))
}

fn before(vector: &Object) -> Vec<PayoutItem> {
    let (accounts, amounts) = (many::<Address>(vector, "beforeAccounts"), many::<U256>(vector, "beforeCumulatives"));
    accounts.into_iter().zip(amounts).map(|(account, cumulative)| PayoutItem { account, cumulative }).collect()
}

fn admitted(vector: &Object) -> Admitted {
    let hospitals: Vec<Address> = many(vector, "hospitals");
    let (verdicts, qualities) = (many::<u8>(vector, "verdicts"), many::<u128>(vector, "qualities"));
    let item = |((participant, verdict), quality)| AdmitItem { participant, verdict, class: 1, quality };
    let validators: Vec<Address> = many(vector, "validators");
    let (agreed, fees) = (many::<u128>(vector, "agreed"), many::<U256>(vector, "feeWeights"));
    let vote = |((validator, agreed), fee_weight)| ValidatorVote { validator, vote: Vote { agreed, fee_weight } };
    Admitted {
        items: hospitals.into_iter().zip(verdicts).zip(qualities).map(item).collect(),
        votes: validators.into_iter().zip(agreed).zip(fees).map(vote).collect(),
        scores: Scores::Valid,
    }
}

struct Case {
    pot: u128,
    fee_bps: u16,
    rows: Vec<(u8, u128)>,
    votes: Vec<(u128, u128)>,
    before: Vec<(u8, U256)>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            pot: 1_000_000_000_000_000_000_000,
            fee_bps: 1000,
            rows: vec![(0, 1_932_735_283), (0, 8_589_934), (0, 1_503_238_553), (0, 850_403_525)],
            votes: vec![(4_294_967_295, 4_294_967_295), (4_000_000_000, 4_000_000_000), (3_999_999_999, 3_999_999_999)],
            before: vec![],
        }
    }
}

fn hospital(n: usize) -> Address {
    Address::repeat_byte(0x10 + n as u8)
}

fn validator(n: usize) -> Address {
    Address::repeat_byte(0xa0 + n as u8)
}

impl Case {
    fn object(self) -> Object {
        object([
            ("pot", text(self.pot)),
            ("feeBps", text(self.fee_bps)),
            ("hospitals", texts((0..self.rows.len()).map(hospital))),
            ("verdicts", texts(self.rows.iter().map(|row| row.0))),
            ("qualities", texts(self.rows.iter().map(|row| row.1))),
            ("validators", texts((0..self.votes.len()).map(validator))),
            ("agreed", texts(self.votes.iter().map(|vote| vote.0))),
            ("feeWeights", texts(self.votes.iter().map(|vote| vote.1))),
            ("beforeAccounts", texts(self.before.iter().map(|row| Address::repeat_byte(row.0)))),
            ("beforeCumulatives", texts(self.before.iter().map(|row| row.1))),
        ])
    }
}

pub(super) fn cases() -> Vec<(&'static str, Object)> {
    let case = Case::default;
    let full = u128::from(crate::FULL_QUALITY);
    vec![
        ("demo_round", case().object()),
        (
            "second_round",
            Case { before: vec![(0x10, U256::from(7)), (0x33, U256::from(9)), (0xa1, U256::from(5))], ..case() }
                .object(),
        ),
        ("one_unit", Case { pot: 1, ..case() }.object()),
        ("remainders", Case { pot: 10, fee_bps: 0, rows: vec![(0, 1); 3], ..case() }.object()),
        (
            "below_the_floor",
            Case { rows: vec![(0, 3), (4, 2), (0, 1), (1, 0), (2, 0), (3, 0), (0, 0)], ..case() }.object(),
        ),
        ("nobody", Case { rows: vec![(0, 0); 4], before: vec![(0x10, U256::from(7))], ..case() }.object()),
        ("nobody_ever", Case { rows: vec![(0, 0); 4], ..case() }.object()),
        ("no_validator_weight", Case { votes: vec![(0, 0); 3], ..case() }.object()),
        ("no_validators", Case { votes: vec![], ..case() }.object()),
        ("all_to_validators", Case { fee_bps: 10_000, ..case() }.object()),
        ("one_hospital", Case { rows: vec![(0, full)], votes: vec![(full, full)], ..case() }.object()),
        (
            "largest",
            Case {
                pot: u128::MAX,
                rows: vec![(0, full), (0, full - 1)],
                votes: vec![(full, (1 << 127) - 1), (full, 1 << 127)],
                ..case()
            }
            .object(),
        ),
        ("bad_fee", Case { fee_bps: 10_001, ..case() }.object()),
        ("bad_cumulative", Case { before: vec![(0x10, U256::from(u128::MAX))], ..case() }.object()),
        ("bad_before", Case { before: vec![(0x10, U256::MAX)], ..case() }.object()),
    ]
}
