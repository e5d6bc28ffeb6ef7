//! Every device gives the CPU's numbers, to the tolerances of `examples/devices/numerics.rs`. A software adapter does
//! too, after half a minute of compiling.

use almoner_model::{ComputeDevice, DeviceChoice, ModelError};

use crate::numerics::{Differences, TOLERANCE, compare};
use crate::shared::required;
use crate::support::{cpu, made_up, mlp};

/// What wgpu finds here, or a line that says what is skipped.
fn gpu() -> Option<ComputeDevice> {
    match ComputeDevice::open(DeviceChoice::Wgpu) {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(!required("wgpu"), "wgpu is required: {error}");
            println!("skipped: wgpu: {error}");
            None
        }
    }
}

fn difference(widths: &[u32], batch: usize, device: &ComputeDevice) -> Differences {
    compare(&mlp(widths), &made_up(4 * batch, widths[0] as usize, 3), batch, device).unwrap()
}

fn check(widths: &[u32], batch: usize) {
    let Some(device) = gpu() else { return };
    let found = difference(widths, batch, &device);
    println!("{widths:?} on {}: {found}", device.name());
    assert!(found.within(&TOLERANCE), "{found:?}");
}

#[test]
fn logistic_regression_is_the_same_on_a_gpu() {
    check(&[30, 1], 32);
}

#[test]
fn a_perceptron_is_the_same_on_a_gpu() {
    check(&[30, 64, 64, 1], 32);
}

#[test]
fn the_cpu_differs_from_itself_by_nothing() {
    let none = Differences { logits: 0.0, weights: 0.0, update: 0.0, gradient: 0.0 };
    assert_eq!(difference(&[30, 16, 1], 32, &cpu()), none);
}

#[test]
fn auto_takes_no_software_adapter() {
    let auto = ComputeDevice::open(DeviceChoice::Auto).unwrap();
    assert!(auto.name() == "cpu" || cfg!(feature = "wgpu"), "{auto:?}");
    assert!(!auto.name().contains("llvmpipe") && !auto.name().contains("SwiftShader"), "{auto:?}");
}

#[test]
fn a_build_without_gpus_says_so() {
    let opened = ComputeDevice::open(DeviceChoice::Wgpu).map(|device| device.name().to_owned());
    match cfg!(feature = "wgpu") {
        true => assert!(matches!(opened, Ok(_) | Err(ModelError::NoGpu(_))), "{opened:?}"),
        false => assert_eq!(opened, Err(ModelError::DeviceNotBuilt("wgpu".into()))),
    }
}
