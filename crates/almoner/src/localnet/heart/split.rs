//! `split_seed43.csv`: which usable line of which hospital is for what.

use std::collections::BTreeMap;
use std::path::Path;

use super::{CENTRES, HeartError};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Train,
    Test,
}

/// By centre and line, from 0.
pub(super) type Split = BTreeMap<(String, usize), Set>;

pub(super) fn parse(path: &Path, text: &str) -> Result<Split, HeartError> {
    let mut split = Split::new();
    for (at, line) in text.lines().enumerate() {
        let fail = |reason| HeartError::Line { path: path.to_owned(), line: at + 1, reason };
        if at == 0 {
            if line.trim() != "centre,line,set" {
                return Err(fail("expected the header centre,line,set"));
            }
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let &[centre, number, set] = fields.as_slice() else {
            return Err(fail("expected 3 columns"));
        };
        if !CENTRES.contains(&centre) {
            return Err(fail("the centre must be cleveland, hungarian, switzerland or va"));
        }
        let set = match set {
            "train" => Set::Train,
            "test" => Set::Test,
            _ => return Err(fail("the set must be 'train' or 'test'")),
        };
        let number = number.parse().map_err(|_| fail("expected a line number"))?;
        if split.insert((centre.to_owned(), number), set).is_some() {
            return Err(fail("this line was named before"));
        }
    }
    Ok(split)
}
