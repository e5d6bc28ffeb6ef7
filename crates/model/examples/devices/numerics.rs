//! The same host-made weights and batches on two devices: how far apart the results are. The tests hold it against
//! [`TOLERANCE`], the example prints it.

use std::fmt;

use almoner_model::{
    BatchOrder, ComputeDevice, Dataset, Model, ModelError, TrainPlan, initial_weights, per_example_clipped_gradient,
};
use almoner_protocol::spec::ModelSpec;

/// Of the training that is compared.
pub(crate) const STEPS: u32 = 20;

/// What a device may differ by from the CPU. Sums are taken in another order there, so a unit whose input is almost
/// exactly 0 may be on where it was off; that moves a weight by one row's share of a step, hence the wider bound.
pub(crate) const TOLERANCE: Differences = Differences { logits: 1e-4, weights: 1e-3, update: 1e-3, gradient: 1e-3 };

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Differences {
    /// Largest, of a row's logit.
    pub(crate) logits: f64,
    /// Largest, of a weight after [`STEPS`] steps.
    pub(crate) weights: f64,
    /// L2 norm, of what those steps changed, as a share of it.
    pub(crate) update: f64,
    /// L2 norm, of a validator's clipped gradient, as a share of it.
    pub(crate) gradient: f64,
}

impl Differences {
    pub(crate) fn within(&self, bound: &Self) -> bool {
        self.logits <= bound.logits
            && self.weights <= bound.weights
            && self.update <= bound.update
            && self.gradient <= bound.gradient
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { logits, weights, update, gradient } = self;
        write!(f, "{logits:>10.1e} {weights:>10.1e} {update:>10.1e} {gradient:>10.1e}")
    }
}

/// `device` against the CPU.
pub(crate) fn compare(
    spec: &ModelSpec,
    data: &Dataset,
    batch: usize,
    device: &ComputeDevice,
) -> Result<Differences, ModelError> {
    let start = initial_weights(spec, [1; 32])?;
    let expected = Results::of(spec, &start, data, batch, &ComputeDevice::cpu())?;
    let found = Results::of(spec, &start, data, batch, device)?;
    Ok(Differences {
        logits: largest(&expected.logits, &found.logits),
        weights: largest(&expected.weights, &found.weights),
        update: norm_of_difference(&expected.weights, &found.weights) / norm_of_difference(&expected.weights, &start),
        gradient: norm_of_difference(&expected.gradient, &found.gradient) / norm(&expected.gradient),
    })
}

struct Results {
    logits: Vec<f32>,
    weights: Vec<f32>,
    gradient: Vec<f32>,
}

impl Results {
    fn of(
        spec: &ModelSpec,
        start: &[f32],
        data: &Dataset,
        batch: usize,
        device: &ComputeDevice,
    ) -> Result<Self, ModelError> {
        let plan =
            TrainPlan { learning_rate: 0.05, batch, steps: STEPS, order: BatchOrder::Shuffled { seed: [2; 32] } };
        Ok(Self {
            logits: Model::build(spec, start, device)?.logits(data)?,
            weights: almoner_model::train(spec, start, data, &plan, 1, device)?,
            gradient: per_example_clipped_gradient(spec, start, data, 0.5, device)?,
        })
    }
}

fn largest(a: &[f32], b: &[f32]) -> f64 {
    // The total order puts NaN on top, where no bound holds.
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).max_by(f64::total_cmp).unwrap_or(0.0)
}

fn norm_of_difference(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

fn norm(v: &[f32]) -> f64 {
    v.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}
