use almoner_model::{ComputeDevice, Dataset, HostRng};
use almoner_protocol::spec::{LayerSpec, ModelSpec};

pub(crate) fn cpu() -> ComputeDevice {
    ComputeDevice::cpu()
}

/// Linear layers of these widths with ReLU between them.
pub(crate) fn mlp(widths: &[u32]) -> ModelSpec {
    let mut layers = Vec::new();
    for pair in widths.windows(2) {
        if !layers.is_empty() {
            layers.push(LayerSpec::Relu);
        }
        layers.push(LayerSpec::Linear { inputs: pair[0], outputs: pair[1] });
    }
    ModelSpec { layers }
}

/// Normal features, labels from a noisy linear rule.
pub(crate) fn made_up(rows: usize, features: usize, seed: u8) -> Dataset {
    let mut rng = HostRng::new([seed; 32], HostRng::SPLIT, 0);
    let x: Vec<f32> = (0..rows * features).map(|_| rng.normal() as f32).collect();
    let y = x
        .chunks(features)
        .map(|row| f32::from(u8::from(f64::from(row.iter().sum::<f32>()) + rng.normal() > 0.0)))
        .collect();
    Dataset::new(features, x, y).unwrap()
}
