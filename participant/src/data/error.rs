use std::io;
use std::path::PathBuf;

use almoner_model::ModelError;
use thiserror::Error;

/// Why a file of rows cannot be used. Lines count from 1, as editors do.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is longer than the limit.
    #[error("{}: longer than {limit} bytes; raise the limit or split the file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// More rows than the limit.
    #[error("{} line {line}: more than {limit} rows; raise the limit or split the file", path.display())]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The first line too many.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// More columns than the limit.
    #[error("{}: {got} columns, at most {limit} are read", path.display())]
    TooManyColumns {
        /// The file.
        path: PathBuf,
        /// Columns found or named.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// No rows at all.
    #[error("{}: no rows", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line has more or fewer columns than the first.
    #[error("{} line {line}: expected {expected} columns, found {got}", path.display())]
    WrongColumns {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// Columns of the header, or columns named.
        expected: usize,
        /// Columns of this line.
        got: usize,
    },
    /// The header is not text, or a name is empty.
    #[error("{}: column {column} has no readable name", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// From 1.
        column: usize,
    },
    /// Two columns with one name.
    #[error("{}: two columns are called '{column}'", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// The label or a feature asked for is not in the file.
    // What is in the first line is not shown: it may be no header but a patient.
    #[error("{}: no column '{column}' among the {found} that its first line names, separated by commas", path.display())]
    UnknownColumn {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        column: String,
        /// Columns that there are.
        found: usize,
    },
    /// The label was asked for as a feature too, or there is nothing but the label.
    #[error("{}: column '{column}' is the label and cannot be a feature; name the features", path.display())]
    LabelAsFeature {
        /// The file.
        path: PathBuf,
        /// The label.
        column: String,
    },
    /// An empty field, `?` or `NA`.
    #[error("{} line {line}, column '{column}': no value; drop the line or fill it in", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: String,
    },
    /// Text where a number should be.
    #[error("{} line {line}, column '{column}': not a number", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: String,
    },
    /// NaN, infinite, or beyond single precision.
    #[error("{} line {line}, column '{column}': not a finite number", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: String,
    },
    /// A label outside the range of the federation file.
    #[error("{} line {line}, column '{column}': the label must lie in {least} to {largest}", path.display())]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: String,
        /// The range's start.
        least: f64,
        /// The range's end.
        largest: f64,
    },
    /// The model of the federation takes another number of features.
    #[error("{}: {got} features, the federation's model takes {expected}; name the features to use", path.display())]
    Features {
        /// The file.
        path: PathBuf,
        /// What the model takes.
        expected: usize,
        /// What was read.
        got: usize,
    },
    /// The rows were read but cannot be used.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: ModelError,
    },
}
