//! FedAvg on the four heart hospitals without encryption, and the published figures it has to meet. The tests of whole
//! federations include this file, to hold the encrypted run against it.

use std::fs;
use std::path::Path;

use almoner_model::{BatchOrder, ComputeDevice, Dataset, Metrics, Standardiser, TrainPlan, evaluate, train};
use almoner_protocol::spec::{LayerSpec, ModelSpec};

use crate::heart_data::{self, Centre};

pub(crate) const ROUNDS: u64 = 15;
/// Seeds with published figures and first weights.
pub(crate) const SEEDS: [u64; 5] = [42, 43, 44, 45, 46];

/// From zero weights, rows in file order: right predictions per hospital, and the weights, bias last.
pub(crate) const GOLDEN_COUNTS: [usize; 4] = [81, 68, 12, 29];
pub(crate) const GOLDEN_WEIGHTS: [f32; 14] = [
    0.09877, 0.12268, 0.04270, 0.09564, 0.05743, -0.13203, 0.22435, 0.19116, -0.10739, -0.07052, 0.18649, 0.02494,
    0.04726, 0.02643,
];

/// The hospitals' rows, all standardised.
pub(crate) struct Plain {
    pub(crate) model: ModelSpec,
    /// Each hospital's by its own training statistics.
    pub(crate) train: Vec<Dataset>,
    pub(crate) test: Vec<Dataset>,
    /// By the statistics of all training rows, as the published column has it.
    pub(crate) pooled_test: Dataset,
}

impl Plain {
    pub(crate) fn load(dir: &Path) -> Self {
        let centres = heart_data::load(dir).unwrap();
        let by_own = |centre: &Centre| {
            let own = Standardiser::fit(&centre.train).unwrap();
            (own.apply(&centre.train).unwrap(), own.apply(&centre.test).unwrap())
        };
        let (train, test) = centres.iter().map(by_own).unzip();
        let (pooled_train, pooled_test) = heart_data::pooled(&centres).unwrap();
        let pooled_test = Standardiser::fit(&pooled_train).unwrap().apply(&pooled_test).unwrap();
        let model = ModelSpec { layers: vec![LayerSpec::Linear { inputs: 13, outputs: 1 }] };
        Self { model, train, test, pooled_test }
    }

    /// All hospitals every round, averaged by training rows.
    pub(crate) fn fedavg(&self, flat: Vec<f32>, order: impl Fn(usize) -> BatchOrder) -> Vec<f32> {
        self.fedavg_of(&[0, 1, 2, 3], flat, order)
    }

    /// The same among some of the hospitals.
    pub(crate) fn fedavg_of(
        &self,
        hospitals: &[usize],
        mut flat: Vec<f32>,
        order: impl Fn(usize) -> BatchOrder,
    ) -> Vec<f32> {
        let total: usize = hospitals.iter().map(|hospital| self.train[*hospital].rows()).sum();
        for round in 1..=ROUNDS {
            let mut next = vec![0.0f64; flat.len()];
            for &hospital in hospitals {
                let data = &self.train[hospital];
                let plan = TrainPlan { learning_rate: 0.001, batch: 4, steps: 100, order: order(hospital) };
                let local = train(&self.model, flat.as_slice(), data, &plan, round, &ComputeDevice::cpu()).unwrap();
                let share = data.rows() as f64 / total as f64;
                next.iter_mut().zip(local).for_each(|(n, v)| *n += share * f64::from(v));
            }
            flat = next.into_iter().map(|v| v as f32).collect();
        }
        flat
    }

    /// On the hospitals' test rows, then on the pooled ones.
    pub(crate) fn evaluate(&self, flat: &[f32]) -> Vec<Metrics> {
        self.test.iter().chain([&self.pooled_test]).map(|data| self.evaluate_on(flat, data)).collect()
    }

    pub(crate) fn evaluate_on(&self, flat: &[f32], data: &Dataset) -> Metrics {
        evaluate(&self.model, flat, data, &ComputeDevice::cpu()).unwrap()
    }
}

/// A row of `init_weights.csv`: seed, 13 weights, bias.
pub(crate) fn first_weights(dir: &Path, seed: u64) -> Vec<f32> {
    let text = fs::read_to_string(dir.join("init_weights.csv")).unwrap();
    let line = text.lines().find(|l| l.starts_with(&format!("{seed},"))).unwrap();
    line.split(',').skip(1).map(|v| v.parse().unwrap()).collect()
}

pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
