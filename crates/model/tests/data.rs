use almoner_model::{Dataset, DeviceChoice, ModelError, Network, Standardiser};
use almoner_protocol::spec::{LayerSpec, ModelSpec};

use crate::support::mlp;

#[test]
fn a_data_set_is_checked_once() {
    let check = |features, x: &[f32], y: &[f32]| Dataset::new(features, x.to_vec(), y.to_vec());
    assert!(check(2, &[1.0, 2.0], &[1.0]).is_ok());
    assert!(matches!(check(0, &[], &[]), Err(ModelError::DatasetShape { .. })));
    assert!(matches!(check(2, &[1.0; 3], &[1.0]), Err(ModelError::DatasetShape { .. })));
    let nan = check(2, &[1.0, 2.0, 3.0, f32::NAN], &[1.0, 0.0]);
    assert_eq!(nan, Err(ModelError::NotFinite { row: 1, column: 1 }));
    assert_eq!(check(1, &[1.0, 2.0], &[1.0, 1.1]), Err(ModelError::Label { row: 1 }));
    assert_eq!(check(1, &[1.0], &[f32::NAN]), Err(ModelError::Label { row: 0 }));
}

#[test]
fn printing_a_data_set_shows_no_patient() {
    let data = Dataset::new(1, vec![1234.5, 6.0], vec![1.0, 0.0]).unwrap();
    let scale = Standardiser::fit(&data).unwrap();
    let text = format!("{data:?} {scale:?}");
    assert!(text.contains("rows: 2") && !text.contains("1234") && !text.contains("620"), "{text}");
}

#[test]
fn standardised_columns_have_mean_0_and_unbiased_deviation_1() {
    let data = Dataset::new(2, vec![1.0, 0.1, 2.0, 0.1, 6.0, 0.1], vec![0.0, 1.0, 0.0]).unwrap();
    let scale = Standardiser::fit(&data).unwrap();
    let own = scale.apply(&data).unwrap();
    let sd = 7.0f32.sqrt();
    for (row, value) in [-2.0, -1.0, 3.0].into_iter().enumerate() {
        assert!((own.row(row)[0] - value / sd).abs() < 1e-6);
        // A constant column is 0, although 0.1 is not exact in binary.
        assert!(own.row(row)[1].abs() < 1e-6);
    }
    assert_eq!(own.y(), data.y());
    let other = scale.apply(&Dataset::new(2, vec![3.0, 0.1], vec![1.0]).unwrap()).unwrap();
    assert!(other.row(0)[0].abs() < 1e-6);
    let one = Dataset::new(2, vec![1.0, 2.0], vec![1.0]).unwrap();
    assert!(matches!(Standardiser::fit(&one), Err(ModelError::TooFewRows { needed: 2, .. })));
    let narrow = Dataset::new(1, vec![1.0], vec![1.0]).unwrap();
    assert_eq!(scale.apply(&narrow), Err(ModelError::Features { expected: 2, got: 1 }));
}

#[test]
fn rows_are_selected_and_joined() {
    let data = Dataset::new(2, vec![1.0, 2.0, 3.0, 4.0], vec![0.0, 1.0]).unwrap();
    let back = data.select(&[1, 0]);
    assert_eq!((back.x(), back.y()), (&[3.0, 4.0, 1.0, 2.0][..], &[1.0, 0.0][..]));
    assert_eq!(Dataset::concat(&[&data, &back]).unwrap().rows(), 4);
    let narrow = Dataset::new(1, vec![1.0], vec![1.0]).unwrap();
    assert!(Dataset::concat(&[&data, &narrow]).is_err());
    assert!(Dataset::concat(&[]).is_err());
}

#[test]
fn layer_lists_are_checked() {
    let network = Network::new(&mlp(&[30, 16, 1])).unwrap();
    assert_eq!((network.inputs(), network.parameters()), (30, 513));
    let linear = |inputs, outputs| LayerSpec::Linear { inputs, outputs };
    let refused = |layers| match Network::new(&ModelSpec { layers }) {
        Err(ModelError::Layer { layer, .. }) => layer,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(vec![]), 0);
    assert_eq!(refused(vec![LayerSpec::Relu]), 0);
    assert_eq!(refused(vec![linear(3, 1), LayerSpec::Relu]), 1);
    assert_eq!(refused(vec![linear(3, 2)]), 0);
    assert_eq!(refused(vec![linear(3, 0), linear(0, 1)]), 0);
    assert_eq!(refused(vec![linear(3, 4), LayerSpec::Relu, linear(5, 1)]), 2);
    let huge = Network::new(&mlp(&[u32::MAX, u32::MAX, 1]));
    assert!(matches!(huge, Err(ModelError::TooLarge { .. })));
}

#[test]
fn devices_have_names() {
    for name in ["auto", "cpu", "wgpu"] {
        assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
    }
    assert_eq!("cuda".parse::<DeviceChoice>(), Err(ModelError::DeviceNotBuilt("cuda".into())));
    assert_eq!("tpu".parse::<DeviceChoice>(), Err(ModelError::UnknownDevice("tpu".into())));
}
