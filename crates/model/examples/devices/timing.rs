//! Steps per second of a round as a site trains it: the weights go to the device, a batch after every step, and the
//! trained weights come back, which waits for the device.

use std::time::Instant;

use almoner_model::{
    BatchOrder, ComputeDevice, Dataset, Model, ModelError, TrainPlan, initial_weights, train_observed,
};
use almoner_protocol::spec::ModelSpec;

/// Steps before anything is measured: kernels are compiled, chosen and fused in them.
const WARM_UP: u32 = 30;
/// Measured rounds.
pub(crate) const RUNS: usize = 7;
/// Seconds that a measured round is meant to take, and its steps.
const SECONDS: f64 = 1.0;
const STEPS: (f64, f64) = (5.0, 5000.0);

pub(crate) struct Timing {
    /// Of the warm-up.
    pub(crate) first_seconds: f64,
    /// Of a measured round.
    pub(crate) steps: u32,
    /// By round, slowest first.
    pub(crate) steps_per_second: Vec<f64>,
}

impl Timing {
    pub(crate) fn measure(
        spec: &ModelSpec,
        data: &Dataset,
        batch: usize,
        device: &ComputeDevice,
    ) -> Result<Self, ModelError> {
        let model = Model::build(spec, initial_weights(spec, [1; 32])?, device)?;
        let round = |steps| seconds(&model, data, batch, steps);
        let first_seconds = round(WARM_UP)?;
        let step = round(WARM_UP / 3)? / f64::from(WARM_UP / 3);
        // Between 5 and 5000, so the cast is exact.
        let steps = (SECONDS / step).round().clamp(STEPS.0, STEPS.1) as u32;
        let rate = |_| -> Result<f64, ModelError> { Ok(f64::from(steps) / round(steps)?) };
        let mut steps_per_second = (0..RUNS).map(rate).collect::<Result<Vec<_>, _>>()?;
        steps_per_second.sort_by(f64::total_cmp);
        Ok(Self { first_seconds, steps, steps_per_second })
    }

    pub(crate) fn median(&self) -> f64 {
        self.steps_per_second[RUNS / 2]
    }
}

fn seconds(model: &Model, data: &Dataset, batch: usize, steps: u32) -> Result<f64, ModelError> {
    let plan = TrainPlan { learning_rate: 0.01, batch, steps, order: BatchOrder::File };
    let started = Instant::now();
    train_observed(model, data, &plan, 1, &mut |_| {})?;
    Ok(started.elapsed().as_secs_f64())
}
