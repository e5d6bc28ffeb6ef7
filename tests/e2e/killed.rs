//! A coordinator that is killed in every state of a round, and started again on its journal: what comes out is what
//! comes out of a life without accidents, root by root. Who reached whom before it died, nobody controls.

use std::collections::BTreeSet;

use almoner_coordinator::Progress;
use almoner_protocol::round::State;
use tokio::sync::broadcast::error::RecvError;

use crate::federation::{Aggregator, Federation, run, settle};
use crate::honest::{assert_same_roots, honest};

const ROUNDS: u32 = 2;

#[test]
fn a_coordinator_killed_in_every_state_goes_on() {
    let (reports, killed) = run(async {
        let mut federation = Federation::found(4, Aggregator::Honest, ROUNDS).await;
        let Federation { net, scenario, .. } = &mut federation;
        let (mut progress, host) = (net.progress.subscribe(), net.coordinator.clone());
        let mut killed = BTreeSet::new();
        let beside = async {
            loop {
                match progress.recv().await {
                    // Once in each: a state that was restored is entered again.
                    Ok(Progress::State { round, state }) => {
                        if killed.insert((round, state.to_string())) {
                            host.kill_and_restart().await.unwrap();
                        }
                    }
                    Ok(Progress::Settled(settled)) if settled.round == u64::from(ROUNDS) => return,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => panic!("the federation stopped"),
                }
            }
        };
        let reports = settle(net, scenario, ROUNDS, beside).await;
        assert_eq!(federation.audit().await.first_wrong, None);
        federation.net.stop().await.unwrap();
        (reports, killed)
    });
    for state in [State::Announced, State::Training, State::Audited, State::Scored, State::Admitted, State::Proposed] {
        assert!(killed.contains(&(1, state.to_string())), "not killed while {state}: {killed:?}");
    }
    println!("killed and restarted {} times", killed.len());
    assert_same_roots(&reports, honest());
}
