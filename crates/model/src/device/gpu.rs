//! GPUs through wgpu.
//!
//! Burn's own `Device::wgpu` opens at the first tensor, and panics there if it cannot. Here the adapters are counted
//! first, and the device is made by the one call that returns an error.

use std::sync::OnceLock;

use burn::prelude::Device;
use burn::tensor::wgpu::wgpu::{AdapterInfo, Backend, DeviceType as Kind};
use burn::tensor::{DeviceKind, DeviceType};

use super::{ComputeDevice, ModelError};

#[derive(Clone)]
struct Gpu {
    device: ComputeDevice,
    hardware: bool,
}

/// What wgpu prefers.
pub(super) fn open() -> Result<ComputeDevice, ModelError> {
    Ok(opened()?.device)
}

/// The same, unless it is a processor that plays a GPU: our own CPU back end is better at that.
pub(super) fn hardware() -> Option<ComputeDevice> {
    let software = Device::wgpu(DeviceKind::Cpu);
    let any = Device::enumerate(DeviceType::Wgpu).iter().any(|device| *device != software);
    let gpu = any.then(opened)?.ok()?;
    gpu.hardware.then_some(gpu.device)
}

/// Once per process: Burn refuses to set the same device up twice.
fn opened() -> Result<Gpu, ModelError> {
    static OPENED: OnceLock<Result<Gpu, ModelError>> = OnceLock::new();
    OPENED.get_or_init(set_up).clone()
}

fn set_up() -> Result<Gpu, ModelError> {
    if Device::enumerate(DeviceType::Wgpu).is_empty() {
        return Err(ModelError::NoGpu("wgpu finds no adapter".to_owned()));
    }
    let (device, setup) = Device::wgpu_options().init_with_setup().map_err(|e| ModelError::NoGpu(e.to_string()))?;
    let info = setup.adapter.get_info();
    // Training over OpenGL was seen to hang without a word.
    if setup.backend == Backend::Gl {
        return Err(ModelError::NoGpu(format!("{} is within reach of OpenGL only", info.name)));
    }
    let device = ComputeDevice { device, name: name(&info).into() };
    Ok(Gpu { device, hardware: info.device_type != Kind::Cpu })
}

fn name(info: &AdapterInfo) -> String {
    let AdapterInfo { name, driver, driver_info, backend, .. } = info;
    format!("wgpu: {name}, {backend}, driver {driver} {driver_info}").trim_end().to_owned()
}
