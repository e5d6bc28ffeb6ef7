//! The one-pass per-example clipping against a loop over the examples.

use almoner_model::{
    BatchOrder, Dataset, ModelError, Network, TENSORS_HELD, TrainPlan, initial_weights, per_example_clipped_gradient,
    train,
};
use almoner_protocol::spec::ModelSpec;

use crate::support::{cpu, made_up, mlp};

/// So large that nothing is clipped.
const NONE: f32 = 1e9;

fn gradient(spec: &ModelSpec, flat: &[f32], data: &Dataset, max_norm: f32) -> Vec<f32> {
    per_example_clipped_gradient(spec, flat, data, max_norm, &cpu()).unwrap()
}

fn norm(v: &[f32]) -> f64 {
    v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

/// One row at a time, clipped in f64 on the host.
fn by_loop(spec: &ModelSpec, flat: &[f32], data: &Dataset, max_norm: f64) -> (Vec<f64>, usize) {
    let (mut total, mut clipped) = (vec![0.0; flat.len()], 0);
    for row in 0..data.rows() {
        let one = gradient(spec, flat, &data.select(&[row]), NONE);
        let factor = (max_norm / norm(&one)).min(1.0);
        clipped += usize::from(factor < 1.0);
        total.iter_mut().zip(one).for_each(|(t, v)| *t += factor * f64::from(v));
    }
    total.iter_mut().for_each(|t| *t /= data.rows() as f64);
    (total, clipped)
}

fn check(widths: &[u32], rows: usize, max_norm: f32) {
    let spec = mlp(widths);
    let flat = initial_weights(&spec, [5; 32]).unwrap();
    let data = made_up(rows, widths[0] as usize, 6);
    let fast = gradient(&spec, &flat, &data, max_norm);
    let (slow, clipped) = by_loop(&spec, &flat, &data, max_norm.into());
    assert!(clipped > 0 && clipped < rows, "{clipped} of {rows} clipped tests nothing");
    let difference: Vec<f32> = fast.iter().zip(&slow).map(|(f, s)| f - *s as f32).collect();
    let relative = norm(&difference) / norm(&fast);
    println!("{widths:?}, {clipped} of {rows} rows clipped: relative difference {relative:.1e}");
    assert!(relative < 1e-5);
}

#[test]
fn equals_the_loop_for_logistic_regression() {
    check(&[13, 1], 60, 1.5);
}

#[test]
fn equals_the_loop_for_perceptrons_and_across_chunks() {
    check(&[30, 16, 1], 50, 1.5);
    check(&[6, 9, 5, 1], 1100, 1.0);
}

/// So wide that few rows go through at once, and the gradient is worked out in pieces.
#[test]
fn of_a_wide_model_it_is_what_a_step_takes_off() {
    let spec = mlp(&[4, 300_000, 1]);
    let flat = initial_weights(&spec, [3; 32]).unwrap();
    let data = made_up(5, 4, 8);
    let plan = TrainPlan { learning_rate: 1.0, batch: 5, steps: 1, order: BatchOrder::File };
    let stepped = train(&spec, flat.clone(), &data, &plan, 1, &cpu()).unwrap();
    let gradient = gradient(&spec, &flat, &data, NONE);
    let difference: Vec<f32> = flat.iter().zip(stepped).zip(&gradient).map(|((f, s), g)| f - s - g).collect();
    let relative = norm(&difference) / norm(&gradient);
    assert!(relative < 1e-4, "{relative:.1e}");
    // Rows are clipped as they are where all go through at once.
    check(&[4, 300_000, 1], 5, norm(&gradient) as f32);
}

const INPUTS: usize = 6;
const HIDDEN: usize = 9;

/// Weights of a narrow network, or what goes by weight, with more hidden units of this bias and no other weights.
fn widened(narrow: &[f32], idle: usize, bias: f32) -> Vec<f32> {
    let (weights, rest) = narrow.split_at(INPUTS * HIDDEN);
    let (biases, rest) = rest.split_at(HIDDEN);
    let (out, last) = rest.split_at(HIDDEN);
    let zeros = vec![0.0; idle];
    let mut wide: Vec<f32> = weights.chunks(HIDDEN).flat_map(|row| [row, &zeros].concat()).collect();
    wide.extend([biases, &vec![bias; idle], out, &zeros, last].concat());
    wide
}

/// Units that never fire change nothing but how much a row takes.
#[test]
fn it_is_the_same_however_many_rows_go_through_at_once() {
    const ROWS: usize = 130;
    let data = made_up(ROWS, INPUTS, 4);
    let spec = |idle| mlp(&[INPUTS as u32, (HIDDEN + idle) as u32, 1]);
    let flat = initial_weights(&spec(0), [7; 32]).unwrap();
    let together = gradient(&spec(0), &flat, &data, 1.0);
    for (idle, at_once) in [(0, 1024), (3_400, 102), (35_000, 9), (349_000, 1)] {
        assert_eq!(Network::new(&spec(idle)).unwrap().rows_at_once(TENSORS_HELD), at_once);
        let wide = gradient(&spec(idle), &widened(&flat, idle, -1.0), &data, 1.0);
        let expected = widened(&together, idle, 0.0);
        let difference: Vec<f32> = wide.iter().zip(&expected).map(|(wide, expected)| wide - expected).collect();
        let relative = norm(&difference) / norm(&together);
        println!("{at_once} of {ROWS} rows at once: relative difference {relative:.1e}");
        assert!(relative < 1e-6);
    }
}

/// The most memory that this process ever had, in MiB.
#[cfg(target_os = "linux")]
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// All rows at once would take 300 MiB. Measured in a process of its own: other tests take memory too.
#[test]
#[cfg(target_os = "linux")]
fn what_it_takes_does_not_grow_with_the_rows() {
    const NAME: &str = "clipped::what_it_takes_does_not_grow_with_the_rows";
    const ALONE: &str = "ALMONER_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let ended = alone.args(["--exact", NAME, "--nocapture"]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        return;
    }
    let spec = mlp(&[8, 20_000, 1]);
    let flat = initial_weights(&spec, [3; 32]).unwrap();
    let data = made_up(1000, 8, 2);
    let before = peak_mib();
    gradient(&spec, &flat, &data, 1.0);
    let grown = peak_mib() - before;
    println!("grown by {grown} MiB");
    assert!(grown < 64, "{grown} MiB");
}

#[test]
fn unclipped_it_is_the_gradient_of_the_loss() {
    let spec = mlp(&[4, 3, 1]);
    let flat = initial_weights(&spec, [9; 32]).unwrap();
    let data = made_up(40, 4, 2);
    let loss = |flat: &[f32]| almoner_model::evaluate(&spec, flat, &data, &cpu()).unwrap().log_loss;
    for (at, derivative) in gradient(&spec, &flat, &data, NONE).into_iter().enumerate() {
        let step = 1e-2f32;
        let (mut up, mut down) = (flat.clone(), flat.clone());
        up[at] += step;
        down[at] -= step;
        let slope = (loss(&up) - loss(&down)) / f64::from(up[at] - down[at]);
        assert!((slope - f64::from(derivative)).abs() < 2e-3, "{at}: {slope} {derivative}");
    }
}

#[test]
fn no_example_moves_the_mean_by_more_than_its_share() {
    let spec = mlp(&[5, 1]);
    // One wild row among zeros with zero weights: only the bias of the others matters.
    let mut x = vec![0.0; 50];
    x[..5].fill(1e6);
    let data = Dataset::new(5, x, vec![0.0; 10]).unwrap();
    let mean = gradient(&spec, &[0.0; 6], &data, 1.0);
    assert!(norm(&mean[..5]) <= 0.1 + 1e-6, "{mean:?}");
    assert!((mean[5] - 0.45).abs() < 1e-3, "{mean:?}");
}

#[test]
fn a_model_at_rest_has_a_zero_gradient() {
    let data = Dataset::new(1, vec![0.0; 2], vec![1.0, 0.0]).unwrap();
    // The logit is 200 for label 1: its own gradient underflows to exactly 0 and divides nothing.
    let one = gradient(&mlp(&[1, 1]), &[0.0, 200.0], &data.select(&[0]), 1.0);
    assert_eq!(one, [0.0, 0.0]);
}

#[test]
fn bad_requests_are_errors() {
    let (spec, flat) = (mlp(&[3, 1]), [0.0; 4]);
    let ask = |data: &Dataset, norm| per_example_clipped_gradient(&spec, flat, data, norm, &cpu()).unwrap_err();
    assert_eq!(ask(&made_up(4, 2, 1), 1.0), ModelError::Features { expected: 3, got: 2 });
    assert!(matches!(ask(&made_up(4, 3, 1), 0.0), ModelError::Plan(_)));
    assert!(matches!(ask(&made_up(4, 3, 1), f32::NAN), ModelError::Plan(_)));
    let none = made_up(4, 3, 1).select(&[]);
    assert!(matches!(ask(&none, 1.0), ModelError::TooFewRows { .. }));
}
