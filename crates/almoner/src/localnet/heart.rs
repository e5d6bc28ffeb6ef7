//! The four UCI heart-disease hospitals (`almoner demo --data DIR`).
//!
//! `DIR` holds `processed.{cleveland,hungarian,switzerland,va}.data` as UCI publishes them and
//! `split_seed43.csv` (`centre,line,set`), which says for every usable line of them (from 0) whether
//! it is for training or for testing. Columns 10, 11 and 12 are dropped, then rows with a value
//! missing; columns 2 (chest pain) and 6 (resting ECG) become one column per level but the first.
//! Label 1 = disease of any grade. Nothing is standardised here: every holder does that itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use almoner_model::{Dataset, ModelError};
use thiserror::Error;

/// The hospitals, in the order in which every table lists them.
pub const CENTRES: [&str; 4] = ["cleveland", "hungarian", "switzerland", "va"];

/// The features, in the order of a row.
pub const FEATURES: [&str; 13] = [
    "age",
    "sex",
    "trestbps",
    "chol",
    "fbs",
    "thalach",
    "exang",
    "oldpeak",
    "cp_2",
    "cp_3",
    "cp_4",
    "restecg_1",
    "restecg_2",
];

/// UCI's files have 7 to 19 KB; a larger one is not one of them.
const MAX_BYTES: u64 = 1 << 20;
const COLUMNS: usize = 14;
/// Columns that become features unchanged.
const PLAIN: [usize; 8] = [0, 1, 3, 4, 5, 7, 8, 9];
/// Columns that become indicators, with the levels that get one.
const LEVELS: [(usize, &[f32]); 2] = [(2, &[2.0, 3.0, 4.0]), (6, &[1.0, 2.0])];
/// All columns in use; a missing value elsewhere does not matter.
const USED: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// One hospital's rows, not standardised.
#[derive(Debug, Clone)]
pub struct Centre {
    /// One of [`CENTRES`].
    pub name: &'static str,
    /// Rows it trains on.
    pub train: Dataset,
    /// Rows it keeps for testing.
    pub test: Dataset,
}

/// Why the directory is not the four hospitals. Lines count from 1, as editors do.
#[derive(Debug, Error)]
pub enum HeartError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is far larger than the data set.
    #[error("{}: larger than {MAX_BYTES} bytes; this is not a UCI heart file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is not what the format says.
    #[error("{} line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The split file does not name every usable line once.
    #[error("{}: names no set for line {line} of centre {centre}", path.display())]
    NotInSplit {
        /// The split file.
        path: PathBuf,
        /// The hospital.
        centre: &'static str,
        /// From 0, as in the split file.
        line: usize,
    },
    /// Rows do not make a data set.
    #[error("centre {centre}: {source}")]
    Rows {
        /// The hospital.
        centre: &'static str,
        /// Why.
        source: ModelError,
    },
}

/// Whether the directory looks like these hospitals, so that a demo can say so early.
pub fn is_heart_dir(dir: &Path) -> bool {
    CENTRES.iter().all(|centre| data_path(dir, centre).is_file())
}

/// Reads all four hospitals.
pub fn load(dir: &Path) -> Result<Vec<Centre>, HeartError> {
    let path = dir.join("split_seed43.csv");
    let split = parse_split(&path, &read(&path)?)?;
    CENTRES.iter().map(|name| load_centre(dir, name, &path, &split)).collect()
}

/// Training and test rows of all hospitals one after the other.
pub fn pooled(centres: &[Centre]) -> Result<(Dataset, Dataset), ModelError> {
    let train: Vec<&Dataset> = centres.iter().map(|c| &c.train).collect();
    let test: Vec<&Dataset> = centres.iter().map(|c| &c.test).collect();
    Ok((Dataset::concat(&train)?, Dataset::concat(&test)?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Train,
    Test,
}

type Split = BTreeMap<(String, usize), Set>;

fn load_centre(dir: &Path, name: &'static str, split_path: &Path, split: &Split) -> Result<Centre, HeartError> {
    let path = data_path(dir, name);
    let (mut train, mut test) = (Rows::default(), Rows::default());
    for (line, text) in read(&path)?.lines().enumerate() {
        let row = parse_row(text).map_err(|reason| HeartError::Line { path: path.clone(), line: line + 1, reason })?;
        let Some((features, label)) = row else { continue };
        let missing = || HeartError::NotInSplit { path: split_path.into(), centre: name, line };
        let rows = match split.get(&(name.to_owned(), line)).ok_or_else(missing)? {
            Set::Train => &mut train,
            Set::Test => &mut test,
        };
        rows.x.extend(features);
        rows.y.push(label);
    }
    let build = |rows: Rows| {
        Dataset::new(FEATURES.len(), rows.x, rows.y).map_err(|source| HeartError::Rows { centre: name, source })
    };
    Ok(Centre { name, train: build(train)?, test: build(test)? })
}

#[derive(Default)]
struct Rows {
    x: Vec<f32>,
    y: Vec<f32>,
}

/// Features and label, or nothing where a value is missing.
fn parse_row(text: &str) -> Result<Option<(Vec<f32>, f32)>, &'static str> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    if fields.len() != COLUMNS {
        return Err("expected 14 columns");
    }
    if fields[COLUMNS - 1] == "?" || USED.iter().any(|&c| fields[c] == "?") {
        return Ok(None);
    }
    let mut features = Vec::with_capacity(FEATURES.len());
    for column in PLAIN {
        features.push(number(fields[column])?);
    }
    for (column, levels) in LEVELS {
        let level = number(fields[column])?;
        features.extend(levels.iter().map(|&l| if l == level { 1.0 } else { 0.0 }));
    }
    let label = if number(fields[COLUMNS - 1])? == 0.0 { 0.0 } else { 1.0 };
    Ok(Some((features, label)))
}

fn number(field: &str) -> Result<f32, &'static str> {
    let value: f32 = field.parse().map_err(|_| "expected numbers or '?'")?;
    if value.is_finite() { Ok(value) } else { Err("a value is not finite") }
}

fn parse_split(path: &Path, text: &str) -> Result<Split, HeartError> {
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

fn data_path(dir: &Path, centre: &str) -> PathBuf {
    dir.join(format!("processed.{centre}.data"))
}

fn read(path: &Path) -> Result<String, HeartError> {
    let fail = |source| HeartError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(fail)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(HeartError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}
