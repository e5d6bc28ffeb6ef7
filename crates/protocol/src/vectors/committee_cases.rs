//! Who of many members may serve in a round.

use alloy_primitives::{Address, B256, keccak256};

use super::Object;
use super::fields::{many, object, one, text, texts};
use crate::Sample;

pub(super) fn run(vector: &Object) -> Result<Object, String> {
    let accounts: Vec<Address> = many(vector, "accounts");
    let sample =
        Sample::of(one(vector, "members"), one(vector, "beacon"), one(vector, "federation"), one(vector, "round"));
    let drawn = |account: &&Address| sample.is_none_or(|sample| sample.drawn(**account));
    Ok(object([("drawn", texts(accounts.iter().filter(drawn)))]))
}

/// The accounts that are asked about are some of the members.
fn case(beacon: B256, round: u64, members: usize) -> Object {
    let account = |n: u8| Address::from_word(keccak256([n]));
    object([
        ("beacon", text(beacon)),
        ("federation", text(7)),
        ("round", text(round)),
        ("members", text(members)),
        ("accounts", texts((0..32).map(account))),
    ])
}

pub(super) fn cases() -> Vec<(&'static str, Object)> {
    vec![
        ("everybody", case(B256::ZERO, 1, 64)),
        ("one_too_many", case(B256::ZERO, 1, 65)),
        ("hundred", case(B256::ZERO, 1, 100)),
        ("next_round", case(B256::ZERO, 2, 100)),
        ("beacon", case(keccak256("beacon"), 250, 100)),
        ("thousand", case(keccak256("beacon"), 250, 1000)),
    ]
}
