use almoner_protocol::MAX_PARAMETERS;
use almoner_protocol::spec::{LayerSpec, ModelSpec};

use crate::ModelError;

/// Rows at once when the layers are narrow.
const MAX_ROWS: usize = 1024;
/// What a small model's layers may take: 16 MiB.
const FEW_FLOATS: usize = 1 << 22;

/// A checked layer list: sizes chain, and the last layer is linear with one output, the logit.
///
/// Burn panics on shapes that do not fit, so nothing reaches it unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    spec: ModelSpec,
    inputs: usize,
    parameters: usize,
}

impl Network {
    /// Checks the layer list of a federation file.
    pub fn new(spec: &ModelSpec) -> Result<Self, ModelError> {
        let at = |layer, reason| Err(ModelError::Layer { layer, reason });
        let (mut first, mut width) = (None, None);
        for (layer, shape) in spec.layers.iter().enumerate() {
            let LayerSpec::Linear { inputs, outputs } = *shape else { continue };
            if inputs == 0 || outputs == 0 {
                return at(layer, "sizes must be at least 1");
            }
            if width.is_some_and(|width| width != inputs) {
                return at(layer, "its inputs differ from the outputs of the layer before");
            }
            first.get_or_insert(inputs);
            width = Some(outputs);
        }
        let (Some(inputs), Some(LayerSpec::Linear { outputs: 1, .. })) = (first, spec.layers.last()) else {
            return at(spec.layers.len().saturating_sub(1), "the last layer must be linear with one output");
        };
        let parameters = spec.parameters().map_err(|_| ModelError::TooLarge { limit: MAX_PARAMETERS })?;
        Ok(Self { spec: spec.clone(), inputs: inputs as usize, parameters: parameters as usize })
    }

    /// The layer list.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Features the model takes.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Length of the flat vector.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Position in the layer list, inputs and outputs of each linear layer, in flat order.
    pub(crate) fn linears(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        self.spec.layers.iter().enumerate().filter_map(|(at, layer)| match *layer {
            LayerSpec::Linear { inputs, outputs } => Some((at, inputs as usize, outputs as usize)),
            LayerSpec::Relu => None,
        })
    }

    /// How many rows go through at once, where `kept` tensors of a layer's size are held at a time: what they take is
    /// bounded, whatever the data, and by no more than the model itself where that is large.
    pub fn rows_at_once(&self, kept: usize) -> usize {
        let outputs: usize = self.linears().map(|(_, _, outputs)| outputs).sum();
        let of_a_row = self.inputs + outputs;
        (self.parameters.max(FEW_FLOATS) / of_a_row.saturating_mul(kept)).clamp(1, MAX_ROWS)
    }

    pub(crate) fn check_flat(&self, got: usize) -> Result<(), ModelError> {
        match got == self.parameters {
            true => Ok(()),
            false => Err(ModelError::Parameters { expected: self.parameters, got }),
        }
    }
}
