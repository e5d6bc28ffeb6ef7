//! The demo's data: breast cancer Wisconsin (diagnostic), dealt to the holders of a federation.
//!
//! 569 real patients, 30 features, label 1 = benign (357), 0 = malignant (212), as bundled with the
//! `smartcore` crate. Every part holds both labels in the proportion of the whole. Rows stay raw:
//! every holder standardises by its own.

use almoner_model::{Dataset, HostRng, ModelError};
use smartcore::dataset::breast_cancer;
use thiserror::Error;

/// Rows only the harness sees.
pub const TEST_ROWS: usize = 100;
/// Rows of each validator.
pub const VALIDATOR_ROWS: usize = 50;
/// Validators.
pub const VALIDATORS: usize = 3;
/// Hospitals' shares of the rows that are left, in percent.
pub const HOSPITAL_PERCENT: [usize; 4] = [40, 30, 20, 10];
/// The hospital whose labels are spoiled unless the demo is asked for clean ones.
pub const MISLABELLED: usize = 1;

const FLIP_STREAM: u64 = 1;

/// Whether the second hospital's labels are spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Half of the second hospital's labels are flipped.
    SecondHospitalFlipped,
    /// All labels are as recorded.
    Clean,
}

/// Some rows of the whole, and which ones.
#[derive(Debug, Clone)]
pub struct Part {
    /// Positions in the bundled data set.
    pub rows: Vec<usize>,
    /// Raw features, labels as the holder believes them to be.
    pub data: Dataset,
}

/// Who holds what.
#[derive(Debug, Clone)]
pub struct DemoSplit {
    /// For the harness alone.
    pub test: Part,
    /// One per validator.
    pub validators: Vec<Part>,
    /// One per hospital.
    pub hospitals: Vec<Part>,
}

/// The bundled data are not what this file says about them.
#[derive(Debug, Error)]
pub enum DemoDataError {
    /// Other rows or columns.
    #[error("the bundled breast cancer data have {rows} rows of {features} features")]
    Shape {
        /// Rows found.
        rows: usize,
        /// Columns found.
        features: usize,
    },
    /// Values or labels out of range.
    #[error("the bundled breast cancer data: {0}")]
    Values(#[from] ModelError),
}

/// The bundled rows, in their order.
pub fn load() -> Result<Dataset, DemoDataError> {
    let bundled = breast_cancer::load_dataset();
    if (bundled.num_samples, bundled.num_features) != (569, 30) {
        return Err(DemoDataError::Shape { rows: bundled.num_samples, features: bundled.num_features });
    }
    let labels = bundled.target.iter().map(|&label| label as f32).collect();
    Ok(Dataset::new(bundled.num_features, bundled.data, labels)?)
}

/// Deals the rows: a pure function of the seed. `labels` changes labels only, not who holds what.
pub fn split(seed: [u8; 32], labels: Labels) -> Result<DemoSplit, DemoDataError> {
    let all = load()?;
    let mut dealt = deal(&all, &part_sizes(all.rows()), seed).into_iter();
    let mut next = || {
        // `part_sizes` lists one part per call below.
        let rows = dealt.next().expect("one part per holder");
        Part { data: all.select(&rows), rows }
    };
    let test = next();
    let validators = (0..VALIDATORS).map(|_| next()).collect();
    let mut hospitals: Vec<Part> = HOSPITAL_PERCENT.iter().map(|_| next()).collect();
    if labels == Labels::SecondHospitalFlipped {
        let held = &mut hospitals[MISLABELLED].data;
        *held = flip_half(held, seed)?;
    }
    Ok(DemoSplit { test, validators, hospitals })
}

/// Test, validators, hospitals.
fn part_sizes(rows: usize) -> Vec<usize> {
    let mut sizes = vec![TEST_ROWS];
    sizes.extend([VALIDATOR_ROWS; VALIDATORS]);
    let left = rows - sizes.iter().sum::<usize>();
    sizes.extend(largest_remainder(left, &HOSPITAL_PERCENT));
    sizes
}

/// Divides `total` in proportion to `percent`; what rounding leaves goes to the largest remainders,
/// the earlier one where two are equal.
fn largest_remainder(total: usize, percent: &[usize]) -> Vec<usize> {
    let whole: usize = percent.iter().sum();
    let mut sizes: Vec<usize> = percent.iter().map(|p| total * p / whole).collect();
    let mut by_remainder: Vec<usize> = (0..percent.len()).collect();
    by_remainder.sort_by_key(|&i| std::cmp::Reverse(total * percent[i] % whole));
    let left = total - sizes.iter().sum::<usize>();
    by_remainder.iter().take(left).for_each(|&i| sizes[i] += 1);
    sizes
}

/// Stratified: after each part, the number of rows of label 1 dealt so far is the rounded share of
/// all rows dealt so far, so every part is within one row of the proportion of the whole.
fn deal(all: &Dataset, sizes: &[usize], seed: [u8; 32]) -> Vec<Vec<usize>> {
    let mut rng = HostRng::new(seed, HostRng::SPLIT, 0);
    let (mut ones, mut zeros): (Vec<usize>, Vec<usize>) =
        rng.permutation(all.rows()).into_iter().partition(|&row| all.y()[row] == 1.0);
    let total_ones = ones.len();
    let (mut dealt, mut dealt_ones) = (0, 0);
    let mut parts = Vec::with_capacity(sizes.len());
    for &size in sizes {
        dealt += size;
        let ones_by_now = (2 * dealt * total_ones + all.rows()) / (2 * all.rows());
        let take_ones = ones_by_now - dealt_ones;
        dealt_ones = ones_by_now;
        let mut part: Vec<usize> = ones.drain(..take_ones).collect();
        part.extend(zeros.drain(..size - take_ones));
        rng.shuffle(&mut part);
        parts.push(part);
    }
    parts
}

/// Flips the labels of half the rows, rounded down.
fn flip_half(data: &Dataset, seed: [u8; 32]) -> Result<Dataset, ModelError> {
    let order = HostRng::new(seed, HostRng::SPLIT, FLIP_STREAM).permutation(data.rows());
    let mut y = data.y().to_vec();
    order.iter().take(data.rows() / 2).for_each(|&row| y[row] = 1.0 - y[row]);
    Dataset::new(data.features(), data.x().to_vec(), y)
}
