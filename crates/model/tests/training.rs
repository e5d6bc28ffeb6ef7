use almoner_model::{
    BatchOrder, Dataset, Model, ModelError, TrainPlan, evaluate, initial_weights, predict, train, train_observed,
};

use crate::support::{cpu, made_up, mlp};

const PLAN: TrainPlan =
    TrainPlan { learning_rate: 0.1, batch: 8, steps: 20, order: BatchOrder::Shuffled { seed: [4; 32] } };

#[test]
fn first_weights_stay_within_the_bound_of_their_layer() {
    let spec = mlp(&[25, 4, 1]);
    let flat = initial_weights(&spec, [1; 32]).unwrap();
    assert_eq!(flat.len(), 109);
    let largest = |part: &[f32]| part.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(largest(&flat[..104]) <= 0.2 && largest(&flat[..104]) > 0.18);
    assert!(largest(&flat[104..]) <= 0.5 && largest(&flat[104..]) > 0.2);
    assert_eq!(flat, initial_weights(&spec, [1; 32]).unwrap());
    assert_ne!(flat, initial_weights(&spec, [2; 32]).unwrap());
}

#[test]
fn weights_come_back_as_they_went_in() {
    let spec = mlp(&[5, 4, 3, 1]);
    let flat = initial_weights(&spec, [3; 32]).unwrap();
    let mut model = Model::build(&spec, flat.as_slice(), &cpu()).unwrap();
    assert_eq!(model.flat(), flat);
    assert_eq!(model.set_flat(vec![0.0; 3]), Err(ModelError::Parameters { expected: 43, got: 3 }));
    model.set_flat(vec![0.0; 43]).unwrap();
    assert!(model.predict(&made_up(3, 5, 1)).unwrap().iter().all(|p| *p == 0.5));
}

/// One step of logistic regression, and of a perceptron with one hidden unit, worked by hand.
#[test]
fn one_step_by_hand() {
    let data = Dataset::new(2, vec![1.0, 2.0, -1.0, 3.0], vec![1.0, 0.0]).unwrap();
    let plan = TrainPlan { learning_rate: 0.5, batch: 2, steps: 1, order: BatchOrder::File };
    // At zero both errors are ±1/2: the gradient is the mean of -x/2 and x'/2.
    let stepped = train(&mlp(&[2, 1]), [0.0; 3], &data, &plan, 1, &cpu()).unwrap();
    close(&stepped, &[0.25, -0.125, 0.0]);
    // Hidden unit h = x1 with ReLU: only row 0 passes it. logits 1·2+0, 0; errors s(2)-1, 1/2.
    let error = 1.0 / (1.0 + (-2.0f32).exp()) - 1.0;
    let stepped = train(&mlp(&[2, 1, 1]), [1.0, 0.0, 0.0, 2.0, 0.0], &data, &plan, 1, &cpu()).unwrap();
    let hidden = 0.25 * 2.0 * error;
    close(&stepped, &[1.0 - hidden, -2.0 * hidden, -hidden, 2.0 - 0.25 * error, -0.25 * (error + 0.5)]);
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-6, "{found:?} {expected:?}");
    }
}

#[test]
fn training_learns_and_repeats_to_the_bit() {
    let (spec, data) = (mlp(&[6, 8, 1]), made_up(120, 6, 8));
    let flat = initial_weights(&spec, [2; 32]).unwrap();
    let mut seen = Vec::new();
    let model = Model::build(&spec, flat.as_slice(), &cpu()).unwrap();
    let trained = train_observed(&model, &data, &PLAN, 1, &mut |step| seen.push(step)).unwrap();
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    assert_eq!(trained, train(&spec, flat.as_slice(), &data, &PLAN, 1, &cpu()).unwrap());
    assert_ne!(trained, train(&spec, flat.as_slice(), &data, &PLAN, 2, &cpu()).unwrap());
    let loss = |flat: &[f32]| evaluate(&spec, flat, &data, &cpu()).unwrap().log_loss;
    assert!(loss(&trained) < loss(&flat));
}

#[test]
fn two_rounds_are_one_round_of_twice_the_steps() {
    let (spec, data) = (mlp(&[6, 1]), made_up(37, 6, 8));
    let once = TrainPlan { steps: 40, ..PLAN };
    let first = train(&spec, [0.0; 7], &data, &PLAN, 1, &cpu()).unwrap();
    let second = train(&spec, first.as_slice(), &data, &PLAN, 2, &cpu()).unwrap();
    assert_eq!(second, train(&spec, [0.0; 7], &data, &once, 1, &cpu()).unwrap());
}

#[test]
fn metrics_by_hand() {
    let data = Dataset::new(1, vec![0.0, 1.0, -1.0, 200.0], vec![1.0, 1.0, 1.0, 0.0]).unwrap();
    let metrics = evaluate(&mlp(&[1, 1]), &[1.0, 0.0], &data, &cpu()).unwrap();
    assert_eq!((metrics.rows, metrics.correct, metrics.accuracy), (4, 1, 0.25));
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    // The last row is certain and wrong: its loss is cut at 100.
    let expected = (2f64.ln() - sigmoid(1.0).ln() - sigmoid(-1.0).ln() + 100.0) / 4.0;
    assert!((metrics.log_loss - expected).abs() < 1e-6, "{metrics:?}");
    let p = predict(&mlp(&[1, 1]), &[1.0, 0.0], &data, &cpu()).unwrap();
    assert!((p[1] - sigmoid(1.0) as f32).abs() < 1e-6 && p[0] == 0.5);
}

#[test]
fn bad_requests_are_errors() {
    let (spec, data) = (mlp(&[6, 1]), made_up(10, 6, 8));
    let ask = |plan: TrainPlan, round| train(&spec, [0.0; 7], &data, &plan, round, &cpu()).unwrap_err();
    for plan in [
        TrainPlan { learning_rate: 0.0, ..PLAN },
        TrainPlan { learning_rate: f64::NAN, ..PLAN },
        TrainPlan { steps: 0, ..PLAN },
        TrainPlan { batch: 0, ..PLAN },
    ] {
        assert!(matches!(ask(plan, 1), ModelError::Plan(_)), "{plan:?}");
    }
    assert!(matches!(ask(PLAN, 0), ModelError::Plan(_)));
    assert!(matches!(ask(PLAN, u64::MAX), ModelError::Plan(_)));
    assert_eq!(ask(TrainPlan { learning_rate: 1e39, ..PLAN }, 1), ModelError::Diverged);
    let wide = made_up(10, 7, 8);
    let features = ModelError::Features { expected: 6, got: 7 };
    assert_eq!(train(&spec, [0.0; 7], &wide, &PLAN, 1, &cpu()), Err(features.clone()));
    assert_eq!(evaluate(&spec, &[0.0; 7], &wide, &cpu()), Err(features));
    assert_eq!(train(&spec, [0.0; 6], &data, &PLAN, 1, &cpu()), Err(ModelError::Parameters { expected: 7, got: 6 }));
    let none = data.select(&[]);
    assert!(matches!(train(&spec, [0.0; 7], &none, &PLAN, 1, &cpu()), Err(ModelError::TooFewRows { .. })));
    assert!(matches!(evaluate(&spec, &[0.0; 7], &none, &cpu()), Err(ModelError::TooFewRows { .. })));
}
