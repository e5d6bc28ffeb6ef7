//! Nodes that take blocks back, and that are started again. Less deep than is waited for, nobody notices; deeper, it is
//! said, and what was sent is sent again. Either way everybody is paid once and a stranger finds nothing wrong.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use almoner_chain::{Depth, Ledger, RoundRecord, RoundStatus};
use almoner_coordinator::{CoordinatorError, Progress};
use almoner_protocol::Stage;
use almoner_protocol::round::State;
use almoner_protocol::spec::DeadlineSpec;
use tokio::sync::oneshot;

use crate::federation::{given_up, run};
use crate::nodes::Node;
use crate::on_a_node::OnNode;

/// Between two blocks of a chain that makes them by itself.
const BLOCK: Duration = Duration::from_millis(100);
/// Blocks that are waited for.
const DEPTH: u64 = 3;
/// Stages that the chain takes back once each, before anybody acts on them.
const TAKEN_BACK: [Stage; 4] = [Stage::Promise, Stage::Lock, Stage::Admit, Stage::Payout];

/// What a node does beside making blocks.
enum Act {
    Nothing,
    TakeBack(u64),
    /// And lets so many seconds go by before anything is in a block again.
    TakeBackInto(u64, u64),
    Restart,
    /// And this block is gone, with all that came after it.
    RestartBefore(u64),
}

/// A federation that has begun.
struct Told {
    /// As the node has it.
    ledger: Ledger,
    /// As its coordinator has read it.
    view: Ledger,
    number: u64,
}

/// Makes blocks for ever; once there is a first round, `act` says from it and the newest block's number what to do.
async fn blocks(
    node: &mut Node,
    mut told: oneshot::Receiver<Told>,
    mut act: impl FnMut(&RoundRecord, u64) -> Act,
) -> Infallible {
    let mut federation = None;
    loop {
        tokio::time::sleep(BLOCK).await;
        federation = federation.or_else(|| told.try_recv().ok());
        let round = match &federation {
            // While it goes back, geth has no newest block.
            Some(Told { ledger, number, .. }) => {
                ledger.round(*number, 1).await.unwrap_or_default().zip(ledger.read_until())
            }
            None => None,
        };
        let view = federation.as_ref().map(|told| &told.view);
        match round.map_or(Act::Nothing, |(round, head)| act(&round, head)) {
            Act::Nothing => node.mine().await,
            Act::TakeBack(blocks) => node.take_back(blocks).await,
            Act::TakeBackInto(blocks, seconds) => node.take_back_into(blocks, seconds).await,
            Act::Restart => node.restart().await,
            Act::RestartBefore(block) => {
                // Not before it was acted on.
                while view.and_then(Ledger::read_until) < Some(block) {
                    tokio::time::sleep(BLOCK).await;
                }
                node.restart_before(block).await;
            }
        }
    }
}

/// A federation on such a node that loses its first round and settles the second; how often its view was taken back.
async fn loses_one(mut node: Node, confirmations: Depth, act: impl FnMut(&RoundRecord, u64) -> Act) -> u64 {
    let name = node.name;
    let (tell, told) = oneshot::channel();
    let founded = OnNode::fund(&node).await;
    node.hold().await;
    let whole = async {
        let mut federation = founded.found(confirmations, 2).await;
        let (ledger, number) = (federation.ledger(), federation.net.federation);
        let view = federation.net.ledger.clone();
        let _ = tell.send(Told { ledger: ledger.clone(), view, number });
        let (why, faults) = given_up(&mut federation.net, &federation.scenario, async {}).await;
        assert_eq!((why.as_str(), faults.len()), ("round 1 is void: TakenBack", 0), "nobody is to blame for it");
        let reports = federation.settle(1, async {}).await;
        let rounds = ledger.rounds(number).await.unwrap();
        let became: Vec<_> = rounds.iter().map(|round| (round.number, round.status)).collect();
        assert_eq!(became[0], (1, RoundStatus::Void));
        assert_eq!((became.len(), reports[0].round), (2, 2));
        let seen = federation.net.ledger.clone();
        // One pot, to each once, however often what was sent was sent again.
        let earned = federation.paid_and_sound(&reports).await;
        println!("{name}: {earned} base units claimed, of round 2");
        seen.reorganised(0).map_or(0, |reorganised| reorganised.count)
    };
    tokio::select! {
        seen = whole => seen,
        never = blocks(&mut node, told, act) => match never {},
    }
}

/// A federation of one round on such a node; how often its own view of the chain was taken back.
async fn settles(mut node: Node, confirmations: Depth, act: impl FnMut(&RoundRecord, u64) -> Act) -> u64 {
    let name = node.name;
    // Funded and deployed on before it becomes unsteady.
    let (tell, told) = oneshot::channel();
    let founded = OnNode::fund(&node).await;
    node.hold().await;
    let whole = async {
        let mut federation = founded.found(confirmations, 1).await;
        let view = federation.net.ledger.clone();
        let _ = tell.send(Told { ledger: federation.ledger(), view, number: federation.net.federation });
        let reports = federation.settle(1, async {}).await;
        let seen = federation.net.ledger.clone();
        let earned = federation.paid_and_sound(&reports).await;
        println!("{name}: {earned} base units claimed");
        seen.reorganised(0).map_or(0, |reorganised| reorganised.count)
    };
    tokio::select! {
        seen = whole => seen,
        never = blocks(&mut node, told, act) => match never {},
    }
}

/// Takes the stages of `TAKEN_BACK` back once each while they are less deep than `depth`.
fn early(done: &mut BTreeSet<Stage>, depth: u64, round: &RoundRecord, head: u64) -> Act {
    let stages = TAKEN_BACK.into_iter().filter(|stage| !done.contains(stage));
    let mut posted =
        stages.filter_map(|stage| Some((stage, (head + 1).saturating_sub(round.stages.get(&stage)?.block))));
    match posted.find(|(_, blocks)| (1..=depth).contains(blocks)) {
        Some((stage, blocks)) => {
            done.insert(stage);
            Act::TakeBack(blocks)
        }
        None => Act::Nothing,
    }
}

/// Once members have answered for the scores, the chain goes back to before the uploads were locked.
fn late(done: &mut bool, depth: u64, round: &RoundRecord, head: u64) -> Act {
    match (round.stages.get(&Stage::Lock), round.stages.get(&Stage::Score)) {
        (Some(lock), Some(score)) if !*done && head >= score.block + depth => {
            *done = true;
            Act::TakeBack(head + 1 - lock.block)
        }
        _ => Act::Nothing,
    }
}

/// As [`late`], but in what takes the place of those blocks it is too late to lock anything: sending again is of no use.
fn too_late(done: &mut bool, depth: u64, round: &RoundRecord, head: u64) -> Act {
    const LOCK: usize = 1;
    match late(done, depth, round, head) {
        Act::TakeBack(blocks) => {
            // All the time that there is to promise and to lock, counted from a block after the opening.
            let times = DeadlineSpec::default().from_opening(0).expect("small numbers");
            Act::TakeBackInto(blocks, times[LOCK] + 1)
        }
        act => act,
    }
}

/// Once uploads are asked for, and once members are asked for the sum.
fn again(done: &mut BTreeSet<Stage>, round: &RoundRecord) -> Act {
    let mut posted = [Stage::Promise, Stage::Sum].into_iter().filter(|stage| round.stages.contains_key(stage));
    match posted.find(|stage| !done.contains(stage)) {
        Some(stage) => {
            done.insert(stage);
            Act::Restart
        }
        None => Act::Nothing,
    }
}

#[test]
fn what_anvil_takes_back_early_is_not_noticed() {
    run(async {
        let Some(node) = Node::anvil().await else { return };
        let mut done = BTreeSet::new();
        let act = |round: &RoundRecord, head| early(&mut done, DEPTH, round, head);
        assert_eq!(settles(node, Depth::Blocks(DEPTH), act).await, 0, "nobody sees what is not deep enough");
        assert_eq!(done, BTreeSet::from(TAKEN_BACK));
    });
}

#[test]
fn what_anvil_takes_back_late_is_sent_again() {
    run(async {
        let Some(node) = Node::anvil().await else { return };
        let mut done = false;
        let act = |round: &RoundRecord, head| late(&mut done, DEPTH, round, head);
        assert_eq!(settles(node, Depth::Blocks(DEPTH), act).await, 1, "it is seen, and said");
    });
}

#[test]
fn a_round_that_the_chain_has_otherwise_is_ended_and_the_next_one_runs() {
    run(async {
        let Some(node) = Node::anvil().await else { return };
        let mut done = false;
        let act = |round: &RoundRecord, head| too_late(&mut done, DEPTH, round, head);
        assert_eq!(loses_one(node, Depth::Blocks(DEPTH), act).await, 1, "it is seen, and said");
    });
}

#[test]
fn a_coordinator_whose_federation_is_gone_for_good_ends_and_says_so() {
    run(async {
        let Some(node) = Node::anvil().await else { return };
        let mut federation = OnNode::fund(&node).await.found(Depth::NONE, 1).await;
        let net = &mut federation.net;
        let mut progress = net.progress.subscribe();
        net.launch(1).await.unwrap();
        while !matches!(progress.recv().await.unwrap(), Progress::State { state: State::Training, .. }) {}
        let created = net.ledger.federation(net.federation).await.unwrap().expect("it was created").block;
        let head = net.ledger.read_until().expect("it was read");
        // Nothing that the coordinator has signed can found it now.
        node.displace(net.chain.key.address(), head + 1 - created).await;
        // Started again it does not begin to serve a federation that is not there, either.
        for restart in [false, true] {
            if restart {
                net.coordinator.kill_and_restart().await.unwrap();
            }
            let failure = net.coordinator.ended().await.expect_err("it has nothing to go on with");
            let error = failure.error.downcast_ref::<CoordinatorError>();
            assert!(matches!(error, Some(CoordinatorError::TakenBack { federation: 1 })), "{failure}");
        }
        assert_eq!(net.ledger.federation_count().await.unwrap(), 0);
        federation.net.stop().await.unwrap();
    });
}

#[test]
fn an_anvil_that_is_started_again_is_waited_for() {
    run(async {
        let Some(node) = Node::anvil().await else { return };
        let mut done = BTreeSet::new();
        assert_eq!(settles(node, Depth::NONE, |round: &RoundRecord, _| again(&mut done, round)).await, 0);
        assert_eq!(done.len(), 2);
    });
}

#[test]
fn what_an_anvil_loses_when_it_is_started_again_is_sent_again() {
    run(async {
        let Some(node) = Node::anvil().await else { return };
        let mut done = BTreeSet::new();
        let act = |round: &RoundRecord, _| match again(&mut done, round) {
            Act::Restart => {
                let posted = [Stage::Sum, Stage::Promise].into_iter().find_map(|stage| round.stages.get(&stage));
                Act::RestartBefore(posted.expect("one of them is posted").block)
            }
            act => act,
        };
        let seen = settles(node, Depth::NONE, act).await;
        // Two losses between two looks at the chain are seen as one.
        assert!(done.len() == 2 && (1..=2).contains(&seen), "it is seen, and said: {done:?}, {seen}");
    });
}

/// All in one round, because a block of geth takes a second.
#[test]
fn geth_takes_blocks_back_early_and_late_and_is_started_again() {
    run(async {
        let Some(node) = Node::geth().await else { return };
        let (mut taken, mut gone, mut restarts) = (BTreeSet::new(), false, BTreeSet::new());
        let act = |round: &RoundRecord, head| match early(&mut taken, 1, round, head) {
            Act::Nothing => match late(&mut gone, 1, round, head) {
                Act::Nothing => again(&mut restarts, round),
                act => act,
            },
            act => act,
        };
        assert_eq!(settles(node, Depth::Blocks(1), act).await, 1, "once deeper than is waited for");
        // Which stages are caught while they are in the newest block is up to the moment.
        assert!(!taken.is_empty() && gone && restarts.len() == 2, "{taken:?}, {gone}, {restarts:?}");
    });
}
