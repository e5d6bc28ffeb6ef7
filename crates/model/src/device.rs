use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use burn::prelude::Device;
use serde::{Deserialize, Serialize};

use crate::ModelError;

#[cfg(feature = "wgpu")]
mod gpu;
#[cfg(not(feature = "wgpu"))]
mod gpu {
    use super::{ComputeDevice, ModelError};

    pub(super) fn open() -> Result<ComputeDevice, ModelError> {
        Err(ModelError::DeviceNotBuilt("wgpu".to_owned()))
    }

    pub(super) fn hardware() -> Option<ComputeDevice> {
        None
    }
}

/// What a configuration may ask for. Every build knows every name, so that one file reads everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// A hardware GPU where this build and this machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// What wgpu finds, a GPU first; a software adapter too, where there is nothing else.
    Wgpu,
}

impl FromStr for DeviceChoice {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "wgpu" => Ok(Self::Wgpu),
            "cuda" => Err(ModelError::DeviceNotBuilt(name.to_owned())),
            _ => Err(ModelError::UnknownDevice(name.chars().take(40).collect())),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = ModelError;

    fn try_from(name: String) -> Result<Self, ModelError> {
        name.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
        })
    }
}

/// An opened device; cheap to clone and to share between threads.
///
/// Equal work gives equal bits on the CPU only, and there on one type of CPU.
#[derive(Debug, Clone)]
pub struct ComputeDevice {
    device: Device,
    name: Arc<str>,
}

impl ComputeDevice {
    /// Opens what was chosen.
    pub fn open(choice: DeviceChoice) -> Result<Self, ModelError> {
        match choice {
            DeviceChoice::Auto => Ok(gpu::hardware().unwrap_or_else(Self::cpu)),
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Wgpu => gpu::open(),
        }
    }

    /// The CPU, which every build has.
    pub fn cpu() -> Self {
        Self { device: Device::flex(), name: "cpu".into() }
    }

    /// `cpu`, or `wgpu` with its adapter, driver and graphics API.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the same work gives the same bits when it is done again on this machine.
    pub fn repeats(&self) -> bool {
        self.device == Device::flex()
    }

    pub(crate) fn plain(&self) -> Device {
        self.device.clone()
    }

    pub(crate) fn recording(&self) -> Device {
        self.device.clone().autodiff()
    }
}
