use almoner_protocol::spec::ModelSpec;

use crate::{ModelError, Network};

/// The weights as `f32` safetensors that `torch.nn.Sequential(...).load_state_dict` takes: keys `0.weight`, `0.bias`,
/// `2.weight`, … by position in the layer list, weights `[outputs, inputs]`.
///
/// The format is a length (u64 little-endian), a JSON header padded to 8 bytes, then the data. Written by hand, so that
/// the bytes are a function of layer list and weights alone, and one model has one CID.
pub fn export_f32(spec: &ModelSpec, flat: &[f32]) -> Result<Vec<u8>, ModelError> {
    let network = Network::new(spec)?;
    network.check_flat(flat.len())?;
    let mut bytes = header(&network);
    bytes.reserve_exact(4 * flat.len());
    let mut rest = flat;
    for (_, inputs, outputs) in network.linears() {
        let (weight, tail) = rest.split_at(inputs * outputs);
        let (bias, tail) = tail.split_at(outputs);
        for column in 0..outputs {
            let values = weight.iter().skip(column).step_by(outputs);
            bytes.extend(values.flat_map(|v| v.to_le_bytes()));
        }
        bytes.extend(bias.iter().flat_map(|v| v.to_le_bytes()));
        rest = tail;
    }
    Ok(bytes)
}

fn header(network: &Network) -> Vec<u8> {
    let mut items = vec![r#""__metadata__":{"format":"pt"}"#.to_owned()];
    let mut start = 0;
    let mut tensor = |name: String, shape: String, values: usize| {
        let end = start + 4 * values;
        items.push(format!(r#""{name}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{start},{end}]}}"#));
        start = end;
    };
    for (at, inputs, outputs) in network.linears() {
        tensor(format!("{at}.weight"), format!("{outputs},{inputs}"), inputs * outputs);
        tensor(format!("{at}.bias"), outputs.to_string(), outputs);
    }
    let mut json = format!("{{{}}}", items.join(",")).into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    [(json.len() as u64).to_le_bytes().to_vec(), json].concat()
}
