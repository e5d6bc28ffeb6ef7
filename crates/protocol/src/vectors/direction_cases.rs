//! Directions as they travel, read and written again: two entries a byte. The `bad_…` ones are what members, coordinator
//! and auditor refuse. No contract reads them.

use alloy_primitives::Bytes;

use super::Object;
use super::fields::{object, one, text, texts};
use crate::{check_direction, pack_direction, unpack_direction};

pub(super) fn run(vector: &Object) -> Result<Object, String> {
    let (parameters, packed): (u32, Bytes) = (one(vector, "parameters"), one(vector, "packed"));
    let refused = |error: crate::Error| error.to_string();
    let entries = unpack_direction(&packed, parameters).map_err(refused)?;
    let norm_squared = check_direction(&entries, parameters).map_err(refused)?;
    Ok(object([
        ("packed", text(pack_direction(&entries))),
        ("entries", texts(entries)),
        ("normSquared", text(norm_squared)),
    ]))
}

fn case(parameters: u32, packed: impl Into<Bytes>) -> Object {
    object([("parameters", text(parameters)), ("packed", text(packed.into()))])
}

/// Every entry there may be, each some thirteen times, and four zeros behind each.
fn graded() -> Vec<i8> {
    let entry = |j: i8| j % 15 - 7;
    let entries = (0..=100).chain(0..=99).flat_map(|j| [entry(j), 0, 0, 0, 0]);
    entries.take(1001).collect()
}

fn with(mut entries: Vec<i8>, at: usize, entry: i8) -> Bytes {
    entries[at] = entry;
    pack_direction(&entries)
}

pub(super) fn cases() -> Vec<(&'static str, Object)> {
    vec![
        ("signs_odd", case(5, [0xf1, 0x10, 0x0f])),
        ("signs_even", case(14, pack_direction(&[1, -1, 0, 1, 0, 0, -1, 0, 1, 1, 0, -1, -1, 0]))),
        ("graded", case(1001, pack_direction(&graded()))),
        ("bad_short", case(5, [0xf1, 0x10])),
        ("bad_long", case(5, [0xf1, 0x10, 0x0f, 0])),
        ("bad_behind_the_last", case(5, [0xf1, 0x10, 0x1f])),
        ("bad_no_sign", case(5, [0xf2, 0x10, 0x0f])),
        ("bad_minus_eight", case(1001, with(graded(), 1, -8))),
        ("bad_all_zero", case(5, [0; 3])),
        ("bad_norm", case(1001, pack_direction(&[7; 1001]))),
        ("bad_narrow", case(5, [0x01, 0, 0])),
    ]
}
