//! A hospital's own rows: read here, standardised here, and nowhere else.
//!
//! Everything is bounded before it is held, and an error names file, line and column but never the
//! value found there: it goes to a log, and the value is a patient's.

mod csv_file;
mod error;
#[cfg(test)]
mod tests;

use almoner_model::{Dataset, Standardiser};
use almoner_protocol::spec::DataSpec;

pub use csv_file::{Columns, CsvSource, Limits, read_csv, read_csv_from};
pub use error::DataError;

/// The rows of a site as its model takes them: read, held against what the federation file says of
/// a row, standardised by their own means and deviations.
pub fn load(source: &CsvSource, limits: &Limits, spec: &DataSpec) -> Result<Dataset, DataError> {
    let data = read_csv(source, limits, spec.label_min..=spec.label_max)?;
    let path = || source.path.clone();
    let (expected, got) = (spec.features as usize, data.features());
    if got != expected {
        return Err(DataError::Features { path: path(), expected, got });
    }
    Standardiser::by_own_rows(&data).map_err(|reason| DataError::Unusable { path: path(), reason })
}
