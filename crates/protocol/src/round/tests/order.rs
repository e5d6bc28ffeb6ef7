//! Any order of events: no panic, one admitted set, one payment, and a round written out and read back goes on as if
//! it had never stopped.

use proptest::prelude::*;
use proptest::sample::Index;

use super::driver::{Driver, Faults};
use super::world::{POT, World};
use crate::round::*;
use crate::types::Stage;

/// Steps the round and a copy of it that went through its serialised form; they must agree.
fn step_both(driver: &mut Driver, event: Event) -> Result<(), Rejection> {
    let written = serde_json::to_string(&driver.round).unwrap();
    let mut resumed: Round = serde_json::from_str(&written).unwrap();
    assert_eq!(resumed, driver.round);
    assert_eq!(resumed.outstanding(), driver.round.outstanding());
    let before = driver.round.clone();
    let again = resumed.step(event.clone(), driver.now);
    let result = driver.feed(event);
    assert_eq!(resumed, driver.round);
    assert_eq!(again.map(drop), result);
    if result.is_err() {
        assert_eq!(driver.round, before);
    }
    invariants(driver);
    result
}

fn invariants(driver: &Driver) {
    assert!(driver.admit_roots.len() <= 1, "two sets");
    assert!(driver.proposed.len() <= 1, "paid twice");
    assert!(driver.proposed.iter().all(|total| *total == POT || *total == 0));
    let round = &driver.round;
    if let Some(root) = round.root(Stage::Admit) {
        assert!(driver.admit_roots.contains(&root));
    }
    assert_eq!(round.end().is_some(), matches!(round.state(), State::Void | State::Expired));
    if round.end().is_some() {
        assert!(round.posted(Stage::Payout).is_none());
    }
}

/// How one run goes wrong.
#[derive(Clone, Debug)]
struct Weather {
    faults: Faults,
    picks: Vec<(Index, u8)>,
}

fn weather() -> impl Strategy<Value = Weather> {
    let few = |n: usize| proptest::collection::btree_set(0..n, 0..2);
    let at = |stages: [Stage; 2]| {
        let pairs = (proptest::sample::select(stages.to_vec()), 0usize..4);
        proptest::collection::btree_set(pairs, 0..3)
    };
    let people = (few(3), few(4), few(3), few(4), few(4), few(4));
    let answers = (at([Stage::Direction, Stage::Admit]), at([Stage::Score, Stage::Open]));
    let picks = proptest::collection::vec((any::<Index>(), any::<u8>()), 1..160);
    (people, answers, picks).prop_map(|(people, (no_ack, no_answer), picks)| {
        let (no_promise, no_upload, no_reveal, wrong_scores, wrong_sums, bad_uploads) = people;
        let censored = Default::default();
        let faults = Faults {
            no_promise,
            no_upload,
            no_reveal,
            no_ack,
            no_answer,
            wrong_scores,
            wrong_sums,
            bad_uploads,
            censored,
        };
        Weather { faults, picks }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Events overtake each other, come twice, come again much later, or wait while time passes.
    #[test]
    fn no_order_breaks_a_round(weather in weather()) {
        let mut driver = Driver::new(World::new(), weather.faults);
        for (pick, luck) in weather.picks {
            if driver.queue.is_empty() || luck < 10 {
                driver.now += u64::from(luck) * 20;
                driver.queue.push(Event::TimePassed);
            }
            let at = pick.index(driver.queue.len());
            let event = driver.queue.remove(at);
            match step_both(&mut driver, event.clone()) {
                Ok(()) if luck > 200 => drop(step_both(&mut driver, event)),
                Ok(()) => {}
                Err(rejection) => {
                    prop_assert!(rejection.blame() != Blame::Bug || late_news(&rejection), "{}", rejection);
                    // Who is told to come later does.
                    if rejection.blame() == Blame::Retry {
                        driver.queue.push(event);
                    }
                }
            }
            if luck % 16 == 15 && !driver.taken.is_empty() {
                let (old, _) = driver.taken[pick.index(driver.taken.len())].clone();
                drop(step_both(&mut driver, old));
            }
        }
        // Whatever happened so far, it ends.
        let driver = driver.run();
        invariants(&driver);
        prop_assert!(driver.round.state().is_over());
        prop_assert_eq!(driver.round.outstanding(), vec![]);
    }
}

/// A worker's result, or a block, for a round that was given up meanwhile, or that is further on.
fn late_news(rejection: &Rejection) -> bool {
    matches!(rejection, Rejection::Result { .. } | Rejection::ChainDisagrees { .. })
}

/// The same events in any order, each repeated until it is taken, lead to the same roots.
#[test]
fn order_does_not_matter_to_the_roots() {
    let straight = Driver::honest().run();
    let events: Vec<Event> = straight.taken.iter().map(|(event, _)| event.clone()).collect();
    for factor in [0x9e37_79b9_u32, 0x85eb_ca6b, 0xc2b2_ae35, u32::MAX] {
        let mut round = World::new().round();
        let mut waiting: Vec<(u32, Event)> = (0u32..).map(|i| i.wrapping_mul(factor)).zip(events.clone()).collect();
        waiting.sort_by_key(|(place, _)| *place);
        let mut before = usize::MAX;
        while waiting.len() < before {
            before = waiting.len();
            waiting.retain(|(_, event)| round.step(event.clone(), straight.taken[0].1).is_err());
        }
        assert_eq!(round.state(), State::Settled);
        for stage in Stage::ALL {
            assert_eq!(round.root(stage), straight.round.root(stage), "{stage}");
        }
    }
}

/// A journal of events replayed from the start is the same round.
#[test]
fn a_replayed_journal_is_the_same_round() {
    let driver = Driver::new(World::new(), Faults { no_upload: [1].into(), ..Faults::default() }).run();
    let written = serde_json::to_string(&driver.taken).unwrap();
    let journal: Vec<(Event, u64)> = serde_json::from_str(&written).unwrap();
    let mut round = driver.world.round();
    for (event, now) in journal {
        round.step(event, now).unwrap();
    }
    assert_eq!(round, driver.round);
}

/// At every point of an honest run every order is either new or was given before, and none is lost.
#[test]
fn a_restart_gives_out_all_that_is_open() {
    let mut driver = Driver::honest();
    let mut open = driver.round.orders();
    while driver.round.state() != State::Settled {
        if driver.queue.is_empty() {
            driver.now += 125;
            driver.queue.push(Event::TimePassed);
        }
        let event = driver.queue.remove(0);
        driver.feed(event).unwrap();
        let now = driver.round.orders();
        assert_eq!(driver.round.outstanding().len(), now.len(), "every order has its effect");
        open = now;
    }
    assert!(open.is_empty());
}
