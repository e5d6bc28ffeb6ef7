//! Whether what is opened and what is paid follow what each hospital is worth: exact Shapley values, from every
//! coalition trained by itself, beside the scores and the money of the encrypted federations.
//!
//! A coalition's worth is minus the mean log-loss on the test rows of all hospitals, each row standardised by its own
//! hospital, of the model that the coalition trains in fifteen rounds; without anybody, of the first weights.

use std::time::Instant;

use almoner_model::Dataset;

use crate::heart::{ALL_SEEDS, Run, batches_of, judged_rows, runs};
use crate::heart_data::CENTRES;
use crate::plain::Plain;

const HOSPITALS: usize = CENTRES.len();
const LEAST_CORRELATION: f64 = 0.9;

/// Shapley values in nats of log-loss.
fn shapley(plain: &Plain, judged: &Dataset, run: &Run) -> [f64; HOSPITALS] {
    let worth: Vec<f64> = (0..1usize << HOSPITALS).map(|coalition| worth(plain, judged, run, coalition)).collect();
    std::array::from_fn(|hospital| {
        let without = (0..worth.len()).filter(|coalition| coalition & (1 << hospital) == 0);
        without.map(|s| weight(s.count_ones() as usize) * (worth[s | (1 << hospital)] - worth[s])).sum()
    })
}

/// Bit i of `coalition`: hospital i takes part.
fn worth(plain: &Plain, judged: &Dataset, run: &Run, coalition: usize) -> f64 {
    let members: Vec<usize> = (0..HOSPITALS).filter(|hospital| coalition & (1 << hospital) != 0).collect();
    let flat = match members.is_empty() {
        true => run.first.clone(),
        false => plain.fedavg_of(&members, run.first.clone(), |hospital| batches_of(run.seed, hospital)),
    };
    -plain.evaluate_on(&flat, judged).log_loss
}

/// Share of the orders in which exactly these `before` come before a hospital: |S|!·(n−|S|−1)!/n!.
fn weight(before: usize) -> f64 {
    let factorial = |n: usize| (1..=n).product::<usize>() as f64;
    factorial(before) * factorial(HOSPITALS - before - 1) / factorial(HOSPITALS)
}

/// Of the whole; what is below zero counts as nothing.
fn positive_shares(values: [f64; HOSPITALS]) -> [f64; HOSPITALS] {
    let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
    values.map(|value| value.max(0.0) / total)
}

/// Pearson's.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (mean_a, mean_b) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let moment = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(a, b)| of(a - mean_a, b - mean_b)).sum::<f64>();
    moment(&|a, b| a * b) / (moment(&|a, _| a * a) * moment(&|_, b| b * b)).sqrt()
}

#[test]
fn scores_and_pay_follow_shapley_values() {
    let Some((plain, runs)) = runs() else { return };
    let started = Instant::now();
    let judged = judged_rows(plain);
    let (mut scores, mut shares) = (Vec::new(), Vec::new());
    println!("raw score: Σ −w·a over rounds and validators, 1e6 update units; Shapley value: millinats of log-loss");
    println!("seed hospital     raw score  Shapley    paid %  Shapley %");
    for run in runs {
        let values = shapley(plain, &judged, run);
        let paid = positive_shares(run.paid.map(|paid| paid as f64));
        let due = positive_shares(values);
        for i in 0..HOSPITALS {
            let raw = run.raw_scores[i] as f64;
            scores.push((raw, values[i]));
            shares.push((paid[i], due[i]));
            let (raw, value, paid, due) = (raw / 1e6, values[i] * 1e3, paid[i] * 100.0, due[i] * 100.0);
            println!("{:>4} {:<11} {raw:>10.2} {value:>8.2} {paid:>9.1} {due:>10.1}", run.seed, CENTRES[i]);
        }
    }
    let (of_scores, of_shares) = (correlation(&scores), correlation(&shares));
    println!("Pearson over {} pairs: raw scores with Shapley values {of_scores:.3}", scores.len());
    println!("Pearson over {} pairs: shares paid with positive Shapley shares {of_shares:.3}", shares.len());
    println!(
        "{} coalitions trained in {:.1} s",
        ALL_SEEDS.count() * ((1 << HOSPITALS) - 1),
        started.elapsed().as_secs_f64()
    );
    assert!(of_scores >= LEAST_CORRELATION, "{of_scores}");
    assert!(of_shares >= LEAST_CORRELATION, "{of_shares}");
}
