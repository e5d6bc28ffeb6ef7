/// Log-loss stops here per row: the loss of a wrong prediction with probability 1 is infinite.
const WORST: f64 = 100.0;

/// How well a model predicts some rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// Rows looked at.
    pub rows: usize,
    /// Rows whose prediction is on the same side of 0.5 as the label.
    pub correct: usize,
    /// `correct / rows`.
    pub accuracy: f64,
    /// Mean binary cross-entropy, natural logarithm.
    pub log_loss: f64,
}

impl Metrics {
    /// From logits and labels of the same rows, of which there is at least one.
    pub(crate) fn from_logits(logits: &[f32], labels: &[f32]) -> Self {
        let rows = labels.len();
        let correct = logits.iter().zip(labels).filter(|&(&z, &y)| (z > 0.0) == (y > 0.5)).count();
        let loss: f64 = logits.iter().zip(labels).map(|(&z, &y)| loss(z.into(), y.into())).sum();
        Self { rows, correct, accuracy: correct as f64 / rows as f64, log_loss: loss / rows as f64 }
    }
}

/// `-y ln s(z) - (1-y) ln(1-s(z))`, without forming s(z).
fn loss(z: f64, y: f64) -> f64 {
    (z.max(0.0) - z * y + (-z.abs()).exp().ln_1p()).min(WORST)
}
