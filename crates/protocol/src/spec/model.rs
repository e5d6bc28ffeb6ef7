//! The model as data: a list of layers, and the one order of its parameters in a flat vector.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, MAX_PARAMETERS};

/// More layers than this is a mistake, not a model of this kind.
pub(super) const MAX_LAYERS: usize = 64;

/// The layer list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    pub layers: Vec<LayerSpec>,
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LayerEntry", into = "LayerEntry")]
pub enum LayerSpec {
    /// `x·W + b`, W `[inputs, outputs]`.
    Linear { inputs: u32, outputs: u32 },
    /// `max(x, 0)`; no parameters.
    Relu,
}

/// A layer as the file has it. An enum tagged by `type` would let unknown keys of `relu` pass.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerEntry {
    #[serde(rename = "type")]
    kind: LayerKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LayerKind {
    Linear,
    Relu,
}

impl TryFrom<LayerEntry> for LayerSpec {
    type Error = &'static str;

    fn try_from(entry: LayerEntry) -> Result<Self, Self::Error> {
        match (entry.kind, entry.inputs, entry.outputs) {
            (LayerKind::Linear, Some(inputs), Some(outputs)) => Ok(Self::Linear { inputs, outputs }),
            (LayerKind::Linear, _, _) => Err("a linear layer needs inputs and outputs"),
            (LayerKind::Relu, None, None) => Ok(Self::Relu),
            (LayerKind::Relu, _, _) => Err("a relu layer has no sizes"),
        }
    }
}

impl From<LayerSpec> for LayerEntry {
    fn from(layer: LayerSpec) -> Self {
        match layer {
            LayerSpec::Linear { inputs, outputs } => {
                Self { kind: LayerKind::Linear, inputs: Some(inputs), outputs: Some(outputs) }
            }
            LayerSpec::Relu => Self { kind: LayerKind::Relu, inputs: None, outputs: None },
        }
    }
}

/// One stretch of the flat parameter vector, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// `<position of the layer>.weight` or `.bias`.
    pub name: String,
    pub shape: Vec<u32>,
}

impl ModelSpec {
    /// The flat vector in order: per linear layer its weight `[inputs, outputs]`, then its bias.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            match *layer {
                LayerSpec::Linear { inputs, outputs } => {
                    tensors.push(Tensor { name: format!("{at}.weight"), shape: vec![inputs, outputs] });
                    tensors.push(Tensor { name: format!("{at}.bias"), shape: vec![outputs] });
                }
                LayerSpec::Relu => {}
            }
        }
        tensors
    }

    /// d: length of the flat vector.
    pub fn parameters(&self) -> Result<u32, Error> {
        let too_many = || Error::spec("model.layers", format!("more than {MAX_PARAMETERS} parameters"));
        let mut total = 0u64;
        for layer in &self.layers {
            match *layer {
                // At most 2^64 − 2^33 + 1 + 2^32 − 1, so neither step overflows.
                LayerSpec::Linear { inputs, outputs } => {
                    let size = u64::from(inputs) * u64::from(outputs) + u64::from(outputs);
                    total = total.checked_add(size).ok_or_else(too_many)?;
                }
                LayerSpec::Relu => {}
            }
        }
        u32::try_from(total).ok().filter(|d| *d <= MAX_PARAMETERS).ok_or_else(too_many)
    }

    /// Digest of the layout: flat vectors of different shapes never pass for each other.
    pub fn shape_digest(&self) -> B256 {
        let mut hash = Sha256::new();
        hash.update(b"almoner/shape/v0");
        for tensor in self.tensors() {
            hash.update((tensor.name.len() as u64).to_be_bytes());
            hash.update(tensor.name.as_bytes());
            hash.update((tensor.shape.len() as u64).to_be_bytes());
            for size in tensor.shape {
                hash.update(u64::from(size).to_be_bytes());
            }
        }
        B256::from(<[u8; 32]>::from(hash.finalize()))
    }
}
