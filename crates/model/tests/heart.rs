//! Plain FedAvg on the four heart hospitals against the published figures.

use std::fs;
use std::path::Path;

use almoner_model::{BatchOrder, Dataset, Metrics, Standardiser, TrainPlan, evaluate, train};
use almoner_protocol::spec::ModelSpec;

use crate::heart_data::{self, CENTRES, Centre, FEATURES};
use crate::support::{cpu, mlp, shared};

const ROUNDS: u64 = 15;
const SEEDS: [u8; 5] = [42, 43, 44, 45, 46];

/// Published accuracies for [`SEEDS`]: the hospitals, then the pooled test rows.
const PUBLISHED: [[f64; 5]; 5] = [
    [0.7596, 0.6966, 0.6875, 0.6222, 0.7520],
    [0.7212, 0.7416, 0.7500, 0.6667, 0.7638],
    [0.7404, 0.7528, 0.5000, 0.5778, 0.7638],
    [0.7308, 0.6742, 0.7500, 0.6222, 0.7008],
    [0.7019, 0.7303, 0.5625, 0.7111, 0.7598],
];

const GOLDEN_COUNTS: [usize; 4] = [81, 68, 12, 29];
const GOLDEN_WEIGHTS: [f32; 14] = [
    0.09877, 0.12268, 0.04270, 0.09564, 0.05743, -0.13203, 0.22435, 0.19116, -0.10739, -0.07052, 0.18649, 0.02494,
    0.04726, 0.02643,
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
    let federation = Federation::load(&dir);
    println!(
        "{:>6} {:>11} {:>11} {:>11} {:>11} {:>11}  (ours published)",
        "seed", "clev", "hung", "switz", "va", "pooled"
    );
    let mut exact = 0;
    for (seed, published) in SEEDS.into_iter().zip(PUBLISHED) {
        let flat = federation.fedavg(first_weights(&dir, seed), |centre| {
            let mut key = [centre as u8; 32];
            key[0] = seed;
            BatchOrder::Shuffled { seed: key }
        });
        let metrics = federation.evaluate(&flat);
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
    let federation = Federation::load(&dir);
    let flat = federation.fedavg(vec![0.0; 14], |_| BatchOrder::File);
    let metrics = federation.evaluate(&flat);
    let counts: Vec<usize> = metrics[..4].iter().map(|m| m.correct).collect();
    let worst = flat.iter().zip(GOLDEN_WEIGHTS).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("correct {counts:?}, published {GOLDEN_COUNTS:?}; largest weight difference {worst:.2e}");
    assert_eq!(counts, GOLDEN_COUNTS);
    assert!(worst <= 1e-5, "{flat:?}");
}

struct Federation {
    model: ModelSpec,
    train: Vec<Dataset>,
    test: Vec<Dataset>,
    pooled_test: Dataset,
}

impl Federation {
    /// Every hospital by its own training statistics, the pooled test rows by the pooled ones.
    fn load(dir: &Path) -> Self {
        let centres = heart_data::load(dir).unwrap();
        let by_own = |centre: &Centre| {
            let own = Standardiser::fit(&centre.train).unwrap();
            (own.apply(&centre.train).unwrap(), own.apply(&centre.test).unwrap())
        };
        let (train, test) = centres.iter().map(by_own).unzip();
        let (pooled_train, pooled_test) = heart_data::pooled(&centres).unwrap();
        let pooled_test = Standardiser::fit(&pooled_train).unwrap().apply(&pooled_test).unwrap();
        Self { model: mlp(&[13, 1]), train, test, pooled_test }
    }

    /// All hospitals every round, averaged by training rows.
    fn fedavg(&self, mut flat: Vec<f32>, order: impl Fn(usize) -> BatchOrder) -> Vec<f32> {
        let total: usize = self.train.iter().map(Dataset::rows).sum();
        for round in 1..=ROUNDS {
            let mut next = vec![0.0f64; flat.len()];
            for (centre, data) in self.train.iter().enumerate() {
                let plan = TrainPlan { learning_rate: 0.001, batch: 4, steps: 100, order: order(centre) };
                let local = train(&self.model, &flat, data, &plan, round, &cpu()).unwrap();
                let share = data.rows() as f64 / total as f64;
                next.iter_mut().zip(local).for_each(|(n, v)| *n += share * f64::from(v));
            }
            flat = next.into_iter().map(|v| v as f32).collect();
        }
        flat
    }

    /// The hospitals' test rows, then the pooled ones.
    fn evaluate(&self, flat: &[f32]) -> Vec<Metrics> {
        let sets = self.test.iter().chain([&self.pooled_test]);
        sets.map(|data| evaluate(&self.model, flat, data, &cpu()).unwrap()).collect()
    }
}

/// A row of `init_weights.csv`: seed, 13 weights, bias.
fn first_weights(dir: &Path, seed: u8) -> Vec<f32> {
    let text = fs::read_to_string(dir.join("init_weights.csv")).unwrap();
    let line = text.lines().find(|l| l.starts_with(&format!("{seed},"))).unwrap();
    line.split(',').skip(1).map(|v| v.parse().unwrap()).collect()
}
