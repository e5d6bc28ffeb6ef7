//! Orders and readers on a chain whose newest blocks are not believed yet.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use super::on_nodes::Node;
use super::processes::{House, coordinator_settings, key, order};
use super::refused;
use almoner_chain::{advance_time, connect};
use serde_json::{Value, json};

/// More blocks than it takes to deploy, and to carry an order out.
const DEPTH: u64 = 20;
const CONFIRMATIONS: &str = "20";

/// A coordinator on a chain whose blocks the test makes.
struct Scene {
    house: House,
    url: String,
    rpc: String,
    _node: Option<Node>,
}

impl Scene {
    /// On the embedded chain, which keeps no state but the newest.
    fn embedded() -> Self {
        let house = House::new();
        let (_, rpc) = house.chain(&house.room("chain"), &house.room("coordinator"));
        Self::on(house, rpc, None)
    }

    fn anvil() -> Option<Self> {
        let house = House::new();
        let account = key(&house.room("coordinator").join("coordinator.key"));
        let node = Node::anvil(&account)?;
        let rpc = node.url.clone();
        Some(Self::on(house, rpc, Some(node)))
    }

    fn on(house: House, rpc: String, node: Option<Node>) -> Self {
        let settings = coordinator_settings(0, &rpc, "");
        let (_, url) = house.daemon(&house.room("coordinator"), "coordinator", &settings);
        Self { house, url, rpc, _node: node }
    }

    /// So many blocks, a second apart or more.
    fn mine(&self, blocks: u64) {
        (0..blocks).for_each(|_| self.pass(1));
    }

    fn pass(&self, seconds: u64) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { advance_time(&connect(&self.rpc).unwrap(), seconds).await.unwrap() });
    }

    fn waits(&self, arguments: &[&str]) -> Waiting {
        let more = ["--coordinator", &self.url, "--confirmations", CONFIRMATIONS];
        Waiting::order(&[&["federation"], arguments, &more].concat())
    }
}

/// An order that is carried out and not deep enough yet.
struct Waiting {
    process: Child,
    stderr: BufReader<ChildStderr>,
    /// The first that it said about it.
    said: String,
}

impl Waiting {
    fn order(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_almoner"));
        let mut process = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        let waiting = process.try_wait().unwrap().is_none();
        assert!(waiting, "it has ended: {said}");
        Self { process, stderr, said }
    }

    /// The document that it said in the place of words.
    fn document(&self) -> Value {
        serde_json::from_str(&self.said).expect("a JSON document a line")
    }

    /// What it prints once it is deep enough, and not before.
    fn ends_after(mut self, blocks: impl FnOnce()) -> String {
        assert!(self.process.try_wait().unwrap().is_none(), "it waits");
        blocks();
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        let output = self.process.wait_with_output().unwrap();
        assert!(output.status.success(), "{rest}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn waited_for(what: &str, said: &Value) -> Value {
    let [block, newest] =
        ["block", "newest_block"].map(|key| said[key].as_u64().unwrap_or_else(|| panic!("{key}: {said}")));
    assert!(block <= newest && newest < block + DEPTH, "{said}");
    json!({ "schema": 1, "waiting_for": what, "block": block, "newest_block": newest, "confirmations": DEPTH })
}

#[test]
fn an_order_waits_until_it_is_deep_enough_and_readers_do_not_see_it_before() {
    let scene = Scene::embedded();
    let url = scene.url.as_str();
    let file = scene.house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    let create = scene.waits(&["create", file.to_str().unwrap()]);
    // Four contracts, the federation, and its bond.
    let waits = "the federation is in block 5, the newest is 7; waiting until it is deep enough (confirmations = 20)\n";
    assert_eq!(create.said, waits);
    // Whoever takes a block as it comes sees it; whoever waits like the order does not.
    let status = ["federation", "status", "1", "--coordinator", url];
    order(url, &["status", "1"]);
    let shallow = "federation 1: there is no such federation, or not deep enough in the chain";
    refused(&[&status[..], &["--confirmations", CONFIRMATIONS]].concat(), 3, shallow);
    assert_eq!(create.ends_after(|| scene.mine(DEPTH)), "federation 1 is open\n");
    order(url, &["status", "1", "--confirmations", CONFIRMATIONS]);
    let latest = [&status[..], &["--confirmations", "latest"]].concat();
    refused(&latest, 2, "a number of blocks, \"safe\" or \"finalized\"");

    // In documents what it waits for is a document, too; stdout has the result alone.
    let fund = scene.waits(&["fund", "1", "1000", "--json"]);
    assert_eq!(fund.document(), waited_for("the money", &fund.document()));
    let funded = |confirmations| order(url, &["status", "1", "--confirmations", confirmations])["funded"].clone();
    assert_eq!([funded(CONFIRMATIONS), funded("0")], ["0", "1000"]);
    let funding = fund.ends_after(|| scene.mine(DEPTH));
    let said: Value = serde_json::from_str(&funding).expect("one JSON document");
    assert_eq!(said, json!({ "schema": 1, "federation": 1, "done": "funded" }));
    assert_eq!(funded(CONFIRMATIONS), "1000");
    // It was given so much already, as deep as that.
    order(url, &["fund", "1", "1000", "--confirmations", CONFIRMATIONS]);
}

#[test]
fn a_claim_waits_until_it_is_deep_enough() {
    let Some(scene) = Scene::anvil() else { return };
    let (house, url) = (&scene.house, scene.url.as_str());
    let (_aggregator, _) = house.daemon(&house.room("aggregator"), "aggregator", &format!("coordinator = \"{url}\"\n"));
    let federation = house.federation(url);
    let sites = house.sites(url, &federation, 0);
    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", url]);
    order(url, &["launch", "1", "--rounds", "1"]);
    watch.until("proposed");
    // Before they ask to be paid.
    sites.iter().for_each(|site| house.children.kill(site.id));
    scene.pass(federation.spec.round.challenge_window_s + 1);
    watch.until("settled");
    scene.mine(DEPTH);

    let key = house.room("hospital-1").join("site.key");
    let claim = ["claim", "1", "--key", key.to_str().unwrap(), "--json"];
    let claiming = scene.waits(&claim);
    assert_eq!(claiming.document(), waited_for("the claim", &claiming.document()));
    let claimed = claiming.ends_after(|| scene.mine(DEPTH));
    let paid: Value = serde_json::from_str(&claimed).expect("one JSON document");
    assert_ne!(paid["earned"], "0", "{paid}");
    assert_eq!((&paid["paid"], &paid["after"]["claimed"]), (&paid["earned"], &paid["earned"]), "{paid}");
    let again = order(url, &[&claim[..4], &["--confirmations", CONFIRMATIONS]].concat());
    assert_eq!((&again["paid"], &again["before"]), (&"0".into(), &paid["after"]), "nothing more is due");
}
