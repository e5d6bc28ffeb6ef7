use almoner_protocol::spec::ModelSpec;

use crate::{HostRng, ModelError, Network};

/// First weights: every weight and bias uniform in ±1/√inputs of its layer, PyTorch's default.
pub fn initial_weights(spec: &ModelSpec, seed: [u8; 32]) -> Result<Vec<f32>, ModelError> {
    let network = Network::new(spec)?;
    let mut rng = HostRng::new(seed, HostRng::INIT, 0);
    let mut flat = Vec::with_capacity(network.parameters());
    for (_, inputs, outputs) in network.linears() {
        let bound = 1.0 / (inputs as f64).sqrt();
        let mut draw = || (bound * (2.0 * rng.uniform() - 1.0)) as f32;
        flat.extend(std::iter::repeat_with(&mut draw).take((inputs + 1) * outputs));
    }
    Ok(flat)
}
