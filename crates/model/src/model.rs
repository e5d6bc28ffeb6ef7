use std::fmt;

use almoner_protocol::spec::ModelSpec;

use crate::net::{Net, append, to_device};
use crate::{ComputeDevice, Dataset, Metrics, ModelError, Network};

/// A layer's output, and that of the layer before.
const KEPT: usize = 2;

/// A model with its weights on a device.
#[derive(Clone)]
pub struct Model {
    pub(crate) network: Network,
    pub(crate) flat: Vec<f32>,
    pub(crate) device: ComputeDevice,
}

impl Model {
    /// `flat` in the order of the layer list: per linear layer its weight `[inputs, outputs]` row
    /// by row, then its bias.
    pub fn build(spec: &ModelSpec, flat: impl Into<Vec<f32>>, device: &ComputeDevice) -> Result<Self, ModelError> {
        let (network, flat) = (Network::new(spec)?, flat.into());
        network.check_flat(flat.len())?;
        Ok(Self { network, flat, device: device.clone() })
    }

    /// The checked layer list.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The weights.
    pub fn flat(&self) -> &[f32] {
        &self.flat
    }

    /// Replaces the weights.
    pub fn set_flat(&mut self, flat: Vec<f32>) -> Result<(), ModelError> {
        self.network.check_flat(flat.len())?;
        self.flat = flat;
        Ok(())
    }

    /// One logit per row.
    pub fn logits(&self, data: &Dataset) -> Result<Vec<f32>, ModelError> {
        data.check_features(self.network.inputs())?;
        let device = self.device.plain();
        let net = Net::build(&self.network, &self.flat, &device);
        let mut logits = Vec::with_capacity(data.rows());
        for rows in data.x().chunks(self.network.rows_at_once(KEPT) * data.features()) {
            append(&mut logits, net.forward(to_device(rows.to_vec(), data.features(), &device)))?;
        }
        Ok(logits)
    }

    /// One probability of label 1 per row.
    pub fn predict(&self, data: &Dataset) -> Result<Vec<f32>, ModelError> {
        let logits = self.logits(data)?;
        Ok(logits.into_iter().map(|z| (1.0 / (1.0 + (-f64::from(z)).exp())) as f32).collect())
    }

    /// Accuracy at 0.5 and log-loss.
    pub fn evaluate(&self, data: &Dataset) -> Result<Metrics, ModelError> {
        if data.rows() == 0 {
            return Err(ModelError::TooFewRows { what: "evaluation", needed: 1, got: 0 });
        }
        Ok(Metrics::from_logits(&self.logits(data)?, data.y()))
    }
}

/// Weights trained on one hospital's rows are not for logs.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("network", &self.network).field("device", &self.device).finish_non_exhaustive()
    }
}

/// [`Model::evaluate`] for weights at hand.
pub fn evaluate(spec: &ModelSpec, flat: &[f32], data: &Dataset, device: &ComputeDevice) -> Result<Metrics, ModelError> {
    Model::build(spec, flat, device)?.evaluate(data)
}

/// [`Model::predict`] for weights at hand.
pub fn predict(spec: &ModelSpec, flat: &[f32], data: &Dataset, device: &ComputeDevice) -> Result<Vec<f32>, ModelError> {
    Model::build(spec, flat, device)?.predict(data)
}
