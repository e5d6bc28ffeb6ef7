use almoner_model::{BatchOrder, Batches, HostRng, ModelError};

const SHUFFLED: BatchOrder = BatchOrder::Shuffled { seed: [7; 32] };

fn take(order: BatchOrder, rows: usize, batch: usize, step: u64, count: usize) -> Vec<Vec<usize>> {
    let mut batches = Batches::from_step(order, rows, batch, step).unwrap();
    (0..count).map(|_| batches.next_batch().to_vec()).collect()
}

#[test]
fn file_order_wraps_and_uses_the_smaller_last_batch() {
    let expected = vec![vec![0, 1, 2, 3], vec![4, 5], vec![0, 1, 2, 3], vec![4, 5]];
    assert_eq!(take(BatchOrder::File, 6, 4, 0, 4), expected);
    assert_eq!(take(BatchOrder::File, 6, 4, 3, 2), [vec![4, 5], vec![0, 1, 2, 3]]);
    assert_eq!(take(BatchOrder::File, 2, 4, 0, 2), [[0, 1], [0, 1]]);
}

#[test]
fn the_stream_goes_on_wherever_it_is_entered() {
    let whole = take(SHUFFLED, 23, 4, 0, 50);
    for step in [0, 1, 5, 6, 17, 49] {
        let from = take(SHUFFLED, 23, 4, step, 50 - step as usize);
        assert_eq!(from, whole[step as usize..], "from step {step}");
    }
    assert_eq!(take(SHUFFLED, 23, 4, u64::MAX - 1, 1).len(), 1);
}

#[test]
fn every_epoch_takes_every_row_once_in_a_new_order() {
    let epochs: Vec<Vec<usize>> = take(SHUFFLED, 23, 4, 0, 18).chunks(6).map(<[_]>::concat).collect();
    for epoch in &epochs {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..23).collect::<Vec<_>>());
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_ne!(take(BatchOrder::Shuffled { seed: [8; 32] }, 23, 4, 0, 6).concat(), epochs[0]);
}

#[test]
fn no_rows_and_no_batch_are_errors() {
    let rows = Batches::from_step(SHUFFLED, 0, 4, 0).unwrap_err();
    assert!(matches!(rows, ModelError::TooFewRows { got: 0, .. }));
    assert!(matches!(Batches::from_step(SHUFFLED, 4, 0, 0), Err(ModelError::Plan(_))));
}

#[test]
fn purposes_and_numbers_have_streams_of_their_own() {
    let first = |purpose, number| HostRng::new([1; 32], purpose, number).below(1 << 60);
    let draws = [
        first(HostRng::INIT, 0),
        first(HostRng::SHUFFLE, 0),
        first(HostRng::SHUFFLE, 1),
        first(HostRng::NOISE, 0),
        first(HostRng::SPLIT, 0),
    ];
    for (at, draw) in draws.iter().enumerate() {
        assert!(!draws[..at].contains(draw));
    }
    assert_eq!(first(HostRng::NOISE, 0), draws[3]);
}

#[test]
fn draws_have_the_moments_of_their_distributions() {
    let mut rng = HostRng::new([3; 32], HostRng::NOISE, 9);
    let n = 40_000;
    let normal: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
    let mean = normal.iter().sum::<f64>() / f64::from(n);
    let variance = normal.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
    assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    let mut counts = [0; 5];
    (0..n).for_each(|_| counts[rng.below(5) as usize] += 1);
    assert!(counts.iter().all(|c: &i32| c.abs_diff(8_000) < 400), "{counts:?}");
    assert!((0..1000).all(|_| (0.0..1.0).contains(&rng.uniform())));
}
