//! The main job ten times over: what it learns and whom it pays, from one to ten by seed.

use std::path::Path;

use crate::{amount, demo};

const SEEDS: std::ops::RangeInclusive<u32> = 1..=10;
/// The hospital whose labels are flipped.
const SECOND: usize = 1;

/// What one run of ten rounds came to. Its money is checked to the base unit.
struct Run {
    accuracy: f64,
    /// The second hospital's pay over the least pay of another.
    second_over_least: f64,
    seconds: f64,
}

impl Run {
    fn of(dir: &Path, options: &[&str]) -> Self {
        let run = demo(dir, options);
        let rounds = run["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 10);
        assert_eq!(run["audit"]["checks"], run["audit"]["held"]);
        let hospitals = run["participants"].as_array().unwrap();
        let people = || hospitals.iter().chain(run["validators"].as_array().unwrap());
        let sum = |field: &str| people().map(|person| amount(&person[field])).sum::<u128>();
        assert_eq!(sum("earned"), sum("balance"));
        assert!(sum("earned") <= amount(&run["pot_total"]), "{} of {}", sum("earned"), run["pot_total"]);
        let earned: Vec<u128> = hospitals.iter().map(|person| amount(&person["earned"])).collect();
        let others = earned.iter().enumerate().filter(|(hospital, _)| *hospital != SECOND);
        let least = others.map(|(_, earned)| *earned).min().unwrap();
        Self {
            accuracy: rounds[9]["accuracy"].as_f64().unwrap(),
            second_over_least: earned[SECOND] as f64 / least as f64,
            seconds: run["seconds"].as_f64().unwrap(),
        }
    }

    fn second_is_hardly_paid(&self) -> bool {
        self.second_over_least < 0.25
    }
}

#[test]
fn ten_seeds_learn_and_do_not_pay_for_flipped_labels() {
    let home = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    println!("test accuracy after 10 rounds; hospital 2's pay over the least of the others'; seconds of both runs");
    println!("seed  accuracy  labels flipped   clean  seconds");
    for seed in SEEDS {
        let number = seed.to_string();
        let flipped = Run::of(&home.path().join(format!("{seed}-flipped")), &["--seed", &number]);
        let clean = Run::of(&home.path().join(format!("{seed}-clean")), &["--seed", &number, "--clean-labels"]);
        let (accuracy, seconds) = (flipped.accuracy, flipped.seconds + clean.seconds);
        let (spoiled, sound) = (flipped.second_over_least, clean.second_over_least);
        println!("{seed:>4} {accuracy:>9.2} {spoiled:>15.3} {sound:>7.3} {seconds:>8.1}");
        runs.push((flipped, clean));
    }
    let accuracies: Vec<f64> = runs.iter().map(|(flipped, _)| flipped.accuracy).collect();
    let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
    let lowest = accuracies.iter().copied().fold(f64::INFINITY, f64::min);
    let flipped = runs.iter().filter(|(flipped, _)| flipped.second_is_hardly_paid()).count();
    let clean = runs.iter().filter(|(_, clean)| clean.second_is_hardly_paid()).count();
    println!("accuracy: mean {mean:.3}, lowest {lowest:.2}");
    println!("hospital 2 earns less than a quarter of the next least: {flipped} of 10 flipped, {clean} of 10 clean");
    assert!(mean >= 0.95, "{accuracies:?}");
    assert!(lowest >= 0.90, "{accuracies:?}");
    assert!(flipped >= 9, "{flipped}");
    assert_eq!(clean, 0);
}
