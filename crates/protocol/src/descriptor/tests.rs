use alloy_primitives::Bytes;

use super::*;

const SPEC: &str = r#"
name = "four hospitals"
[model]
layers = [{ type = "linear", inputs = 30, outputs = 16 }, { type = "relu" }, { type = "linear", inputs = 16, outputs = 1 }]
[data]
features = 30
[training]
lr = 0.2
batch = 16
steps = 10
[round]
pot = "1000"
rounds = 10
"#;

struct World {
    spec: FederationSpec,
    members: Vec<Member>,
    committee: Vec<CommitteeMember>,
    validators: Vec<Validator>,
}

fn world(spec: &str) -> World {
    let account = |n: u8| Address::repeat_byte(n);
    let member = |(n, class)| Member { account: account(n), entity: account(n).into_word(), class };
    World {
        spec: FederationSpec::parse(spec).unwrap(),
        members: [(1, 127), (2, 96), (3, 64), (4, 32)].map(member).to_vec(),
        committee: (1..5)
            .map(|n| CommitteeMember { account: account(n), key: Bytes::from(vec![n; PUBLIC_KEY_BYTES]) })
            .collect(),
        validators: (5..8).map(|n| Validator { account: account(n), entity: B256::ZERO, stake: 1 }).collect(),
    }
}

impl World {
    fn facts(&self) -> RoundFacts<'_> {
        RoundFacts {
            federation: 1,
            round: 150,
            parent_ctx: B256::repeat_byte(1),
            base_model_root: B256::repeat_byte(2),
            matrix_root: B256::repeat_byte(3),
            members: &self.members,
            committee: &self.committee,
            validators: &self.validators,
        }
    }

    fn build(&self) -> Result<Descriptor, Error> {
        build_descriptor(&self.spec, &self.facts(), 1_000_000, 77)
    }
}

#[test]
fn what_is_built_is_accepted() {
    let world = world(SPEC);
    let descriptor = world.build().unwrap();
    assert_eq!(check_descriptor(&world.spec, &world.facts(), &descriptor), Ok(()));
    assert_eq!((descriptor.members, descriptor.faults, descriptor.threshold, descriptor.minAdmitted), (4, 1, 3, 3));
    assert_eq!((descriptor.pot, descriptor.epoch), (1077, 1));
    assert_eq!((descriptor.scale.delta, descriptor.scale.updateBits, descriptor.scale.clip), (1 << 17, 15, 1 << 15));
    assert_eq!(descriptor.scalarsMax, 513);
}

#[test]
fn every_changed_field_is_named() {
    let world = world(SPEC);
    let good = world.build().unwrap();
    type Change = (&'static str, fn(&mut Descriptor));
    let changes: [Change; 16] = [
        ("federation", |d| d.federation += 1),
        ("parentCtx", |d| d.parentCtx = B256::ZERO),
        ("specHash", |d| d.specHash = B256::ZERO),
        ("parameters", |d| d.scale.parameters += 1),
        ("clip", |d| d.scale.clip += 1),
        ("delta", |d| d.scale.delta *= 2),
        ("updateMax", |d| d.scale.updateMax -= 1),
        ("directionNorm", |d| d.scale.directionNorm += 1),
        ("threshold", |d| d.threshold -= 1),
        ("minAdmitted", |d| d.minAdmitted += 1),
        ("pot", |d| d.pot = 999),
        ("rule", |d| d.rule = 1),
        ("matrixRoot", |d| d.matrixRoot = B256::ZERO),
        ("committeeRoot", |d| d.lists.committeeRoot = B256::ZERO),
        ("deadlines", |d| d.deadlines[4] += 1),
        ("deadlines", |d| d.deadlines[0] = 0),
    ];
    for (name, change) in changes {
        let mut stated = good.clone();
        change(&mut stated);
        match check_descriptor(&world.spec, &world.facts(), &stated) {
            Err(Error::DescriptorDiffers { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn lists_that_no_round_can_have_are_refused() {
    let refused = |change: &dyn Fn(&mut World)| {
        let mut world = world(SPEC);
        change(&mut world);
        world.build().unwrap_err()
    };
    assert!(matches!(refused(&|w| w.members.swap(0, 1)), Error::ListItem { list: "member", .. }));
    assert!(matches!(refused(&|w| w.committee[0].key = Bytes::new()), Error::ListItem { list: "committee", .. }));
    assert!(matches!(refused(&|w| _ = w.members.remove(0)), Error::Stranger { list: "committee", .. }));
    assert!(matches!(refused(&|w| w.committee.truncate(2)), Error::Descriptor { field: "members", .. }));
    assert!(matches!(refused(&|w| w.members[0].class = 0), Error::Descriptor { field: "membershipRoot", .. }));
    assert!(matches!(refused(&|w| w.validators[0].stake = 1 << 96), Error::Descriptor { field: "validatorRoot", .. }));
    assert!(matches!(refused(&|w| w.spec.rule.min_admitted = Some(5)), Error::Descriptor { field: "minAdmitted", .. }));
    assert!(matches!(refused(&|w| w.spec.round.pot.0 = u128::MAX), Error::Overflow("pot")));
}

#[test]
fn a_leaky_round_needs_consent() {
    let heart = SPEC
        .replace("inputs = 30, outputs = 16", "inputs = 13, outputs = 1")
        .replace(", { type = \"relu\" }, { type = \"linear\", inputs = 16, outputs = 1 }", "");
    let heart = heart.replace("features = 30", "features = 13");
    assert!(matches!(world(&heart).build(), Err(Error::Descriptor { field: "validators", .. })));
    let consent = format!("{heart}[privacy]\naccept_leak = true\nscalars_max = 45\n");
    let descriptor = world(&consent).build().unwrap();
    assert_eq!((descriptor.acceptLeak, descriptor.scalarsMax), (true, 45));
}

/// The field and reason for which a federation file is refused with these seats.
#[track_caller]
fn terms_refused(from: &str, to: &str, members: usize, validators: usize) -> (&'static str, String) {
    assert!(SPEC.contains(from), "{from} is not in the sample");
    let world = world(&SPEC.replace(from, to));
    let all = |n: u8| Member { account: Address::repeat_byte(n), entity: B256::repeat_byte(n), class: 255 };
    let members: Vec<Member> = (0..members as u8).map(all).collect();
    match check_terms(&world.spec, &members, validators).unwrap_err() {
        Error::Descriptor { field, reason } => (field, reason),
        other => panic!("{other}"),
    }
}

#[test]
fn terms_that_break_a_rule_are_refused_before_anybody_is_seated() {
    let open = world(SPEC);
    assert_eq!(check_terms(&open.spec, &open.members, 3), Ok(()));
    // Leak: 31 parameters leave three scalars a round; more need every site's consent.
    let small = "{ type = \"linear\", inputs = 30, outputs = 16 }, { type = \"relu\" }, { type = \"linear\", inputs = 16, outputs = 1 }";
    let (field, reason) = terms_refused(small, "{ type = \"linear\", inputs = 30, outputs = 1 }", 4, 4);
    assert_eq!(field, "validators");
    assert_eq!(
        reason,
        "4 directions a round tell too much about an update of 31 parameters (at most 3): use fewer validators, or \
         set privacy.accept_leak and privacy.scalars_max"
    );
    // Leak: no consent goes beyond what the encryption allows.
    let consent = "rounds = 10\n[privacy]\naccept_leak = true\nscalars_max = 4000";
    let (field, reason) = terms_refused("rounds = 10", consent, 4, 49);
    assert_eq!((field, reason.as_str()), ("validators", "at most 48 directions a round"));
    // Range: a clip that no update scale keeps below the modulus.
    let (field, reason) = terms_refused("rounds = 10", "rounds = 10\n[rule]\nclip = 1048576.0", 4, 3);
    assert_eq!(field, "clip");
    assert_eq!(reason, "no update scale keeps sums and scores in range: lower clip");
    // Admission: more than there are, or fewer than hide each other.
    let (field, reason) = terms_refused("rounds = 10", "rounds = 10\n[rule]\nmin_admitted = 5", 4, 3);
    assert_eq!((field, reason.as_str()), ("minAdmitted", "rule.min_admitted = 5, but 3 to 4 fit this committee"));
    let (field, reason) = terms_refused("rounds = 10", "rounds = 10\n[rule]\nmin_admitted = 4", 10, 3);
    assert_eq!((field, reason.as_str()), ("minAdmitted", "rule.min_admitted = 4, but 5 to 10 fit this committee"));
    // A sample of a hundred is at most 64, and any number of the hundred may be admitted.
    for (wanted, fits) in [(22, false), (23, true), (100, true), (101, false)] {
        let world = world(&SPEC.replace("rounds = 10", &format!("rounds = 10\n[rule]\nmin_admitted = {wanted}")));
        let members = vec![world.members[0].clone(); 100];
        assert_eq!(check_terms(&world.spec, &members, 3).is_ok(), fits, "{wanted}");
    }
    let (field, reason) = terms_refused("rounds = 10", "rounds = 11", 2, 3);
    assert_eq!((field, reason.as_str()), ("members", "a committee has 3 to 64 members, not 2"));
}
