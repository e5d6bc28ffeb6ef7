use proptest::prelude::*;

use super::*;

const DEMO: &str = r#"
name = "breast cancer"
[model]
layers = [
    { type = "linear", inputs = 30, outputs = 16 },
    { type = "relu" },
    { type = "linear", inputs = 16, outputs = 1 },
]
[data]
features = 30
[training]
lr = 0.2
batch = 16
steps = 10
[round]
pot = "1000000000000000000000"
rounds = 10
"#;

fn refused(from: &str, to: &str) -> Error {
    assert!(DEMO.contains(from), "{from} is not in the sample");
    FederationSpec::parse(&DEMO.replace(from, to)).unwrap_err()
}

#[track_caller]
fn check(from: &str, to: &str, field: &str) {
    match refused(from, to) {
        Error::Spec { field: named, .. } => assert_eq!(named, field),
        other => panic!("{other}"),
    }
}

#[test]
fn the_demo_reads_with_its_defaults() {
    let spec = FederationSpec::parse(DEMO).unwrap();
    assert_eq!(spec.model.parameters(), Ok(513));
    assert_eq!(spec.scalars_max(), Ok(513));
    assert_eq!(spec.rule, RuleSpec::default());
    assert_eq!(spec.round.pot, Amount(1_000_000_000_000_000_000_000));
    let names: Vec<_> = spec.model.tensors().into_iter().map(|t| (t.name, t.shape)).collect();
    let expected = [("0.weight", vec![30, 16]), ("0.bias", vec![16]), ("2.weight", vec![16, 1]), ("2.bias", vec![1])];
    assert_eq!(names, expected.map(|(name, shape)| (name.to_owned(), shape)));
}

#[test]
fn the_canonical_form_is_a_fixed_point() {
    let spec = FederationSpec::parse(DEMO).unwrap();
    let bytes = spec.canonical_bytes().unwrap();
    let again = FederationSpec::from_canonical(&bytes).unwrap();
    assert_eq!(again, spec);
    assert_eq!(again.hash(), spec.hash());
    assert!(FederationSpec::from_canonical(DEMO.as_bytes()).is_err());
    assert!(FederationSpec::from_canonical(&[0xff]).is_err());
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    for (from, to) in [
        ("name =", "nmae = \"x\"\nname ="),
        ("features = 30", "features = 30\ncolumns = 3"),
        ("{ type = \"relu\" }", "{ type = \"relu\", slope = 3 }"),
        ("{ type = \"relu\" }", "{ type = \"relu\", inputs = 16 }"),
        ("{ type = \"relu\" }", "{ type = \"gelu\" }"),
        ("inputs = 30, outputs = 16 }", "inputs = 30 }"),
        ("steps = 10", "steps = 10\noptimizer = \"sgd\""),
        ("rounds = 10", "rounds = 10\n[round.deadlines]\nlock = 3"),
        ("rounds = 10", "rounds = 10\n[privacy]\nleak = true"),
        ("rounds = 10", "rounds = 10\n[rule]\nrule = 1"),
        ("pot = \"1000000000000000000000\"", "pot = 1000"),
        ("pot = \"1000000000000000000000\"", "pot = \"+1\""),
        ("pot = \"1000000000000000000000\"", "pot = \"340282366920938463463374607431768211456\""),
    ] {
        assert!(matches!(refused(from, to), Error::SpecSyntax(_)), "{to}");
    }
}

/// Of the documentation; the demo runs them.
const SAMPLES: [(&str, &str, u32); 3] = [
    ("breast-cancer", include_str!("../../../../docs/config/breast-cancer.toml"), 513),
    ("breast-cancer-logistic", include_str!("../../../../docs/config/breast-cancer-logistic.toml"), 31),
    ("heart", include_str!("../../../../docs/config/heart.toml"), 14),
];

#[test]
fn the_sample_files_read() {
    for (name, text, parameters) in SAMPLES {
        let spec = FederationSpec::parse(text).unwrap();
        assert_eq!((spec.name.as_str(), spec.model.parameters()), (name, Ok(parameters)));
    }
}

#[test]
fn an_unknown_key_of_a_sample_is_refused_by_name() {
    for (name, text, _) in SAMPLES {
        for section in ["[model]", "[data]", "[training]", "[rule]", "[round]"] {
            assert!(text.contains(section), "{name}: {section}");
            let text = text.replace(section, &format!("{section}\nlearning = 1"));
            let Error::SpecSyntax(said) = FederationSpec::parse(&text).unwrap_err() else { panic!("{name}") };
            assert!(said.contains("unknown field `learning`"), "{name} {section}: {said}");
        }
        let Error::SpecSyntax(said) = FederationSpec::parse(&format!("title = 1\n{text}")).unwrap_err() else {
            panic!("{name}")
        };
        assert!(said.contains("unknown field `title`"), "{name}: {said}");
    }
}

#[test]
fn what_cannot_work_names_its_field() {
    check("\"breast cancer\"", "\"\"", "name");
    check("inputs = 16, outputs = 1", "inputs = 17, outputs = 1", "model.layers[2].inputs");
    check("inputs = 16, outputs = 1", "inputs = 16, outputs = 2", "model.layers");
    check("outputs = 16", "outputs = 0", "model.layers[0]");
    check("features = 30", "features = 31", "model.layers[0].inputs");
    check("features = 30", "features = 30\nlabel_max = 2", "data.label_min");
    check("features = 30", "features = 30\nlabel_min = nan", "data.label_min");
    check("lr = 0.2", "lr = nan", "training.lr");
    check("lr = 0.2", "lr = 0", "training.lr");
    check("batch = 16", "batch = 0", "training.batch");
    check("steps = 10", "steps = 0", "training.steps");
    check("rounds = 10", "rounds = 0", "round.rounds");
    check("rounds = 10", "rounds = 10\n[round.deadlines]\nlock_s = 0", "round.deadlines");
    check("rounds = 10", "rounds = 10\n[rule]\nclip = inf", "rule.clip");
    check("rounds = 10", "rounds = 10\n[rule]\nfrac_bits = 31", "rule.frac_bits");
    check("rounds = 10", "rounds = 10\n[rule]\npayment = \"multiplier\"", "rule.payment");
    check("rounds = 10", "rounds = 10\n[rule]\nfee_bps = 10001", "rule.fee_bps");
    check("rounds = 10", "rounds = 10\n[rule]\nmin_admitted = 2", "rule.min_admitted");
    check("rounds = 10", "rounds = 10\n[rule]\nlr_den = 0", "rule.lr_den");
    check("rounds = 10", "rounds = 10\n[privacy]\naccept_leak = true", "privacy.scalars_max");
    check("rounds = 10", "rounds = 10\n[privacy]\nscalars_max = 514", "privacy.scalars_max");
}

#[test]
fn sizes_that_overflow_are_refused() {
    let huge = "inputs = 30, outputs = 4294967295 },\n{ type = \"linear\", inputs = 4294967295, outputs = 16";
    check("inputs = 30, outputs = 16", huge, "model.layers");
}

#[test]
fn the_floor_is_in_units_of_quality() {
    let floor = |bps| RuleSpec { quality_floor_bps: bps, ..RuleSpec::default() }.quality_floor();
    assert_eq!([0, 1, 5000, 10_000].map(floor), [0, 429_496, 1 << 31, 1 << 32]);
}

#[test]
fn shapes_of_one_size_have_different_digests() {
    let digest = |inputs, outputs| ModelSpec { layers: vec![LayerSpec::Linear { inputs, outputs }] }.shape_digest();
    assert_ne!(digest(2, 3), digest(3, 2));
}

#[test]
fn deadlines_add_up_from_the_opening() {
    let deadlines = DeadlineSpec::default().from_opening(1000).unwrap();
    assert_eq!(deadlines[0], 2800);
    assert!(deadlines.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(DeadlineSpec::default().from_opening(u64::MAX).is_err());
}

proptest! {
    #[test]
    fn garbage_is_an_error(text in "\\PC{0,200}") {
        prop_assert!(FederationSpec::parse(&text).is_err());
    }

    #[test]
    fn canonical_bytes_read_back(lr in 1e-6f64..1e3, clip in 1e-3f64..1e3, pot in any::<u128>(), leak in any::<bool>()) {
        let mut spec = FederationSpec::parse(DEMO).unwrap();
        spec.training.lr = lr;
        spec.rule.clip = clip;
        spec.round.pot = Amount(pot);
        spec.privacy = PrivacySpec { accept_leak: leak, scalars_max: Some(7) };
        let bytes = spec.canonical_bytes().unwrap();
        prop_assert_eq!(FederationSpec::from_canonical(&bytes).unwrap(), spec);
    }
}
