//! Rounds that lose somebody on the way: some go on, the others end with names.

use super::driver::{Driver, Faults};
use super::world::{POT, World};
use crate::Address;
use crate::round::*;
use crate::types::Stage;

fn run(faults: Faults) -> Driver {
    Driver::new(World::new(), faults).run()
}

fn settled(faults: Faults) -> Driver {
    let driver = run(faults);
    assert_eq!(driver.round.state(), State::Settled, "{:?} {:?}", driver.rejected, driver.round.end());
    assert_eq!(driver.admit_roots.len(), 1);
    driver
}

fn voided(faults: Faults) -> (VoidReason, Vec<Fault>, Driver) {
    let driver = run(faults);
    assert_eq!(driver.round.state(), State::Void, "{:?}", driver.rejected);
    assert_eq!(driver.round.end().unwrap().confirmation, Confirmation::OnChain);
    assert_eq!(driver.proposed, []);
    let (reason, faults) = driver.voided[0].clone();
    (reason, faults, driver)
}

fn silent(stage: Stage, members: &[usize]) -> std::collections::BTreeSet<(Stage, usize)> {
    members.iter().map(|member| (stage, *member)).collect()
}

fn account(driver: &Driver, member: usize) -> Address {
    driver.world.members[member].account
}

#[test]
fn one_silent_member_is_tolerated_everywhere() {
    for member in 0..4 {
        let no_ack = [silent(Stage::Direction, &[member]), silent(Stage::Admit, &[member])].concat_sets();
        let no_answer = [silent(Stage::Score, &[member]), silent(Stage::Open, &[member])].concat_sets();
        let driver = settled(Faults { no_ack, no_answer, ..Faults::default() });
        let member = account(&driver, member);
        assert!(driver.round.shortcomings().contains(&Fault::NoAnswer { member, stage: Stage::Score }));
        assert!(driver.round.shortcomings().contains(&Fault::NoAnswer { member, stage: Stage::Open }));
    }
}

#[test]
fn two_silent_members_void_the_round_and_are_named() {
    let cases = [
        (Faults { no_answer: silent(Stage::Score, &[1, 2]), ..Faults::default() }, 0),
        (Faults { no_ack: silent(Stage::Admit, &[1, 2]), ..Faults::default() }, 1),
        (Faults { no_answer: silent(Stage::Open, &[1, 2]), ..Faults::default() }, 1),
    ];
    for (faults, admit_roots) in cases {
        let (reason, named, driver) = voided(faults);
        assert!(matches!(
            reason,
            VoidReason::TooFewAnswers { have: 2, need: 3, .. } | VoidReason::TooFewAcks { have: 2, need: 3, .. }
        ));
        let named: Vec<Address> = named
            .iter()
            .map(|fault| match fault {
                Fault::NoAck { member, .. } | Fault::NoAnswer { member, .. } => *member,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(named, [account(&driver, 1), account(&driver, 2)]);
        assert_eq!(driver.admit_roots.len(), admit_roots);
        assert!(driver.round.posted(Stage::Open).is_none(), "nothing was opened");
    }
}

#[test]
fn without_acknowledgements_nothing_is_answered() {
    let (reason, named, driver) = voided(Faults { no_ack: silent(Stage::Direction, &[0, 3]), ..Faults::default() });
    assert_eq!(reason, VoidReason::TooFewAcks { stage: Stage::Direction, have: 2, need: 3 });
    assert_eq!(named.len(), 2);
    assert_eq!(driver.round.scores.answers(), 0);
}

#[test]
fn too_few_uploads() {
    let driver = settled(Faults { no_upload: [2].into(), ..Faults::default() });
    let participant = account(&driver, 2);
    assert_eq!(driver.round.shortcomings(), [Fault::NoUpload { participant }]);

    let (reason, named, driver) = voided(Faults { no_upload: [2, 3].into(), ..Faults::default() });
    assert_eq!(reason, VoidReason::TooFewUploads { have: 2, need: 3 });
    let missing = [2, 3].map(|member| Fault::NoUpload { participant: account(&driver, member) });
    assert_eq!(named, missing);
}

#[test]
fn too_few_valid() {
    let driver = settled(Faults { bad_uploads: [0].into(), ..Faults::default() });
    assert!(driver.round.sum_weights().iter().all(|weight| weight.participant != account(&driver, 0)));

    let (reason, named, driver) = voided(Faults { bad_uploads: [0, 1].into(), ..Faults::default() });
    assert_eq!(reason, VoidReason::TooFewValid { have: 2, need: 3 });
    let participant = account(&driver, 0);
    assert!(named.contains(&Fault::Refused { participant, stage: Stage::Audit, verdict: 3 }));
    assert!(driver.round.root(Stage::Admit).is_none());
}

#[test]
fn a_lying_member_is_routed_around() {
    for liar in 0..4 {
        let driver = settled(Faults { wrong_scores: [liar].into(), wrong_sums: [liar].into(), ..Faults::default() });
        assert_eq!(driver.proposed, [POT]);
        assert_eq!(driver.round.sum_weights().len(), 4);
    }
}

/// One subset of the three answers, and it is wrong: rows stay closed and wait for the straggler, who never comes.
#[test]
fn a_liar_beside_a_silent_member_throws_out_everybody() {
    let faults = Faults { wrong_scores: [0].into(), no_answer: silent(Stage::Score, &[3]), ..Faults::default() };
    let (reason, named, driver) = voided(faults);
    assert_eq!(reason, VoidReason::TooFewValid { have: 0, need: 3 });
    assert_eq!(named.len(), 4);
    assert!(driver.round.root(Stage::Admit).is_none());
}

#[test]
fn a_straggler_saves_the_rows_that_a_liar_closed() {
    let faults = Faults { wrong_scores: [0].into(), no_answer: silent(Stage::Score, &[3]), ..Faults::default() };
    let mut driver = Driver::new(World::new(), faults).run_until(State::Audited);
    let half = super::super::timing::half_time(
        driver.round.posted(Stage::Audit).unwrap().at,
        driver.world.deadline(Stage::Score),
    );
    while !driver.queue.is_empty() {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    driver.now = half;
    driver.feed(Event::TimePassed).unwrap();
    assert!(driver.round.root(Stage::Score).is_none());
    let participants = driver.round.valid_set();
    let event = driver.world.score_answer(3, &participants, 3);
    driver.feed(event).unwrap();
    assert_eq!(driver.run().round.state(), State::Settled);
}

#[test]
fn wrong_sums_expire_with_names() {
    let driver = run(Faults { wrong_sums: [0, 1].into(), ..Faults::default() });
    assert_eq!(driver.round.state(), State::Expired);
    let members = (0..4).map(|member| account(&driver, member)).collect();
    assert_eq!(driver.expired, [(Stage::Open, vec![Fault::WrongAnswers { members }])]);
    assert_eq!(driver.proposed, []);
}

#[test]
fn validators_that_withhold() {
    // One of three: scored by the others.
    let driver = settled(Faults { no_reveal: [1].into(), ..Faults::default() });
    let validator = driver.world.validators[1].account;
    assert_eq!(driver.round.shortcomings(), [Fault::NoReveal { validator }]);
    assert_eq!(driver.proposed, [POT]);

    // Promised and shown by too few: the sum stands, nobody is paid, the pot is carried.
    for faults in [
        Faults { no_reveal: [0, 1].into(), ..Faults::default() },
        Faults { no_reveal: [0, 1, 2].into(), ..Faults::default() },
        Faults { no_promise: [0, 1, 2].into(), ..Faults::default() },
    ] {
        let driver = settled(faults);
        assert_eq!(driver.proposed, [0]);
        assert_eq!(driver.round.sum_weights().len(), 4);
    }
}

#[test]
fn a_censored_coordinator_expires() {
    for stage in [Stage::Promise, Stage::Lock, Stage::Audit, Stage::Score, Stage::Sum, Stage::Settle] {
        let driver = run(Faults { censored: [stage].into(), ..Faults::default() });
        assert_eq!(driver.round.state(), State::Expired);
        let coordinator = driver.world.setup.coordinator;
        assert_eq!(driver.expired, [(stage, vec![Fault::NotPosted { coordinator, stage }])]);
        assert_eq!(driver.round.end().unwrap().cause, Cause::Expired(Some(stage)));
    }
}

#[test]
fn a_confirmation_that_comes_after_the_deadline_still_counts() {
    let mut driver = Driver::new(World::new(), Faults { censored: [Stage::Lock].into(), ..Faults::default() });
    driver = driver.run_until(State::Training);
    while !driver.queue.is_empty() {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    let at = driver.now;
    driver.now = driver.world.deadline(Stage::Lock) + 1;
    let effects = driver.round.step(Event::TimePassed, driver.now).unwrap();
    assert!(matches!(effects[..], [Effect::ExpireRound { stage: Stage::Lock, .. }]));
    let root = driver.round.root(Stage::Lock).unwrap();
    let transcript = driver.round.posts.transcript(Stage::Lock).unwrap();
    let posting = super::world::posting(Stage::Lock, root);
    let finality = Finality::Final;
    driver.feed(Event::StagePosted { stage: Stage::Lock, posting, transcript, at, finality }).unwrap();
    assert_eq!(driver.round.state(), State::Locked);
}

#[test]
fn a_researcher_stops_a_round_until_a_set_is_shown() {
    let mut driver = Driver::honest().run_until(State::Audited);
    driver.feed(Event::StopRequested).unwrap();
    let driver = driver.run();
    assert_eq!(driver.round.state(), State::Void);
    assert_eq!(driver.voided, [(VoidReason::Stopped, vec![])]);

    let mut driver = Driver::honest().run_until(State::Scored);
    driver.feed(Event::StopRequested).unwrap_err();
    assert_eq!(driver.run().round.state(), State::Settled);
}

#[test]
fn a_set_too_close_to_an_earlier_one_is_never_shown() {
    let world = |set: &[usize]| {
        let mut world = World::new();
        world.setup.earlier_sets = vec![set.iter().map(|member| world.members[*member].account).collect()];
        world
    };
    let driver = Driver::new(world(&[0, 1, 2]), Faults::default()).run();
    assert_eq!(driver.voided, [(VoidReason::SetTooClose, vec![])]);
    assert_eq!(driver.admit_roots.len(), 0);
    for same_or_far in [&[0, 1, 2, 3][..], &[0, 1]] {
        let driver = Driver::new(world(same_or_far), Faults::default()).run();
        assert_eq!(driver.round.state(), State::Settled);
    }
}

trait ConcatSets {
    fn concat_sets(self) -> std::collections::BTreeSet<(Stage, usize)>;
}

impl<const N: usize> ConcatSets for [std::collections::BTreeSet<(Stage, usize)>; N] {
    fn concat_sets(self) -> std::collections::BTreeSet<(Stage, usize)> {
        self.into_iter().flatten().collect()
    }
}
