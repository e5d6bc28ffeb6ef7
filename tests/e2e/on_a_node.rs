//! A federation that settles on a node of somebody's own: the same rules on a chain whose time is not ours to move.

use std::net::SocketAddr;
use std::path::PathBuf;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{
    ChainChoice, Localnet, ModelChoice, NetConfig, RoundReport, Scenario, Seeds, Site, breast_cancer_scenario,
};
use almoner_chain::{Depth, Ledger, SigningKey};
use almoner_coordinator::CoordinatorConfig;
use almoner_protocol::U256;
use tempfile::TempDir;

use crate::federation::{run, settle};
use crate::nodes::Node;

/// Long enough to be seen in the figures, short enough to wait for.
const WINDOW_S: u64 = 1;
const ROUNDS: u32 = 2;

/// A federation on a node, and who takes part.
pub(crate) struct OnNode {
    pub(crate) net: Localnet,
    pub(crate) scenario: Scenario,
    hospitals: Vec<Site>,
    validators: Vec<Site>,
    url: String,
    _dir: TempDir,
}

/// A funder's key with ether on a node.
pub(crate) struct Funded {
    dir: TempDir,
    funder: PathBuf,
    url: String,
}

impl OnNode {
    pub(crate) async fn fund(node: &Node) -> Funded {
        let dir = TempDir::new().unwrap();
        let key = SigningKey::from_bytes(&[21; 32]).unwrap();
        let funder = dir.path().join("funder.key");
        key.save(&funder).unwrap();
        node.fund(key.address()).await;
        Funded { dir, funder, url: node.url.clone().expect("a node is a process") }
    }
}

impl Funded {
    pub(crate) async fn found(self, confirmations: Depth, rounds: u32) -> OnNode {
        let Self { dir, funder, url } = self;
        let seeds = Seeds::insecure(21);
        let mut scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &seeds).unwrap();
        scenario.spec.round.challenge_window_s = WINDOW_S;
        let config = NetConfig {
            dir: dir.path().join("run"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            chain: ChainChoice::Node { url: url.clone(), funder, confirmations },
            seeds,
            coordinator: CoordinatorConfig::default(),
        };
        std::fs::create_dir(&config.dir).unwrap();
        let mut net = Localnet::start(config, &scenario, rounds).await.unwrap();
        let (hospitals, validators) = net.start_sites(&scenario).await.unwrap();
        OnNode { net, scenario, hospitals, validators, url, _dir: dir }
    }
}

impl OnNode {
    /// What a stranger reads from the node itself.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::connect(&self.url, self.net.chain.deployment.clone()).unwrap()
    }

    pub(crate) async fn settle(&mut self, rounds: u32, beside: impl Future<Output = ()>) -> Vec<RoundReport> {
        settle(&mut self.net, &self.scenario, rounds, beside).await
    }

    /// Everything that was promised is paid, once, and a stranger finds nothing wrong.
    pub(crate) async fn paid_and_sound(mut self, reports: &[RoundReport]) -> U256 {
        let Self { net, scenario, hospitals, validators, .. } = &mut self;
        let last = reports.last().unwrap();
        let (hospitals, validators) = net.paid_out(last, scenario, hospitals, validators).await.unwrap();
        let people = || hospitals.iter().chain(&validators);
        let earned: U256 = people().map(|person| person.earned).sum();
        assert_eq!(earned, U256::from(scenario.spec.round.pot.0) * U256::from(reports.len()));
        assert_eq!(people().map(|person| person.balance).sum::<U256>(), earned);
        let (ledger, net) = (self.ledger(), self.net);
        let report = almoner_audit::audit(&ledger, &*net.store, net.federation, &mut |_| {}).await.unwrap();
        assert_eq!(report.first_wrong, None);
        net.stop().await.unwrap();
        earned
    }
}

async fn settles_on(node: Node) {
    let mut federation = OnNode::fund(&node).await.found(Depth::NONE, ROUNDS).await;
    let reports = federation.settle(ROUNDS, async {}).await;
    let earned = federation.paid_and_sound(&reports).await;
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
