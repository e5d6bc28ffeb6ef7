//! A validator's gradient: each example's own gradient is clipped to an L2 norm, then averaged, so
//! that no single patient moves the published direction by more than `max_norm / rows`.
//!
//! 1. A zero leaf t is added to the output y of every linear layer, and the *sum* of the losses is
//!    derived by t: row i of that is example i's own derivative d_i by y, in one backward pass.
//! 2. With a_i the layer's input, example i's gradient is a_i ⊗ d_i for the weight and d_i for the
//!    bias, so its squared norm is Σ_layers (|a_i|² + 1)·|d_i|², exactly, without forming it.
//! 3. The clipped sum is aᵀ·diag(c)·d with c_i = min(1, max_norm / norm_i).

use almoner_protocol::spec::ModelSpec;
use burn::prelude::*;

use crate::net::{Layer, Net, append, to_device};
use crate::train::losses;
use crate::{ComputeDevice, Dataset, Model, ModelError, Network};

/// Below any norm that matters; keeps an all-zero gradient from dividing by zero.
const TINY: f32 = 1e-30;
/// Tensors of a layer's size that the passes to and fro hold at a time, as measured: output, leaf, their sum, what the
/// activation makes of it, and for each its derivative and what the backend keeps of it.
pub const TENSORS_HELD: usize = 12;
/// Weights of which the gradient is worked out at once.
const PIECE: usize = 1 << 18;

/// Mean over the rows of their gradients of the loss at `flat`, each clipped to `max_norm`.
pub fn per_example_clipped_gradient(
    spec: &ModelSpec,
    flat: impl Into<Vec<f32>>,
    data: &Dataset,
    max_norm: f32,
    device: &ComputeDevice,
) -> Result<Vec<f32>, ModelError> {
    let Model { network, flat, device } = Model::build(spec, flat, device)?;
    let net = Net::build(&network, &flat, &device.recording()).no_grad();
    drop(flat);
    clipped(net, &network, &device, data, max_norm)
}

impl Model {
    /// [`per_example_clipped_gradient`] at this model's weights.
    pub fn per_example_clipped_gradient(&self, data: &Dataset, max_norm: f32) -> Result<Vec<f32>, ModelError> {
        let net = Net::build(&self.network, &self.flat, &self.device.recording()).no_grad();
        clipped(net, &self.network, &self.device, data, max_norm)
    }
}

fn clipped(
    net: Net,
    network: &Network,
    device: &ComputeDevice,
    data: &Dataset,
    max_norm: f32,
) -> Result<Vec<f32>, ModelError> {
    data.check_features(network.inputs())?;
    if data.rows() == 0 {
        return Err(ModelError::TooFewRows { what: "a gradient", needed: 1, got: 0 });
    }
    if !(max_norm.is_finite() && max_norm > 0.0) {
        return Err(ModelError::Plan("the clipping norm must be a positive number"));
    }
    let device = device.recording();
    let at_once = network.rows_at_once(TENSORS_HELD);
    let mut sums = Sums::default();
    for (x, y) in data.x().chunks(at_once * data.features()).zip(data.y().chunks(at_once)) {
        let x = to_device(x.to_vec(), data.features(), &device);
        let parts = derive(&net, x, to_device(y.to_vec(), 1, &device))?;
        let scale = clipping(&parts, max_norm);
        sums.add(parts.into_iter().flat_map(|part| part.scaled_sums(&scale)));
    }
    drop(net);
    let mean = sums.over(data.rows(), network.parameters())?;
    match mean.iter().all(|v| v.is_finite()) {
        true => Ok(mean),
        false => Err(ModelError::Diverged),
    }
}

/// What a linear layer saw and what its output changes, one row per example.
struct LayerPart {
    input: Tensor<2>,
    derivative: Tensor<2>,
}

impl LayerPart {
    fn squared_norms(&self) -> Tensor<2> {
        (self.input.clone().square().sum_dim(1) + 1.0) * self.derivative.clone().square().sum_dim(1)
    }

    /// Sums of the examples' gradients, each times its factor, in flat order: the weight in pieces, then the bias.
    fn scaled_sums(self, scale: &Tensor<2>) -> impl Iterator<Item = Tensor<2>> + use<> {
        let scaled = self.derivative * scale.clone();
        let [_, outputs] = scaled.dims();
        let bias = scaled.clone().sum_dim(0);
        let inputs = self.input.transpose();
        let pieces = inputs.split((PIECE / outputs).max(1), 0).into_iter();
        pieces.map(move |inputs| inputs.matmul(scaled.clone())).chain(std::iter::once(bias))
    }
}

/// A vector of the model's length, in pieces, to which others are added: one of them is held beside it at a time.
#[derive(Default)]
struct Sums(Vec<Tensor<2>>);

impl Sums {
    fn add(&mut self, pieces: impl Iterator<Item = Tensor<2>>) {
        let mut before = std::mem::take(&mut self.0).into_iter();
        let sum = |piece| match before.next() {
            Some(sum) => sum + piece,
            None => piece,
        };
        self.0 = pieces.map(sum).collect();
    }

    fn over(self, rows: usize, length: usize) -> Result<Vec<f32>, ModelError> {
        let mut mean = Vec::with_capacity(length);
        self.0.into_iter().try_for_each(|piece| append(&mut mean, piece))?;
        // To add zero takes its sign from a zero.
        mean.iter_mut().for_each(|v| *v = ((0.0 + f64::from(*v)) / rows as f64) as f32);
        Ok(mean)
    }
}

fn derive(net: &Net, x: Tensor<2>, y: Tensor<2>) -> Result<Vec<LayerPart>, ModelError> {
    let mut seen = Vec::new();
    let mut z = x;
    for layer in net.layers() {
        z = match layer {
            Layer::Linear(linear) => {
                let output = linear.forward(z.clone());
                let leaf = Tensor::<2>::zeros(output.shape(), &output.device()).require_grad();
                seen.push((z.inner(), leaf.clone()));
                output + leaf
            }
            Layer::Relu(relu) => relu.forward(z),
        };
    }
    let gradients = losses(z, y).sum().backward();
    let part = |(input, leaf): (Tensor<2>, Tensor<2>)| {
        let derivative =
            leaf.grad(&gradients).ok_or_else(|| ModelError::Backend("no gradient for a layer's output".to_owned()))?;
        Ok(LayerPart { input, derivative })
    };
    seen.into_iter().map(part).collect()
}

/// Column of min(1, max_norm / norm).
fn clipping(parts: &[LayerPart], max_norm: f32) -> Tensor<2> {
    let squared = parts.iter().map(LayerPart::squared_norms).reduce(|a, b| a + b);
    // A checked network has at least one linear layer, so there is at least one part.
    let norms = squared.expect("a network has a linear layer").sqrt();
    norms.clamp_min(TINY).recip().mul_scalar(max_norm).clamp_max(1.0)
}
