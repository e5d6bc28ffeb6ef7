//! A federation that settles on a node of somebody's own: the same rules on a chain whose time is not ours to move.

use std::net::SocketAddr;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ChainChoice, Localnet, ModelChoice, NetConfig, Seeds, breast_cancer_scenario};
use almoner_chain::{Ledger, SigningKey};
use almoner_coordinator::CoordinatorConfig;
use almoner_protocol::U256;
use tempfile::TempDir;

use crate::federation::{run, settle};
use crate::nodes::Node;

/// Long enough to be seen in the figures, short enough to wait for.
const WINDOW_S: u64 = 1;
const ROUNDS: u32 = 2;

async fn settles_on(node: Node) {
    let (seeds, dir) = (Seeds::insecure(21), TempDir::new().unwrap());
    let mut scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &seeds).unwrap();
    scenario.spec.round.challenge_window_s = WINDOW_S;
    let key = SigningKey::from_bytes(&[21; 32]).unwrap();
    let funder = dir.path().join("funder.key");
    key.save(&funder).unwrap();
    node.fund(key.address()).await;
    let url = node.url.clone().expect("a node is a process");
    let config = NetConfig {
        dir: dir.path().join("run"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        chain: ChainChoice::Node { url: url.clone(), funder },
        seeds,
        coordinator: CoordinatorConfig::default(),
    };
    std::fs::create_dir(&config.dir).unwrap();
    let mut net = Localnet::start(config, &scenario, ROUNDS).await.unwrap();
    let (mut hospitals, mut validators) = net.start_sites(&scenario).await.unwrap();
    let reports = settle(&mut net, &scenario, ROUNDS, async {}).await;
    let last = reports.last().unwrap();
    let (hospitals, validators) = net.paid_out(last, &scenario, &mut hospitals, &mut validators).await.unwrap();
    let earned: U256 = hospitals.iter().chain(&validators).map(|person| person.earned).sum();
    assert_eq!(earned, U256::from(scenario.spec.round.pot.0) * U256::from(ROUNDS));

    // A stranger's view: the node itself, not the coordinator's connection to it.
    let ledger = Ledger::connect(&url, net.chain.deployment.clone()).unwrap();
    let report = almoner_audit::audit(&ledger, &*net.store, net.federation, &mut |_| {}).await.unwrap();
    assert_eq!(report.first_wrong, None);
    net.stop().await.unwrap();
    println!("{}: {ROUNDS} rounds settled, {} base units claimed", node.name, earned);
}

#[test]
fn a_federation_settles_on_anvil() {
    run(async {
        if let Some(node) = Node::anvil().await {
            settles_on(node).await;
        }
    });
}

#[test]
fn a_federation_settles_on_geth() {
    run(async {
        if let Some(node) = Node::geth().await {
            settles_on(node).await;
        }
    });
}
