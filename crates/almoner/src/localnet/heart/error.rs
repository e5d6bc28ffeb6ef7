use std::io;
use std::path::PathBuf;

use almoner_model::ModelError;
use thiserror::Error;

/// Why the directory is not the four hospitals. Lines count from 1, as editors do; no value is shown, it is a patient's.
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
    #[error("{}: larger than {limit} bytes; this is not a UCI heart file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// A file without a row that can be used.
    #[error("{}: no row without a missing value; is it the file that UCI publishes?", path.display())]
    Empty {
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
    /// A field is not what its column holds.
    #[error("{} line {line}, column '{column}': {reason}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The column's name in UCI's description.
        column: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The split file does not name a usable line.
    #[error("{}: names no set for line {line} of centre {centre} (counted from 0)", path.display())]
    NotInSplit {
        /// The split file.
        path: PathBuf,
        /// The hospital.
        centre: &'static str,
        /// From 0, as in the split file.
        line: usize,
    },
    /// The split file names a line that is not there, or has a value missing.
    #[error("{}: names line {line} of centre {centre} (counted from 0), which has no usable row", path.display())]
    NotInData {
        /// The split file.
        path: PathBuf,
        /// The hospital, as the file writes it.
        centre: String,
        /// From 0.
        line: usize,
    },
    /// The split file leaves a hospital without rows of one kind.
    #[error("{}: leaves centre {centre} without {set} rows", path.display())]
    NoRows {
        /// The split file.
        path: PathBuf,
        /// The hospital.
        centre: &'static str,
        /// `train` or `test`.
        set: &'static str,
    },
    /// Too few test rows for three validators and the harness.
    #[error("{}: leaves {have} test rows, at least {need} are needed", path.display())]
    TooFewTestRows {
        /// The split file.
        path: PathBuf,
        /// What it leaves.
        have: usize,
        /// What validators and harness need together.
        need: usize,
    },
    /// Rows do not make a data set.
    #[error("{}, centre {centre}: {source}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// The hospital.
        centre: &'static str,
        /// Why.
        source: ModelError,
    },
}
