//! Who takes part in a local federation and what each of them holds.
//!
//! The harness alone knows which labels are flipped and holds the rows the model is judged by; no role sees either.

use std::path::Path;

use almoner_model::{Dataset, HostRng, Standardiser, initial_weights};
use almoner_protocol::spec::FederationSpec;

use super::breast_cancer::{self, DemoSplit, Labels, MISLABELLED};
use super::heart;
use super::seeds::Seeds;
use crate::failure::{Blame, Failure, Kind};

const BREAST_CANCER: &str = include_str!("../../../../docs/config/breast-cancer.toml");
const BREAST_CANCER_LOGISTIC: &str = include_str!("../../../../docs/config/breast-cancer-logistic.toml");
const HEART: &str = include_str!("../../../../docs/config/heart.toml");

/// Rows a validator of the heart federation holds; the least the design recommends.
const HEART_VALIDATOR_ROWS: usize = 50;
const HEART_VALIDATORS: usize = 3;

/// One site and its rows, standardised by itself.
#[derive(Clone, Debug)]
pub struct Holder {
    pub name: String,
    pub data: Dataset,
    /// The harness's knowledge; no role reads it.
    pub mislabelled: bool,
}

/// A federation to be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub spec: FederationSpec,
    pub hospitals: Vec<Holder>,
    pub validators: Vec<Holder>,
    /// The harness's rows, standardised by the statistics of all training rows.
    pub test: Dataset,
    /// All training rows in one place, which nobody in the federation has.
    pub pooled: Dataset,
    pub initial: Vec<f32>,
}

/// The model trained on breast cancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ModelChoice {
    /// 30-16-1 with ReLU, 513 parameters.
    Mlp,
    /// 30-1, 31 parameters.
    Logistic,
}

fn holder(name: impl Into<String>, raw: &Dataset, mislabelled: bool) -> Result<Holder, Failure> {
    Ok(Holder { name: name.into(), data: Standardiser::by_own_rows(raw)?, mislabelled })
}

/// The harness's rows and the pooled rows, both by pooled training statistics.
fn harness(training: &[&Dataset], test: &Dataset) -> Result<(Dataset, Dataset), Failure> {
    let pooled = Dataset::concat(training)?;
    let standard = Standardiser::fit(&pooled)?;
    Ok((standard.apply(test)?, standard.apply(&pooled)?))
}

/// Breast cancer Wisconsin: four hospitals, three validators, a hundred rows for the harness.
pub fn breast_cancer(model: ModelChoice, labels: Labels, seeds: &Seeds) -> Result<Scenario, Failure> {
    let text = match model {
        ModelChoice::Mlp => BREAST_CANCER,
        ModelChoice::Logistic => BREAST_CANCER_LOGISTIC,
    };
    let spec = FederationSpec::parse(text)?;
    let DemoSplit { test, validators, hospitals } = breast_cancer::split(seeds.derive("split", 0), labels)?;
    let training: Vec<&Dataset> = hospitals.iter().map(|part| &part.data).collect();
    let (test, pooled) = harness(&training, &test.data)?;
    let flipped = |i| labels == Labels::SecondHospitalFlipped && i == MISLABELLED;
    let named = |kind: &str, parts: &[breast_cancer::Part], flip: &dyn Fn(usize) -> bool| {
        let holders =
            parts.iter().enumerate().map(|(i, part)| holder(format!("{kind} {}", i + 1), &part.data, flip(i)));
        holders.collect::<Result<Vec<_>, _>>()
    };
    Ok(Scenario {
        initial: initial_weights(&spec.model, seeds.derive("initial", 0))?,
        hospitals: named("hospital", &hospitals, &flipped)?,
        validators: named("validator", &validators, &|_| false)?,
        spec,
        test,
        pooled,
    })
}

/// The four heart hospitals; their test rows are dealt to three validators and the harness.
pub fn heart(dir: &Path, seeds: &Seeds) -> Result<Scenario, Failure> {
    if !heart::is_heart_dir(dir) {
        return Err(Failure::you(format!(
            "--data {}: expected processed.cleveland.data, processed.hungarian.data, processed.switzerland.data, \
             processed.va.data and split_seed43.csv in it",
            dir.display()
        )));
    }
    let centres = heart::load(dir).blame(Kind::You, format!("--data {}", dir.display()))?;
    let spec = FederationSpec::parse(HEART)?;
    let (_, raw_test) = heart::pooled(&centres)?;
    let (have, need) = (raw_test.rows(), HEART_VALIDATORS * HEART_VALIDATOR_ROWS + 1);
    if have < need {
        let path = dir.join(heart::SPLIT_FILE);
        let few = heart::HeartError::TooFewTestRows { path, have, need };
        return Err(few).blame(Kind::You, format!("--data {}", dir.display()));
    }
    let order = HostRng::new(seeds.derive("split", 0), HostRng::SPLIT, 0).permutation(raw_test.rows());
    let (held, rest) = order.split_at(need - 1);
    let training: Vec<&Dataset> = centres.iter().map(|centre| &centre.train).collect();
    let (test, pooled) = harness(&training, &raw_test.select(rest))?;
    let validators = held
        .chunks(HEART_VALIDATOR_ROWS)
        .enumerate()
        .map(|(i, rows)| holder(format!("validator {}", i + 1), &raw_test.select(rows), false));
    Ok(Scenario {
        initial: initial_weights(&spec.model, seeds.derive("initial", 0))?,
        hospitals: centres.iter().map(|c| holder(c.name, &c.train, false)).collect::<Result<_, _>>()?,
        validators: validators.collect::<Result<_, _>>()?,
        spec,
        test,
        pooled,
    })
}
