//! The four UCI heart-disease hospitals (`almoner demo --data DIR`).
//!
//! `DIR` holds `processed.{cleveland,hungarian,switzerland,va}.data` as UCI publishes them and
//! `split_seed43.csv` (`centre,line,set`), which says for every usable line of them (from 0) whether
//! it is for training or for testing. Columns 10, 11 and 12 are dropped, then rows with a value
//! missing; columns 2 (chest pain) and 6 (resting ECG) become one column per level but the first.
//! Label 1 = disease of any grade. Nothing is standardised here: every holder does that itself.

mod error;
mod split;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use almoner_model::{Dataset, ModelError};

pub use error::HeartError;
use split::{Set, Split};

/// The file beside the hospitals' own.
pub const SPLIT_FILE: &str = "split_seed43.csv";

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
/// The columns, as UCI names them.
const COLUMNS: [&str; 14] = [
    "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal",
    "num",
];
/// Grade of disease.
const LABEL: usize = 13;
const GRADES: &[f32] = &[0.0, 1.0, 2.0, 3.0, 4.0];
/// Columns that become features unchanged.
const PLAIN: [usize; 8] = [0, 1, 3, 4, 5, 7, 8, 9];
/// Columns that become indicators, with their levels; the first level gets none.
const LEVELS: [(usize, &[f32]); 2] = [(2, &[1.0, 2.0, 3.0, 4.0]), (6, &[0.0, 1.0, 2.0])];
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

/// Whether the directory looks like these hospitals, so that a demo can say so early.
pub fn is_heart_dir(dir: &Path) -> bool {
    CENTRES.iter().all(|centre| data_path(dir, centre).is_file()) && dir.join(SPLIT_FILE).is_file()
}

/// Reads all four hospitals.
pub fn load(dir: &Path) -> Result<Vec<Centre>, HeartError> {
    let path = dir.join(SPLIT_FILE);
    let mut split = split::parse(&path, &read(&path)?)?;
    let centres = CENTRES.iter().map(|name| load_centre(dir, name, &path, &mut split)).collect::<Result<_, _>>()?;
    match split.pop_first() {
        // Every usable line has taken its entry out.
        Some(((centre, line), _)) => Err(HeartError::NotInData { path, centre, line }),
        None => Ok(centres),
    }
}

/// Training and test rows of all hospitals one after the other.
pub fn pooled(centres: &[Centre]) -> Result<(Dataset, Dataset), ModelError> {
    let train: Vec<&Dataset> = centres.iter().map(|c| &c.train).collect();
    let test: Vec<&Dataset> = centres.iter().map(|c| &c.test).collect();
    Ok((Dataset::concat(&train)?, Dataset::concat(&test)?))
}

fn load_centre(dir: &Path, name: &'static str, split_path: &Path, split: &mut Split) -> Result<Centre, HeartError> {
    let path = data_path(dir, name);
    let (mut train, mut test) = (Rows::default(), Rows::default());
    for (line, text) in read(&path)?.lines().enumerate() {
        let row = parse_row(text).map_err(|wrong| match wrong {
            Wrong::Columns => HeartError::Line { path: path.clone(), line: line + 1, reason: "expected 14 columns" },
            Wrong::Field(column, reason) => {
                HeartError::Field { path: path.clone(), line: line + 1, column: COLUMNS[column], reason }
            }
        })?;
        let Some((features, label)) = row else { continue };
        let missing = || HeartError::NotInSplit { path: split_path.into(), centre: name, line };
        let rows = match split.remove(&(name.to_owned(), line)).ok_or_else(missing)? {
            Set::Train => &mut train,
            Set::Test => &mut test,
        };
        rows.x.extend(features);
        rows.y.push(label);
    }
    if train.y.is_empty() && test.y.is_empty() {
        return Err(HeartError::Empty { path });
    }
    let build = |rows: Rows, set| {
        if rows.y.is_empty() {
            return Err(HeartError::NoRows { path: split_path.into(), centre: name, set });
        }
        let data = Dataset::new(FEATURES.len(), rows.x, rows.y);
        data.map_err(|source| HeartError::Rows { path: path.clone(), centre: name, source })
    };
    Ok(Centre { name, train: build(train, "train")?, test: build(test, "test")? })
}

#[derive(Default)]
struct Rows {
    x: Vec<f32>,
    y: Vec<f32>,
}

/// What is wrong with a line: its length, or one of its columns.
enum Wrong {
    Columns,
    Field(usize, &'static str),
}

/// Features and label, or nothing where a value is missing.
fn parse_row(text: &str) -> Result<Option<(Vec<f32>, f32)>, Wrong> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    if fields.len() != COLUMNS.len() {
        return Err(Wrong::Columns);
    }
    if fields[LABEL] == "?" || USED.iter().any(|&c| fields[c] == "?") {
        return Ok(None);
    }
    let mut features = Vec::with_capacity(FEATURES.len());
    for column in PLAIN {
        features.push(number(column, fields[column])?);
    }
    for (column, levels) in LEVELS {
        let level = one_of(column, fields[column], levels, "not one of the levels UCI describes")?;
        features.extend(levels[1..].iter().map(|&l| if l == level { 1.0 } else { 0.0 }));
    }
    let grade = one_of(LABEL, fields[LABEL], GRADES, "the label must be a grade from 0 to 4")?;
    Ok(Some((features, if grade == 0.0 { 0.0 } else { 1.0 })))
}

fn number(column: usize, field: &str) -> Result<f32, Wrong> {
    let value: f32 = field.parse().map_err(|_| Wrong::Field(column, "expected a number or '?'"))?;
    if value.is_finite() { Ok(value) } else { Err(Wrong::Field(column, "not a finite number")) }
}

fn one_of(column: usize, field: &str, levels: &[f32], reason: &'static str) -> Result<f32, Wrong> {
    let value = number(column, field)?;
    if levels.contains(&value) { Ok(value) } else { Err(Wrong::Field(column, reason)) }
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
        return Err(HeartError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    Ok(text)
}
