use almoner_protocol::spec::{ModelSpec, TrainingSpec};
use burn::optim::{GradientsParams, SgdConfig};
use burn::prelude::*;
use burn::tensor::activation::log_sigmoid;

use crate::net::{Net, to_device};
use crate::{BatchOrder, Batches, ComputeDevice, Dataset, Model, ModelError, Network};

/// One round of local training: plain SGD on the mean binary cross-entropy of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainPlan {
    /// Step size.
    pub learning_rate: f64,
    /// Rows per step; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Steps per round.
    pub steps: u32,
    /// Order of the rows.
    pub order: BatchOrder,
}

impl TrainPlan {
    /// The plan of a federation file, with this holder's own seed for the order of its rows.
    pub fn new(spec: &TrainingSpec, seed: [u8; 32]) -> Self {
        Self {
            learning_rate: spec.lr,
            batch: spec.batch as usize,
            steps: spec.steps,
            order: if spec.shuffle { BatchOrder::Shuffled { seed } } else { BatchOrder::File },
        }
    }
}

/// The weights after `plan.steps` steps from `flat`; `round` counts from 1 and says where in the
/// endless batch stream to go on. Weights that are handed over are not held while it trains.
pub fn train(
    spec: &ModelSpec,
    flat: impl Into<Vec<f32>>,
    data: &Dataset,
    plan: &TrainPlan,
    round: u64,
    device: &ComputeDevice,
) -> Result<Vec<f32>, ModelError> {
    let Model { network, flat, device } = Model::build(spec, flat, device)?;
    let net = Net::build(&network, &flat, &device.recording());
    drop(flat);
    step(net, &network, &device, data, plan, round, &mut |_| {})
}

/// [`train`] with a call after each step (its number in the round, from 1), for progress bars.
pub fn train_observed(
    model: &Model,
    data: &Dataset,
    plan: &TrainPlan,
    round: u64,
    after_step: &mut dyn FnMut(u32),
) -> Result<Vec<f32>, ModelError> {
    let net = Net::build(&model.network, &model.flat, &model.device.recording());
    step(net, &model.network, &model.device, data, plan, round, after_step)
}

fn step(
    mut net: Net,
    network: &Network,
    device: &ComputeDevice,
    data: &Dataset,
    plan: &TrainPlan,
    round: u64,
    after_step: &mut dyn FnMut(u32),
) -> Result<Vec<f32>, ModelError> {
    data.check_features(network.inputs())?;
    let mut batches = Batches::from_step(plan.order, data.rows(), plan.batch, first_step(plan, round)?)?;
    let device = device.recording();
    let mut sgd = SgdConfig::new().init();
    for step in 1..=plan.steps {
        let batch = data.select(batches.next_batch());
        let x = to_device(batch.x().to_vec(), data.features(), &device);
        let y = to_device(batch.y().to_vec(), 1, &device);
        let gradients = losses(net.forward(x), y).mean().backward();
        let gradients = GradientsParams::from_grads(gradients, &net);
        net = sgd.step(plan.learning_rate, net, gradients);
        after_step(step);
    }
    let flat = net.into_flat(network.parameters())?;
    match flat.iter().all(|v| v.is_finite()) {
        true => Ok(flat),
        false => Err(ModelError::Diverged),
    }
}

fn first_step(plan: &TrainPlan, round: u64) -> Result<u64, ModelError> {
    if !(plan.learning_rate.is_finite() && plan.learning_rate > 0.0) {
        return Err(ModelError::Plan("the learning rate must be a positive number"));
    }
    if plan.steps == 0 {
        return Err(ModelError::Plan("a round needs at least 1 step"));
    }
    round
        .checked_sub(1)
        .and_then(|before| before.checked_mul(plan.steps.into()))
        .ok_or(ModelError::Plan("round numbers start at 1"))
}

/// Binary cross-entropy of each row from its logit: `(1-y)·z - ln s(z)`. Its derivative is
/// `s(z) - y` at every z, also at 0, where a form with |z| or max(z, 0) would be wrong.
pub(crate) fn losses(logits: Tensor<2>, labels: Tensor<2>) -> Tensor<2> {
    (labels.neg() + 1.0) * logits.clone() - log_sigmoid(logits)
}
