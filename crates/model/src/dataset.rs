use std::fmt;

use crate::ModelError;

/// Rows of numeric features with a label in 0 to 1 (the probability of class 1; mostly exactly 0 or 1), checked once and trusted from then on.
#[derive(Clone, PartialEq)]
pub struct Dataset {
    features: usize,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Dataset {
    /// `x` row by row; every value finite, every label in 0 to 1.
    pub fn new(features: usize, x: Vec<f32>, y: Vec<f32>) -> Result<Self, ModelError> {
        if features == 0 || features.checked_mul(y.len()) != Some(x.len()) {
            return Err(ModelError::DatasetShape { features, labels: y.len(), values: x.len() });
        }
        if let Some(at) = x.iter().position(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite { row: at / features, column: at % features });
        }
        if let Some(row) = y.iter().position(|v| !(0.0..=1.0).contains(v)) {
            return Err(ModelError::Label { row });
        }
        Ok(Self { features, x, y })
    }

    /// Columns.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.y.len()
    }

    /// All values, row by row.
    pub fn x(&self) -> &[f32] {
        &self.x
    }

    /// One label per row.
    pub fn y(&self) -> &[f32] {
        &self.y
    }

    /// One row's features. Panics past the end, as a slice does.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.x[row * self.features..(row + 1) * self.features]
    }

    /// The rows at `indices`, in that order. Panics past the end, as a slice does.
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            features: self.features,
            x: indices.iter().flat_map(|&i| self.row(i)).copied().collect(),
            y: indices.iter().map(|&i| self.y[i]).collect(),
        }
    }

    /// The rows of all parts one after the other.
    pub fn concat(parts: &[&Self]) -> Result<Self, ModelError> {
        let features = parts.first().map_or(0, |p| p.features);
        if let Some(other) = parts.iter().find(|p| p.features != features) {
            return Err(ModelError::Features { expected: features, got: other.features });
        }
        let x = parts.iter().flat_map(|p| &p.x).copied().collect();
        Self::new(features, x, parts.iter().flat_map(|p| &p.y).copied().collect())
    }

    pub(crate) fn check_features(&self, expected: usize) -> Result<(), ModelError> {
        match self.features == expected {
            true => Ok(()),
            false => Err(ModelError::Features { expected, got: self.features }),
        }
    }
}

/// Counts only: a `{:?}` in a log line must not print patients.
impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").field("features", &self.features).field("rows", &self.rows()).finish_non_exhaustive()
    }
}
