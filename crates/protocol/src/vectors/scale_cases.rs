//! Scales of a round.

use super::Object;
use super::fields::{many, object, one, text, texts};
use crate::Scale;

pub(super) fn run(vector: &Object) -> Result<Object, String> {
    let classes: Vec<u16> = many(vector, "classes");
    let scale = Scale::derive(one(vector, "parameters"), one(vector, "clip"), one(vector, "fracBits"), &classes)
        .map_err(|error| error.to_string())?;
    Ok(object([
        ("delta", text(scale.delta)),
        ("updateBits", text(scale.update_bits)),
        ("clipUnits", text(scale.clip)),
        ("updateMax", text(scale.update_max)),
        ("directionNorm", text(scale.direction_norm)),
    ]))
}

fn case(parameters: u32, clip: &str, classes: &[u16]) -> Object {
    object([
        ("parameters", text(parameters)),
        ("clip", text(clip)),
        ("fracBits", text(24)),
        ("classes", texts(classes)),
    ])
}

pub(super) fn cases() -> Vec<(&'static str, Object)> {
    vec![
        ("heart", case(14, "0.25", &[199, 172, 30, 85])),
        ("heart_clip_1", case(14, "1", &[199, 172, 30, 85])),
        ("demo", case(513, "1", &[127, 96, 64, 32])),
        ("million", case(1_000_000, "1", &[255; 10])),
        ("ten_million", case(10_000_000, "1", &[255; 10])),
        ("last_signs", case(1000, "1", &[1, 1, 1])),
        ("first_grades", case(1001, "0.1", &[1, 1, 1])),
        ("heavy_weights", case(513, "1", &[255; 257])),
        ("bad_weights", case(513, "1", &[255; 258])),
        ("bad_class", case(513, "1", &[0, 1, 1])),
        ("bad_no_members", case(513, "1", &[])),
        ("bad_clip_zero", case(513, "0", &[1, 1, 1])),
        ("bad_clip_range", case(513, "1000000", &[1, 1, 1])),
        ("bad_no_parameters", case(0, "1", &[1, 1, 1])),
    ]
}
