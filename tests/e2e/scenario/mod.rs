//! One round, from an empty chain to claimed money, on every kind of node there is; and what they did compared.
//!
//! The embedded chain always runs, in process and over HTTP. anvil runs where `ALMONER_ANVIL` names its binary, geth
//! where `ALMONER_GETH` does; `ALMONER_REQUIRE=anvil,geth` makes a missing one a failure.
//!
//! Compared between a node and an embedded chain of the same chain id: addresses created, gas used, topics and data
//! of every event, revert data. Not compared, because block times differ: block numbers and hashes, `Proposed.endsAt`,
//! and the arguments of `WindowOpen` (its name is).

mod federation;
mod record;
mod round;

use std::time::{SystemTime, UNIX_EPOCH};

use almoner_chain::{Ledger, Outbox, Sender, advance_time, deploy};
use almoner_protocol::Address;
use federation::World;
use record::Trace;

use crate::nodes::{Node, TimeTravel};

/// The same on every node, so that descriptors, and with them every ctx, are equal.
fn start() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn deployer() -> Address {
    federation::key(0).address()
}

async fn run(node: &Node, start: u64) -> Trace {
    let key = federation::key(0);
    node.fund(key.address()).await;
    let sender = Sender::new(node.provider(), key, Outbox::memory().unwrap()).await.unwrap();
    let deployment = deploy(&sender).await.unwrap();
    let ledger = Ledger::with_provider(node.provider(), deployment.clone());
    ledger.verify().await.unwrap();

    let mut trace = Trace::new(&deployment, sender.counters().gas);
    let world = World { sender, ledger, start };
    federation::set_up(&world, &mut trace).await;
    round::play(&world, &mut trace, &async |until| pass(node, &world, until).await).await;
    let counters = world.sender.counters();
    assert_eq!(counters.gas, trace.gas() + trace.unrecorded_gas);
    println!(
        "{:<14} {} transactions, {} gas, {:.1} ms in all",
        node.name,
        counters.transactions,
        trace.gas(),
        counters.waited.as_secs_f64() * 1e3
    );
    trace
}

/// Lets the chain's time reach `until`: by moving it, or by making blocks until it is there.
async fn pass(node: &Node, world: &World, until: u64) -> u64 {
    let now = world.ledger.now().await.unwrap();
    match node.time {
        TimeTravel::Yes => {
            advance_time(&node.provider(), until.saturating_sub(now)).await.unwrap();
            0
        }
        TimeTravel::No => federation::make_blocks_until(world, until).await,
    }
}

async fn compare(node: Node) {
    let start = start();
    let expected = run(&Node::embedded(node.chain_id, deployer()), start).await;
    run(&node, start).await.assert_same(&expected, node.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let node = Node::embedded(31_337, deployer());
    let start = start();
    let first = run(&node, start).await;
    let second = run(&Node::embedded(31_337, deployer()), start).await;
    second.assert_same(&first, "a second run");
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_over_http() {
    compare(Node::embedded_over_http(deployer()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anvil() {
    if let Some(node) = Node::anvil().await {
        compare(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn geth() {
    if let Some(node) = Node::geth().await {
        compare(node).await;
    }
}
