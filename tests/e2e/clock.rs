//! The host's clock jumps. Rules go by the later of the clock and the chain's newest block, so a jump back changes
//! nothing; a jump forward may end the round in hand, and then its pot goes back whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use almoner::localnet::Seeds;
use almoner_chain::{PotChange, RoundStatus};
use almoner_coordinator::Progress;
use almoner_participant::ClaimPolicy;
use almoner_protocol::round::State;
use almoner_protocol::{Stage, U256};

use crate::federation::{Aggregator, Federation, SEED, run, settle};
use crate::worker::Worker;

const DAY: u64 = 86_400;
const START: u64 = 1_700_000_000;

/// A clock that stands still until it is moved.
fn clock() -> (Seeds, Arc<AtomicU64>) {
    let hand = Arc::new(AtomicU64::new(START));
    let read = hand.clone();
    (Seeds::insecure(SEED).with_clock(Arc::new(move || read.load(Ordering::SeqCst))), hand)
}

#[test]
fn jumps_between_rounds_lose_nothing() {
    run(async {
        let (seeds, hand) = clock();
        let mut federation = Federation::found_with(seeds, 4, Aggregator::Honest, 3, ClaimPolicy::WhenIdle).await;
        let Federation { net, scenario, hospitals, validators, .. } = &mut federation;
        let mut rounds = settle(net, scenario, 1, async {}).await;
        hand.store(START - 3 * DAY, Ordering::SeqCst);
        rounds.extend(settle(net, scenario, 1, async {}).await);
        hand.store(START + 30 * DAY, Ordering::SeqCst);
        rounds.extend(settle(net, scenario, 1, async {}).await);

        let pot = scenario.spec.round.pot.0;
        let paid: Vec<u128> = rounds.iter().map(|round| round.paid.iter().map(|line| line.pay).sum()).collect();
        assert_eq!(paid, [pot; 3], "every round pays its whole pot");
        let (people, judges) = net.paid_out(&rounds[2], scenario, hospitals, validators).await.unwrap();
        let balances: U256 = people.iter().chain(&judges).map(|person| person.balance).sum();
        assert_eq!(balances, U256::from(3 * pot));
        let on_chain = net.ledger.rounds(net.federation).await.unwrap();
        let opened: Vec<u64> = on_chain.iter().map(|round| round.opened_at).collect();
        assert!(opened.is_sorted(), "the chain's time does not go back: {opened:?}");
        assert!(opened[2] >= START + 30 * DAY);
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}

#[test]
fn a_jump_past_the_deadlines_returns_the_pot_and_the_next_round_has_it() {
    run(async {
        let (seeds, hand) = clock();
        // One pot, and nobody who works on ciphertexts: the round waits in the middle until its time is over.
        let mut federation = Federation::found_with(seeds, 4, Aggregator::Own, 1, ClaimPolicy::Never).await;
        let Federation { net, scenario, .. } = &mut federation;
        let mut progress = net.progress.subscribe();
        net.launch(1).await.unwrap();
        while progress.recv().await.unwrap() != (Progress::State { round: 1, state: State::Revealed }) {}
        hand.store(START + 10 * DAY, Ordering::SeqCst);
        let ended = loop {
            if let Progress::Ended { round: 1, state, .. } = progress.recv().await.unwrap() {
                break state;
            }
        };
        assert_eq!(ended, State::Expired);
        let pot = scenario.spec.round.pot.0;
        let pots = net.ledger.pots(net.federation).await.unwrap();
        let last = pots.last().map(|pot| pot.change);
        assert_eq!(last, Some(PotChange::Released { to_free: pot, to_carry: 0 }), "all of it, and back to the funder");
        assert!(net.ledger.payout_root(net.federation).await.unwrap().is_zero(), "nobody may claim");

        // The clock is set right again, which is a jump back.
        hand.store(START, Ordering::SeqCst);
        let mut worker = Worker::connect(&net.url).await;
        let rounds = tokio::select! {
            rounds = settle(net, scenario, 1, async {}) => rounds,
            never = worker.work(|_, _| {}) => match never {},
        };
        assert_eq!(rounds[0].round, 2);
        assert_eq!(rounds[0].paid.iter().map(|line| line.pay).sum::<u128>(), pot);
        let first = federation.round(1).await;
        assert_eq!(first.status, RoundStatus::Expired);
        assert!(!first.stages.contains_key(&Stage::Admit));
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
