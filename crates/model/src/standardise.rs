use std::fmt;

use crate::{Dataset, ModelError};

/// Keeps a constant column from dividing by zero: it becomes exactly 0.
const EPSILON: f64 = 1e-9;

/// Column means and unbiased standard deviations of some rows, to apply to these or to others.
///
/// A holder fits it on its own rows: no statistic of one hospital's patients leaves that hospital.
#[derive(Clone, PartialEq)]
pub struct Standardiser {
    mean: Vec<f64>,
    sd: Vec<f64>,
}

impl Standardiser {
    /// Takes the statistics of `data`, which needs two rows.
    pub fn fit(data: &Dataset) -> Result<Self, ModelError> {
        let (rows, columns) = (data.rows(), data.features());
        if rows < 2 {
            return Err(ModelError::TooFewRows { what: "standardisation", needed: 2, got: rows });
        }
        let mut mean = vec![0.0; columns];
        for row in data.x().chunks_exact(columns) {
            mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v));
        }
        mean.iter_mut().for_each(|m| *m /= rows as f64);
        let mut sd = vec![0.0; columns];
        for row in data.x().chunks_exact(columns) {
            for ((s, m), &v) in sd.iter_mut().zip(&mean).zip(row) {
                *s += (f64::from(v) - m).powi(2);
            }
        }
        sd.iter_mut().for_each(|s| *s = (*s / (rows - 1) as f64).sqrt());
        Ok(Self { mean, sd })
    }

    /// `(x - mean) / (sd + 1e-9)`, column by column.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, ModelError> {
        data.check_features(self.mean.len())?;
        let mut x = Vec::with_capacity(data.x().len());
        for row in data.x().chunks_exact(self.mean.len()) {
            for ((&v, m), s) in row.iter().zip(&self.mean).zip(&self.sd) {
                x.push(((f64::from(v) - m) / (s + EPSILON)) as f32);
            }
        }
        Dataset::new(data.features(), x, data.y().to_vec())
    }

    /// Fit and apply on the same rows.
    pub fn by_own_rows(data: &Dataset) -> Result<Dataset, ModelError> {
        Self::fit(data)?.apply(data)
    }
}

/// Means and deviations describe patients; they are not printed.
impl fmt::Debug for Standardiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standardiser").field("features", &self.mean.len()).finish_non_exhaustive()
    }
}
