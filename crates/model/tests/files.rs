use almoner_model::{ModelError, export_f32, import_f32};
use almoner_protocol::encode_model;
use safetensors::{Dtype, SafeTensors};

use crate::support::mlp;

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

#[test]
fn another_reader_finds_pytorch_names_shapes_and_values() {
    let spec = mlp(&[3, 2, 1]);
    let flat: Vec<f32> = (0..11u8).map(f32::from).collect();
    let bytes = export_f32(&spec, &flat).unwrap();
    assert_eq!(bytes, export_f32(&spec, &flat).unwrap());
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = read.names();
    names.sort();
    assert_eq!(names, ["0.bias", "0.weight", "2.bias", "2.weight"]);
    let of = |name| {
        let tensor = read.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F32);
        (tensor.shape().to_vec(), f32s(tensor.data()))
    };
    // [inputs, outputs] row by row is 0 1 | 2 3 | 4 5; PyTorch keeps [outputs, inputs].
    assert_eq!(of("0.weight"), (vec![2, 3], vec![0.0, 2.0, 4.0, 1.0, 3.0, 5.0]));
    assert_eq!(of("0.bias"), (vec![2], vec![6.0, 7.0]));
    assert_eq!(of("2.weight"), (vec![1, 2], vec![8.0, 9.0]));
    assert_eq!(of("2.bias"), (vec![1], vec![10.0]));
    assert_eq!(export_f32(&spec, &flat[1..]), Err(ModelError::Parameters { expected: 11, got: 10 }));
}

#[test]
fn what_was_exported_is_read_back_and_nothing_else_is() {
    let spec = mlp(&[3, 2, 1]);
    let flat: Vec<f32> = (0..11u8).map(|v| f32::from(v) - 5.5).collect();
    let bytes = export_f32(&spec, &flat).unwrap();
    assert_eq!(import_f32(&spec, &bytes).unwrap(), flat);
    for (other, said) in [
        (mlp(&[3, 3, 1]), "'0.weight' is F32 [2, 3], the model takes F32 [3, 3]"),
        (mlp(&[3, 2, 2, 1]), "4 tensors, the model has 6"),
    ] {
        let error = import_f32(&other, &bytes).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(matches!(import_f32(&spec, &bytes[..bytes.len() - 1]), Err(ModelError::File(_))));
    let broken = export_f32(&spec, &[f32::NAN; 11]).unwrap();
    assert!(import_f32(&spec, &broken).unwrap_err().to_string().contains("not finite"));
}

/// The published base model is written by `almoner-protocol`; here a reader not of ours takes it.
#[test]
fn another_reader_takes_the_published_base_model() {
    // Eleven layers: sorted by name, layer 10 would come before layer 2.
    let spec = mlp(&[2, 3, 3, 3, 3, 3, 1]);
    let base: Vec<i32> = (0..61).map(|v| v * 77_777 - 1_000_000).collect();
    let bytes = encode_model(&spec, &base).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.len(), 12);
    let words: Vec<u8> = base[57..60].iter().flat_map(|v| v.to_le_bytes()).collect();
    let last = read.tensor("10.weight").unwrap();
    assert_eq!((last.dtype(), last.shape(), last.data()), (Dtype::I32, &[3, 1][..], &words[..]));
    let first = read.tensor("0.weight").unwrap();
    assert_eq!((first.shape(), &first.data()[..4]), (&[2, 3][..], &base[0].to_le_bytes()[..]));
}
