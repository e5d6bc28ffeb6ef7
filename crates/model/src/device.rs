use std::fmt;
use std::str::FromStr;

use burn::prelude::Device;
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// What a configuration may ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The best device of this build: the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
}

impl FromStr for DeviceChoice {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "wgpu" | "cuda" => Err(ModelError::DeviceNotBuilt(name.to_owned())),
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
        })
    }
}

/// An opened device; cheap to clone and to share between threads.
#[derive(Debug, Clone)]
pub struct ComputeDevice(Device);

impl ComputeDevice {
    /// Opens what was chosen.
    pub fn open(choice: DeviceChoice) -> Result<Self, ModelError> {
        match choice {
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Self::cpu()),
        }
    }

    /// The CPU, which every build has.
    pub fn cpu() -> Self {
        Self(Device::flex())
    }

    pub(crate) fn plain(&self) -> Device {
        self.0.clone()
    }

    pub(crate) fn recording(&self) -> Device {
        self.0.clone().autodiff()
    }
}
