//! Plain FedAvg on the four heart hospitals against the published figures.

use std::fs;

use almoner_model::BatchOrder;

use crate::heart_data::{self, CENTRES, FEATURES};
use crate::plain::{GOLDEN_COUNTS, GOLDEN_WEIGHTS, Plain, SEEDS, first_weights, largest_difference};
use crate::shared::shared;

/// Published accuracies for [`SEEDS`]: the hospitals, then the pooled test rows.
const PUBLISHED: [[f64; 5]; 5] = [
    [0.7596, 0.6966, 0.6875, 0.6222, 0.7520],
    [0.7212, 0.7416, 0.7500, 0.6667, 0.7638],
    [0.7404, 0.7528, 0.5000, 0.5778, 0.7638],
    [0.7308, 0.6742, 0.7500, 0.6222, 0.7008],
    [0.7019, 0.7303, 0.5625, 0.7111, 0.7598],
];

#[test]
fn centres_equal_the_prepared_features() {
    let Some(dir) = shared("data/heart") else { return };
    let centres = heart_data::load(&dir).unwrap();
    let text = fs::read_to_string(dir.join("features_split43.csv")).unwrap();
    let mut lines = text.lines();
    let header = format!("centre,set,{},y", FEATURES.join(","));
    assert_eq!(lines.next(), Some(header.as_str()));
    let mut taken = [[0usize; 2]; 4];
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let at = CENTRES.iter().position(|c| *c == fields[0]).unwrap();
        let test = usize::from(fields[1] == "test");
        let data = [&centres[at].train, &centres[at].test][test];
        let row = taken[at][test];
        let expected: Vec<f32> = fields[2..].iter().map(|f| f.parse().unwrap()).collect();
        assert_eq!(data.row(row), &expected[..13], "{line}");
        assert_eq!(data.y()[row], expected[13], "{line}");
        taken[at][test] += 1;
    }
    assert_eq!(taken, [[199, 104], [172, 89], [30, 16], [85, 45]]);
    assert!(centres.iter().zip(taken).all(|(c, [a, b])| (c.train.rows(), c.test.rows()) == (a, b)));
    assert!(heart_data::is_heart_dir(&dir));
}

#[test]
fn fedavg_equals_the_published_accuracies() {
    let Some(dir) = shared("data/heart") else { return };
    let plain = Plain::load(&dir);
    println!(
        "{:>6} {:>11} {:>11} {:>11} {:>11} {:>11}  (ours published)",
        "seed", "clev", "hung", "switz", "va", "pooled"
    );
    let mut exact = 0;
    for (seed, published) in SEEDS.into_iter().zip(PUBLISHED) {
        let flat = plain.fedavg(first_weights(&dir, seed), |centre| {
            let mut key = [centre as u8; 32];
            key[0] = seed as u8;
            BatchOrder::Shuffled { seed: key }
        });
        let metrics = plain.evaluate(&flat);
        let cells: Vec<String> =
            metrics.iter().zip(published).map(|(m, p)| format!("{:.4} {p:.4}", m.accuracy)).collect();
        println!("{seed:>6} {}", cells.join(" "));
        for (m, p) in metrics.iter().zip(published) {
            let published_correct = (p * m.rows as f64).round() as usize;
            assert!(m.correct.abs_diff(published_correct) <= 1, "seed {seed}: {m:?}, published {p}");
            exact += usize::from(m.correct == published_correct);
        }
    }
    println!("{exact} of 25 cells equal, the rest within one test row");
}

#[test]
fn golden_run_without_randomness() {
    let Some(dir) = shared("data/heart") else { return };
    let plain = Plain::load(&dir);
    let flat = plain.fedavg(vec![0.0; 14], |_| BatchOrder::File);
    let metrics = plain.evaluate(&flat);
    let counts: Vec<usize> = metrics[..4].iter().map(|m| m.correct).collect();
    let worst = largest_difference(&flat, &GOLDEN_WEIGHTS);
    println!("correct {counts:?}, published {GOLDEN_COUNTS:?}; largest weight difference {worst:.2e}");
    assert_eq!(counts, GOLDEN_COUNTS);
    assert!(worst <= 1e-5, "{flat:?}");
}
