//! A federation made by hand, audited; then one thing at a time is changed, and exactly that is named.

mod flips;
mod lies;
mod world;

use almoner_store::Store;

use super::audit_facts;
use crate::{ChainFacts, Kind, Report};
use world::World;

async fn run(facts: &ChainFacts, store: &dyn Store) -> Report {
    audit_facts(facts, store, &mut |_| {}).await.unwrap()
}

/// The kind, round and account that an audit names first.
fn first(report: &Report) -> (Kind, Option<u64>, Option<almoner_protocol::Address>) {
    let finding = report.first_wrong.as_ref().expect("something is wrong");
    assert!(!report.is_sound() && report.held < report.checks);
    (finding.kind, finding.round, finding.account)
}

#[tokio::test]
async fn an_honest_run_is_sound_and_every_kind_is_checked() {
    let world = World::play(3).await;
    let report = run(&world.facts, &*world.store).await;
    assert_eq!(report.first_wrong, None);
    assert!(report.is_sound());
    for kind in Kind::ALL {
        assert!(report.by_kind.contains_key(kind), "{kind} is not checked");
    }
    let sum: u64 = report.by_kind.values().map(|count| count.checks).sum();
    assert_eq!((sum, report.rounds), (report.checks, 3));
    assert!(report.opened_scalars.len() == 4 && report.opened_scalars.values().all(|opened| *opened == 6));
    assert_eq!(report.notes, Vec::<String>::new());
    let last = report.payments.last().unwrap();
    let posted = &world.last().stages[&almoner_protocol::Stage::Settle];
    assert_eq!((report.payments.len(), last.round, last.settle_root), (3, 3, posted.root));
    assert_eq!(last.lines, world.read(&posted.cid).await);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["by_kind"]["audit_verdict"]["held"], json["by_kind"]["audit_verdict"]["checks"]);
}

#[tokio::test]
async fn progress_goes_through_every_stage() {
    let world = World::play(2).await;
    let mut seen = Vec::new();
    let mut watch = |progress: crate::Progress| seen.push((progress.round, progress.stage));
    audit_facts(&world.facts, &*world.store, &mut watch).await.unwrap();
    assert_eq!(seen.len(), 24);
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn a_round_that_stopped_early_is_checked_as_far_as_it_went() {
    let mut world = World::play(2).await;
    world.stop_last_before(almoner_protocol::Stage::Admit);
    let report = run(&world.facts, &*world.store).await;
    assert_eq!(report.first_wrong, None);
    assert!(report.opened_scalars.values().all(|opened| *opened == 4));
    world.stop_last_before(almoner_protocol::Stage::Score);
    let report = run(&world.facts, &*world.store).await;
    assert_eq!(report.first_wrong, None);
    assert!(report.notes[0].contains("may be open"), "{:?}", report.notes);
}
