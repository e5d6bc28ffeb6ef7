//! The published base model: its file and its root.
//!
//! The file is safetensors of I32 tensors. The format leaves order and spacing open; here one layer list and one
//! vector have exactly one file, so that equal models have equal CIDs and a reader needs no JSON parser: it compares
//! the header with the only one it would have written. Tensors stand in the order of the layer list, so the data
//! section is the flat vector.

use alloy_primitives::B256;
use almoner_crypto::tree;

use crate::Error;
use crate::spec::ModelSpec;

/// Bytes of the file: the bound for a download.
pub fn model_file_length(spec: &ModelSpec) -> Result<u64, Error> {
    Ok(model_header(spec)?.len() as u64 + 4 * u64::from(spec.parameters()?))
}

/// The file of these weights.
pub fn encode_model(spec: &ModelSpec, values: &[i32]) -> Result<Vec<u8>, Error> {
    if values.len() as u64 != u64::from(spec.parameters()?) {
        return Err(Error::ModelFile("not as many values as the layers have parameters"));
    }
    let mut bytes = model_header(spec)?;
    bytes.reserve_exact(4 * values.len());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(bytes)
}

/// The weights of a file, if it is the one [`encode_model`] makes of them.
pub fn decode_model(spec: &ModelSpec, bytes: &[u8]) -> Result<Vec<i32>, Error> {
    if bytes.len() as u64 != model_file_length(spec)? {
        return Err(Error::ModelFile("another length than these layers give"));
    }
    let header = model_header(spec)?;
    let data =
        bytes.strip_prefix(header.as_slice()).ok_or(Error::ModelFile("another header than these layers give"))?;
    Ok(data.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word)).collect())
}

/// The authoritative name of a model: the tree over its integers (docs/PROTOCOL.md, section 1).
pub fn model_root(values: &[i32]) -> B256 {
    let mut hasher = ModelHasher::new();
    hasher.update(values);
    hasher.finish()
}

/// [`model_root`] of weights that come in pieces.
#[derive(Debug)]
pub struct ModelHasher {
    tree: tree::TreeHasher,
    /// Leaves that wait to be hashed together.
    leaves: Vec<u8>,
}

impl ModelHasher {
    pub fn new() -> Self {
        Self { tree: tree::TreeHasher::new(tree::kind::MODEL), leaves: Vec::with_capacity(LEAVES) }
    }

    /// Takes the next weights.
    pub fn update(&mut self, mut values: &[i32]) {
        while !values.is_empty() {
            let (these, rest) = values.split_at(values.len().min((LEAVES - self.leaves.len()) / WEIGHT));
            self.leaves.extend(these.iter().flat_map(|value| value.to_be_bytes()));
            if self.leaves.len() == LEAVES {
                self.hash();
            }
            values = rest;
        }
    }

    pub fn finish(mut self) -> B256 {
        self.hash();
        B256::from(self.tree.finish())
    }

    fn hash(&mut self) {
        self.tree.extend(WEIGHT, &self.leaves);
        self.leaves.clear();
    }
}

impl Default for ModelHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes of a weight.
const WEIGHT: usize = 4;
/// Bytes of the leaves hashed together.
const LEAVES: usize = tree::LANES * tree::LEAF_WORDS * WEIGHT;

/// What stands in a file before its weights. Length prefix u64 little-endian, then type, shape and place of every tensor,
/// padded to 8 bytes.
pub fn model_header(spec: &ModelSpec) -> Result<Vec<u8>, Error> {
    // Refuses layer lists whose sizes do not fit 32 bits, so the products below cannot overflow.
    spec.parameters()?;
    let mut entries = Vec::new();
    let mut start = 0u64;
    for tensor in spec.tensors() {
        let end = start + 4 * tensor.shape.iter().map(|size| u64::from(*size)).product::<u64>();
        let shape = tensor.shape.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let name = &tensor.name;
        entries.push(format!("\"{name}\":{{\"dtype\":\"I32\",\"shape\":[{shape}],\"data_offsets\":[{start},{end}]}}"));
        start = end;
    }
    let mut json = format!("{{{}}}", entries.join(",")).into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([(json.len() as u64).to_le_bytes().to_vec(), json].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::LayerSpec;

    fn spec() -> ModelSpec {
        ModelSpec {
            layers: vec![
                LayerSpec::Linear { inputs: 3, outputs: 2 },
                LayerSpec::Relu,
                LayerSpec::Linear { inputs: 2, outputs: 1 },
            ],
        }
    }

    #[test]
    fn one_model_has_one_file() {
        let values: Vec<i32> = (0..11).map(|i| i * 1000 - 5000).collect();
        let file = encode_model(&spec(), &values).unwrap();
        assert_eq!(file.len() as u64, model_file_length(&spec()).unwrap());
        assert_eq!(decode_model(&spec(), &file).unwrap(), values);
        for at in 0..file.len() {
            let mut other = file.clone();
            other[at] ^= 1;
            assert_ne!(decode_model(&spec(), &other).ok(), Some(values.clone()), "byte {at}");
        }
        assert!(decode_model(&spec(), &file[..file.len() - 1]).is_err());
        assert!(encode_model(&spec(), &values[1..]).is_err());
    }

    #[test]
    fn the_root_is_of_the_integers() {
        let mut values: Vec<i32> = (0..300).collect();
        let root = model_root(&values);
        let mut pieces = ModelHasher::new();
        values.chunks(77).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.finish(), root);
        values[299] -= 1;
        assert_ne!(model_root(&values), root);
    }
}
