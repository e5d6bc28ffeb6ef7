//! What peers must not send, and that each refusal names its sender and changes nothing.

use almoner_crypto::ring::Q;

use super::driver::{Driver, Faults};
use super::world::{World, posting};
use crate::round::*;
use crate::types::{Contribution, Stage};
use crate::{B256, Bytes, pack_direction};

/// Feeds an event that must be refused without a trace.
fn check(driver: &mut Driver, event: Event) -> Rejection {
    let before = driver.round.clone();
    let rejection = driver.round.step(event, driver.now + 10_000).unwrap_err();
    assert_eq!(driver.round, before);
    rejection
}

fn equivocation(rejection: Rejection, driver: &Driver, member: usize) {
    let account = driver.world.members[member].account;
    assert!(matches!(rejection, Rejection::Equivocation { account: named, .. } if named == account), "{rejection}");
    assert_eq!(rejection.blame(), Blame::Peer);
    assert_eq!(rejection.account(), Some(account));
}

/// What is said again, or comes too late to matter, is no news: nobody fills a journal with it, whatever is sent along.
#[test]
fn what_is_said_again_is_no_news() {
    let mut driver = Driver::honest().run_until(State::Locked);
    driver.queue.retain(|event| !matches!(event, Event::RevealReceived { .. }));
    let hear = |driver: &mut Driver, event: Event, news: bool| {
        let before = driver.round.clone();
        let (effects, found) = driver.round.step_if_news(event, driver.now).unwrap();
        assert_eq!(found, news);
        assert!(news || (driver.round == before && effects.is_empty()), "{effects:?}");
    };
    let Event::RevealReceived { reveal, entries, signature } = driver.world.reveal(0) else { unreachable!() };
    let event = |entries: &Bytes| {
        let (reveal, signature) = (reveal.clone(), signature.clone());
        Event::RevealReceived { reveal, entries: entries.clone(), signature }
    };
    hear(&mut driver, event(&entries), true);
    driver.now += 7;
    hear(&mut driver, event(&entries), false);
    hear(&mut driver, event(&vec![0; 1 << 20].into()), false);
    hear(&mut driver, Event::TimePassed, false);
}

#[test]
fn one_upload_each() {
    let mut driver = Driver::honest().run_until(State::Training);
    driver.queue.retain(|event| !matches!(event, Event::ContributionReceived { .. }));
    let first = driver.world.upload(0);
    driver.feed(first.clone()).unwrap();
    while !driver.queue.is_empty() {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    let account = driver.world.members[0].account;
    // The same again: the same receipt again, at any time.
    driver.now += 5;
    driver.feed(first.clone()).unwrap();
    assert_eq!(driver.receipts[&account].len(), 2);
    assert_eq!(driver.receipts[&account][0], driver.receipts[&account][1]);

    let other = Contribution { normClass: 1, ..driver.world.manifest(0) };
    let event = driver.world.upload_of(0, other.clone());
    equivocation(check(&mut driver, event), &driver, 0);
    let Event::ContributionReceived { signature, .. } = driver.world.upload_of(0, other) else { unreachable!() };
    let manifest = Contribution { normClass: 1, ..driver.world.manifest(0) };
    let event = Event::ContributionCommitted { manifest, signature, at: driver.now };
    equivocation(check(&mut driver, event), &driver, 0);
}

#[test]
fn uploads_are_checked() {
    let mut driver = Driver::honest();
    // Promises come before the first upload.
    let event = driver.world.upload(0);
    assert_eq!(check(&mut driver, event).blame(), Blame::Retry);
    driver = driver.run_until(State::Training);

    let good = driver.world.manifest(1);
    let bad = [
        Contribution { blocks: 2, ..good.clone() },
        Contribution { normClass: 64, ..good.clone() },
        Contribution { ciphertextCid: Bytes::new(), ..good.clone() },
        Contribution { checkCid: vec![0; 65].into(), ..good.clone() },
        Contribution { ctx: B256::ZERO, ..good.clone() },
        Contribution { participant: driver.world.validators[0].account, ..good.clone() },
        Contribution { participant: driver.world.members[2].account, ..good.clone() },
    ];
    for manifest in bad {
        let event = driver.world.upload_of(1, manifest);
        assert_eq!(check(&mut driver, event).blame(), Blame::Peer);
    }
    let Event::ContributionReceived { signature, .. } = driver.world.upload(1) else { unreachable!() };
    let event = Event::ContributionReceived { manifest: good, signature, bodies: Bodies::Missing };
    assert!(matches!(check(&mut driver, event), Rejection::NotStored { .. }));
}

#[test]
fn too_late_for_the_list() {
    let faults = Faults { no_upload: [2].into(), ..Faults::default() };
    let mut driver = Driver::new(World::new(), faults).run_until(State::Locked);
    let event = driver.world.upload(2);
    assert!(matches!(check(&mut driver, event), Rejection::TooLate { state: State::Locked, .. }));
    // Who is in the list still gets the receipt it lost.
    let event = driver.world.upload(1);
    driver.feed(event).unwrap();
    assert_eq!(driver.receipts[&driver.world.members[1].account].len(), 2);
}

/// Answers of t members are enough. That of one who was a little slower is not kept, and is no fault of its member.
#[test]
fn an_answer_that_is_not_needed_any_more_is_no_fault() {
    let slow = 3;
    let no_answer = [(Stage::Score, slow), (Stage::Open, slow)].into();
    let mut driver = Driver::new(World::new(), Faults { no_answer, ..Faults::default() }).run_until(State::Opened);
    let before = driver.round.clone();
    for event in [driver.world.score_answer_of(slow, vec![1]), driver.world.sum_answer(slow)] {
        driver.feed(event).unwrap();
    }
    assert_eq!(driver.round, before);
}

#[test]
fn a_promise_binds() {
    let mut driver = Driver::honest();
    let event = driver.world.promise(0);
    assert!(matches!(check(&mut driver, event), Rejection::TooEarly { .. }), "not open yet");
    let opened = driver.queue.remove(0);
    driver.feed(opened).unwrap();
    driver.queue.retain(|event| !matches!(event, Event::PromiseReceived { .. }));
    for validator in 0..2 {
        let event = driver.world.promise(validator);
        driver.feed(event).unwrap();
    }
    let other = driver.world.entries(1);
    let event = driver.world.promise_to(0, &other);
    assert!(matches!(check(&mut driver, event), Rejection::Equivocation { .. }));

    // Another validator's promise, taken over, does not open.
    let Event::PromiseReceived { mut promise, .. } = driver.world.promise(0) else { unreachable!() };
    promise.validator = driver.world.validators[2].account;
    let signature = driver.world.sign(&driver.world.validators[2], &promise);
    driver.feed(Event::PromiseReceived { promise, signature }).unwrap();
    driver.faults.no_reveal = [0, 2].into();
    let mut driver = driver.run_until(State::Locked);
    let copied = driver.world.reveal_with(2, driver.world.entries(0));
    assert!(matches!(check(&mut driver, copied), Rejection::Malformed { field: "reveal", .. }));

    // Entries that are not those promised, and the promised ones.
    let other = driver.world.reveal_with(0, driver.world.entries(1));
    assert!(matches!(check(&mut driver, other), Rejection::Malformed { field: "reveal", .. }));
    let Event::RevealReceived { reveal, signature, .. } = driver.world.reveal(0) else { unreachable!() };
    let entries = driver.world.entries(1);
    let event = Event::RevealReceived { reveal, entries, signature };
    assert!(matches!(check(&mut driver, event), Rejection::Malformed { field: "reveal.entries", .. }));
    let event = driver.world.reveal(0);
    driver.feed(event).unwrap();
}

#[test]
fn a_direction_that_is_not_spread_is_not_answered() {
    let mut driver = Driver::honest();
    let opened = driver.queue.remove(0);
    driver.feed(opened).unwrap();
    driver.queue.clear();
    let narrow = pack_direction(&(0..16).map(|j| i8::from(j < 3)).collect::<Vec<i8>>());
    let large = pack_direction(&[3; 16]);
    for event in [driver.world.promise_to(0, &narrow), driver.world.promise_to(1, &large), driver.world.promise(2)] {
        driver.feed(event).unwrap();
    }
    driver.faults.no_reveal = [0, 1].into();
    let mut driver = driver.run_until(State::Locked);
    for event in [driver.world.reveal_with(0, narrow), driver.world.reveal_with(1, large)] {
        assert!(matches!(check(&mut driver, event), Rejection::Malformed { field: "reveal.entries", .. }));
    }
}

#[test]
fn acknowledgements_are_over_one_value() {
    let faults = Faults { no_ack: (0..4).map(|member| (Stage::Direction, member)).collect(), ..Faults::default() };
    let mut driver = Driver::new(World::new(), faults).run_until(State::Audited);
    let ours = driver.round.posted(Stage::Direction).unwrap().transcript;
    let (wrong, stage) = (B256::repeat_byte(9), Stage::Direction);
    let event = driver.world.ack(0, stage, wrong);
    assert!(matches!(check(&mut driver, event), Rejection::OtherTranscript { .. }));
    for event in [driver.world.ack(0, stage, ours), driver.world.ack(0, stage, ours), driver.world.ack(1, stage, ours)]
    {
        driver.feed(event).unwrap();
    }
    let event = driver.world.ack(0, stage, wrong);
    equivocation(check(&mut driver, event), &driver, 0);
    let event = driver.world.ack(0, Stage::Audit, ours);
    assert!(matches!(check(&mut driver, event), Rejection::Malformed { .. }));
    let event = driver.world.ack(0, Stage::Admit, ours);
    assert!(matches!(check(&mut driver, event), Rejection::TooEarly { .. }));

    // Two of three: no answer passes.
    let participants = driver.round.valid_set();
    let answer = driver.world.score_answer(0, &participants, 3);
    assert!(matches!(check(&mut driver, answer.clone()), Rejection::AcksMissing { have: 2, need: 3, .. }));
    let event = driver.world.ack(3, stage, ours);
    driver.feed(event).unwrap();
    driver.feed(answer).unwrap();
}

#[test]
fn a_member_answers_once() {
    let faults = Faults { no_answer: [(Stage::Score, 0), (Stage::Open, 0)].into(), ..Faults::default() };
    let mut driver = Driver::new(World::new(), faults).run_until(State::Audited);
    while driver.round.outstanding().iter().all(|effect| !matches!(effect, Effect::AskAnswers { .. })) {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    let participants = driver.round.valid_set();
    let good = driver.world.score_values(0, &participants, 3);
    let short = driver.world.score_answer_of(0, good[1..].to_vec());
    assert_eq!(check(&mut driver, short).blame(), Blame::Peer);
    let large = driver.world.score_answer_of(0, vec![Q; good.len()]);
    assert_eq!(check(&mut driver, large).blame(), Blame::Peer);
    let first = driver.world.score_answer_of(0, good.clone());
    driver.feed(first.clone()).unwrap();
    driver.feed(first.clone()).unwrap();
    let second = driver.world.score_answer_of(0, vec![1; good.len()]);
    equivocation(check(&mut driver, second.clone()), &driver, 0);

    let mut driver = driver.run_until(State::Summed);
    driver.feed(first).unwrap();
    equivocation(check(&mut driver, second), &driver, 0);
    let first = driver.world.sum_answer(0);
    driver.feed(first.clone()).unwrap();
    driver.feed(first.clone()).unwrap();
    let second = driver.world.sum_answer_of(0, 5);
    equivocation(check(&mut driver, second.clone()), &driver, 0);
    let large = driver.world.sum_answer_of(1, Q);
    assert_eq!(check(&mut driver, large).blame(), Blame::Peer);

    // Still known when the words are gone.
    let mut driver = driver.run();
    assert_eq!(driver.round.state(), State::Settled);
    driver.feed(first).unwrap();
    equivocation(check(&mut driver, second), &driver, 0);
}

#[test]
fn the_chain_and_the_workers_must_agree_with_the_round() {
    let mut driver = Driver::honest().run_until(State::Locked);
    let posted = |stage, root| Event::StagePosted {
        stage,
        posting: posting(stage, root),
        transcript: B256::ZERO,
        at: 1,
        finality: Finality::Final,
    };
    assert_eq!(check(&mut driver, posted(Stage::Audit, B256::ZERO)).blame(), Blame::Retry);
    assert_eq!(check(&mut driver, posted(Stage::Lock, B256::ZERO)).blame(), Blame::Bug);
    let root = driver.round.root(Stage::Lock).unwrap();
    assert!(matches!(
        check(&mut driver, posted(Stage::Lock, root)),
        Rejection::ForeignPost { field: "transcript", .. }
    ));

    let event = Event::RoundFinalised;
    assert!(matches!(check(&mut driver, event), Rejection::ChainDisagrees { .. }));
    let event = Event::ArtefactStored { stage: Stage::Lock, posting: posting(Stage::Lock, B256::ZERO) };
    assert_eq!(check(&mut driver, event).blame(), Blame::Bug);
    let event = Event::AuditCompleted { verdicts: Vec::new() };
    assert_eq!(check(&mut driver, event).blame(), Blame::Bug);
    for event in [
        Event::SumCompleted { sum: posting(Stage::Sum, B256::ZERO) },
        Event::SumOpened { members: vec![0, 1, 2], model: posting(Stage::Model, B256::ZERO), zeroed_blocks: vec![] },
        Event::InnersCompleted { rows: vec![] },
    ] {
        assert_eq!(check(&mut driver, event).blame(), Blame::Bug);
    }
}

#[test]
fn an_opening_is_by_t_members_that_answered() {
    let faults = Faults { no_answer: [(Stage::Open, 3)].into(), ..Faults::default() };
    let mut driver = Driver::new(World::new(), faults).run_until(State::Summed);
    while !driver.round.wants_opening() {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    let model = posting(Stage::Model, B256::repeat_byte(1));
    for members in [vec![0, 1], vec![0, 1, 3], vec![1, 0, 2], vec![0, 0, 1], vec![0, 1, 2, 3]] {
        let event = Event::SumOpened { members, model: model.clone(), zeroed_blocks: vec![] };
        assert_eq!(check(&mut driver, event).blame(), Blame::Bug);
    }
}

#[test]
fn answers_that_come_on_top_open_nothing_again_unless_the_first_do_not() {
    let mut driver = Driver::new(World::new(), Faults::default()).run_until(State::Summed);
    while !driver.round.wants_opening() {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    let answered = |event: &Event| matches!(event, Event::SumAnswerReceived { .. });
    let fourth = driver.queue.iter().position(answered).expect("of four, three are enough");
    let fourth = driver.queue.remove(fourth);
    let openings = |driver: &mut Driver, event| -> Vec<usize> {
        let effects = driver.round.step(event, driver.now).unwrap();
        let opens = effects.iter().filter_map(|effect| match effect {
            Effect::RequestOpen { answers, .. } => Some(answers.len()),
            _ => None,
        });
        opens.collect()
    };
    assert_eq!(openings(&mut driver, fourth), [0; 0], "one is being made");
    assert_eq!(openings(&mut driver, Event::SumNotOpened { members: vec![0, 1, 2] }), [4]);
    assert_eq!(openings(&mut driver, Event::SumNotOpened { members: vec![0, 1, 2, 3] }), [0; 0], "there are no more");
}
