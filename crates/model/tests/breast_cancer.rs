use std::fs;

use almoner_model::Dataset;

use crate::breast_cancer_data::{Labels, MISLABELLED, Part, load, split};
use crate::shared::shared;

const SIZES: [usize; 8] = [100, 50, 50, 50, 127, 96, 64, 32];

fn ones(data: &Dataset) -> usize {
    data.y().iter().filter(|&&y| y == 1.0).count()
}

fn parts(seed: u8, labels: Labels) -> Vec<Part> {
    let split = split([seed; 32], labels).unwrap();
    [vec![split.test], split.validators, split.hospitals].concat()
}

#[test]
fn the_bundled_rows_are_the_known_ones() {
    let all = load().unwrap();
    assert_eq!((all.rows(), all.features(), ones(&all)), (569, 30, 357));
    // The first patient: mean radius 17.99, malignant.
    assert_eq!((&all.row(0)[..3], all.y()[0]), (&[17.99, 10.38, 122.8][..], 0.0));
    let Some(path) = shared("data/small/breast_cancer.csv") else { return };
    let text = fs::read_to_string(path).unwrap();
    for (row, line) in text.lines().skip(1).enumerate() {
        let values: Vec<f32> = line.split(',').map(|v| v.parse().unwrap()).collect();
        let pairs = all.row(row).iter().zip(&values);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()), "row {row}");
        assert_eq!(all.y()[row], values[30], "row {row}");
    }
}

#[test]
fn parts_have_their_sizes_and_share_no_row() {
    for seed in 1..=10 {
        let parts = parts(seed, Labels::Clean);
        assert_eq!(parts.iter().map(|p| p.rows.len()).collect::<Vec<_>>(), SIZES);
        let mut rows: Vec<usize> = parts.iter().flat_map(|p| p.rows.clone()).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..569).collect::<Vec<_>>());
        let all = load().unwrap();
        assert!(parts.iter().all(|p| p.data == all.select(&p.rows)));
    }
}

#[test]
fn every_part_has_both_labels_in_proportion() {
    for part in parts(3, Labels::Clean) {
        let expected = part.rows.len() as f64 * 357.0 / 569.0;
        assert!((ones(&part.data) as f64 - expected).abs() <= 1.0, "{} of {}", ones(&part.data), part.rows.len());
    }
}

#[test]
fn the_seed_decides_who_holds_what() {
    let rows = |seed| parts(seed, Labels::Clean).into_iter().map(|p| p.rows).collect::<Vec<_>>();
    assert_eq!(rows(1), rows(1));
    assert_ne!(rows(1), rows(2));
}

#[test]
fn half_of_the_second_hospitals_labels_are_flipped_and_nothing_else() {
    let clean = split([5; 32], Labels::Clean).unwrap();
    let spoiled = split([5; 32], Labels::SecondHospitalFlipped).unwrap();
    for (at, (a, b)) in clean.hospitals.iter().zip(&spoiled.hospitals).enumerate() {
        assert_eq!((&a.rows, a.data.x()), (&b.rows, b.data.x()));
        let flipped = a.data.y().iter().zip(b.data.y()).filter(|(a, b)| a != b).count();
        assert_eq!(flipped, if at == MISLABELLED { 48 } else { 0 });
    }
    assert_eq!(clean.test.data, spoiled.test.data);
    assert!(clean.validators.iter().zip(&spoiled.validators).all(|(a, b)| a.data == b.data));
}
