use almoner_protocol::spec::ModelSpec;
use safetensors::{Dtype, SafeTensors};

use crate::{ModelError, Network};

/// The flat weights of an `f32` safetensors file, whoever wrote it: ours, or `torch` after further training. Names and
/// shapes are those of [`export_f32`](crate::export_f32); a tensor too many is as wrong as one too few.
pub fn import_f32(spec: &ModelSpec, bytes: &[u8]) -> Result<Vec<f32>, ModelError> {
    let network = Network::new(spec)?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| ModelError::File(error.to_string()))?;
    let expected = 2 * network.linears().count();
    if file.len() != expected {
        return Err(ModelError::File(format!("{} tensors, the model has {expected}", file.len())));
    }
    let mut flat = Vec::with_capacity(network.parameters());
    for (at, inputs, outputs) in network.linears() {
        let weight = tensor(&file, &format!("{at}.weight"), &[outputs, inputs])?;
        flat.extend((0..inputs).flat_map(|input| weight.iter().skip(input).step_by(inputs)));
        flat.extend(tensor(&file, &format!("{at}.bias"), &[outputs])?);
    }
    Ok(flat)
}

fn tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
    let found = file.tensor(name).map_err(|_| ModelError::File(format!("no tensor '{name}'")))?;
    if (found.dtype(), found.shape()) != (Dtype::F32, shape) {
        let (dtype, have) = (found.dtype(), found.shape());
        return Err(ModelError::File(format!("'{name}' is {dtype:?} {have:?}, the model takes F32 {shape:?}")));
    }
    let values: Vec<f32> = found.data().as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::File(format!("'{name}' holds a value that is not finite")));
    }
    Ok(values)
}
