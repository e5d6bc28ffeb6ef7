//! The Burn module: built from a checked layer list, filled from a flat vector.

use almoner_protocol::spec::LayerSpec;
use burn::module::{Param, ParamId};
use burn::nn::{Linear, Relu};
use burn::prelude::*;

use crate::{ModelError, Network};

#[derive(Module, Debug)]
pub(crate) enum Layer {
    Linear(Linear),
    Relu(Relu),
}

#[derive(Module, Debug)]
pub(crate) struct Net {
    layers: Vec<Layer>,
}

impl Net {
    /// `flat` must have the network's length, which the caller has checked.
    ///
    /// Parameters are made from the vector directly: Burn's own initialisation is lazy and draws
    /// from a generator that all models of the process share. Their ids are their positions,
    /// because Burn keys optimiser state by id.
    pub(crate) fn build(network: &Network, flat: &[f32], device: &Device) -> Self {
        let mut rest = flat;
        let mut next_id = 0u64;
        let mut take = |shape: &[usize]| {
            let (values, tail) = rest.split_at(shape.iter().product());
            rest = tail;
            next_id += 1;
            (ParamId::from(next_id), TensorData::new(values.to_vec(), shape.to_vec()))
        };
        let layers = network.spec().layers.iter().map(|layer| match *layer {
            LayerSpec::Linear { inputs, outputs } => {
                let (inputs, outputs) = (inputs as usize, outputs as usize);
                let (weight_id, weight) = take(&[inputs, outputs]);
                let (bias_id, bias) = take(&[outputs]);
                let weight = trainable(Tensor::<2>::from_data(weight, device));
                let bias = trainable(Tensor::<1>::from_data(bias, device));
                Layer::Linear(Linear {
                    weight: Param::initialized(weight_id, weight),
                    bias: Some(Param::initialized(bias_id, bias)),
                })
            }
            LayerSpec::Relu => Layer::Relu(Relu::new()),
        });
        Self { layers: layers.collect() }
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Logits `[rows, 1]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.iter().fold(x, |x, layer| match layer {
            Layer::Linear(linear) => linear.forward(x),
            Layer::Relu(relu) => relu.forward(x),
        })
    }

    /// The parameters in flat order. Taken out one by one, so that no more than one of them is there twice.
    pub(crate) fn into_flat(self, parameters: usize) -> Result<Vec<f32>, ModelError> {
        let mut flat = Vec::with_capacity(parameters);
        for layer in self.layers {
            let Layer::Linear(linear) = layer else { continue };
            append(&mut flat, linear.weight.into_value())?;
            if let Some(bias) = linear.bias {
                append(&mut flat, bias.into_value())?;
            }
        }
        Ok(flat)
    }
}

/// Asks for the tensor's gradient where its device records one.
fn trainable<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.require_grad() } else { tensor }
}

/// A batch of rows as a tensor.
pub(crate) fn to_device(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Appends a tensor's values, row by row.
pub(crate) fn append<const D: usize>(values: &mut Vec<f32>, tensor: Tensor<D>) -> Result<(), ModelError> {
    // A GPU reports here whatever failed since it was last read.
    let data = tensor.try_into_data().map_err(|e| ModelError::Backend(e.to_string()))?;
    values.extend_from_slice(data.as_slice::<f32>().map_err(|e| ModelError::Backend(format!("{e:?}")))?);
    Ok(())
}
