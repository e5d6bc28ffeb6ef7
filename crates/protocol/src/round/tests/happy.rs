//! The whole way, and what is shown on it.

use super::driver::{Driver, Faults};
use super::world::{POT, World};
use crate::round::*;
use crate::types::Stage;

#[test]
fn everybody_honest() {
    let driver = Driver::honest().run();
    assert_eq!(driver.round.state(), State::Settled, "{:?}", driver.rejected);
    assert_eq!(driver.rejected, []);
    assert_eq!(driver.proposed, [POT]);
    assert_eq!(driver.admit_roots.len(), 1);
    assert_eq!(driver.receipts.len(), 4);
    assert_eq!(driver.round.shortcomings(), []);
    assert_eq!(driver.round.end(), None);
    assert!(Stage::ALL.into_iter().all(|stage| driver.round.posted(stage).is_some()));
    assert_eq!(driver.round.outstanding(), []);
}

#[test]
fn the_state_goes_through_the_table() {
    let mut driver = Driver::honest();
    let mut seen = vec![driver.round.state()];
    while driver.round.state() != State::Settled {
        if driver.queue.is_empty() {
            driver.now += 125;
            driver.queue.push(Event::TimePassed);
        }
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
        seen.push(driver.round.state());
    }
    seen.dedup();
    use State::*;
    let table =
        [Announced, Promised, Training, Locked, Revealed, Audited, Scored, Admitted, Summed, Opened, Proposed, Settled];
    assert_eq!(seen, table);
}

#[test]
fn scalars_open_to_what_was_masked() {
    let driver = Driver::honest().run_until(State::Scored);
    for row in driver.round.scores.rows() {
        assert_eq!(row.verdict, 0);
        assert_eq!(row.scores, [driver.world.truth[&row.participant]; 3]);
    }
}

#[test]
fn no_round_without_its_lists() {
    let good = World::new().setup;
    let refused = |change: &dyn Fn(&mut Setup)| {
        let mut setup = good.clone();
        change(&mut setup);
        Round::announce(setup).unwrap_err()
    };
    refused(&|setup| setup.members.swap(0, 1));
    refused(&|setup| setup.members[0].class += 1);
    refused(&|setup| drop(setup.committee.pop()));
    refused(&|setup| setup.validators[0].stake += 1);
    refused(&|setup| setup.descriptor.threshold = 0);
    refused(&|setup| setup.descriptor.threshold = 5);
    refused(&|setup| setup.descriptor.scale.delta += 1);
}

#[test]
fn a_sum_waits_for_the_finality_of_its_set() {
    let mut driver = Driver::honest().run_until(State::Admitted);
    let is_final =
        |event: &Event| matches!(event, Event::StagePosted { stage: Stage::Admit, finality: Finality::Final, .. });
    let at = driver.queue.iter().position(is_final).unwrap();
    let late = driver.queue.remove(at);
    while !driver.queue.is_empty() {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    assert_eq!(driver.round.state(), State::Admitted);
    assert!(driver.round.outstanding().iter().all(|effect| !matches!(effect, Effect::PostSum { .. })));
    driver.feed(late).unwrap();
    assert_eq!(driver.run().round.state(), State::Settled);
}

#[test]
fn a_participant_may_come_by_the_chain() {
    let mut driver = Driver::new(World::new(), Faults { no_upload: [3].into(), ..Faults::default() });
    driver = driver.run_until(State::Training);
    let manifest = driver.world.manifest(3);
    let Event::ContributionReceived { signature, .. } = driver.world.upload(3) else { unreachable!() };
    driver.feed(Event::ContributionCommitted { manifest, signature, at: driver.now }).unwrap();
    let driver = driver.run();
    assert_eq!(driver.round.state(), State::Settled);
    assert_eq!(driver.receipts.len(), 3);
    assert_eq!(driver.round.shortcomings(), []);
}

#[test]
fn a_round_says_whom_it_waits_for() {
    let mut driver = Driver::new(World::new(), Faults { no_upload: [3].into(), ..Faults::default() });
    let promises = driver.round.waits_for();
    assert!(promises.iter().all(|fault| matches!(fault, Fault::NoPromise { .. })) && promises.len() == 3);
    driver = driver.run_until(State::Training);
    assert_eq!(driver.round.waits_for().len(), 4, "everybody's upload");
    while !driver.queue.is_empty() {
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
    }
    let late = driver.world.manifest(3).participant;
    assert_eq!(driver.round.waits_for(), [Fault::NoUpload { participant: late }]);
    assert_eq!(driver.run().round.waits_for(), []);
}
