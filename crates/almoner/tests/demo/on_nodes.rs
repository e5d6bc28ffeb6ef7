//! One federation, all of it in one process, as the demo runs it, and as processes on three chains: the embedded one, anvil
//! and geth. With the same keys and the same randomness of every site the model and the settlement, which holds every
//! quality and every payment, have the same roots.
//!
//! The score list is not compared: it holds the members' answers, and those are about shares that are dealt under the
//! round's ctx, which contains the chain's number and its time.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use almoner::failure::Failure;
use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{
    ChainChoice, Localnet, ModelChoice, NetConfig, Person, Scenario, Seeds, breast_cancer_scenario,
};
use almoner_coordinator::CoordinatorConfig;
use almoner_model::Standardiser;
use almoner_protocol::spec::FederationSpec;
use serde_json::{Value, json};

use super::almoner;
use super::kills::{SEED, account, keys};
use super::processes::{Daemon, HOSPITALS, House, coordinator_settings, free_port, key, order};

const ETHER: &str = "0x3635c9adc5dea00000"; // 1000

/// A node of somebody's own; it ends with the test.
pub(super) struct Node {
    name: &'static str,
    pub(super) url: String,
    process: Child,
    _data: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says what is not here to test with and how it would be; fails if it is required.
pub(super) fn skipped(name: &str, remedy: &str) {
    let required = std::env::var("ALMONER_REQUIRE").unwrap_or_default();
    let message = format!("skipped: {name}: {remedy}");
    assert!(!required.split(',').any(|required| required.trim() == name), "{message}");
    println!("{message}");
}

/// The binary that the environment names.
fn binary(name: &str, variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|path| !path.is_empty());
    if found.is_none() {
        skipped(name, &format!("set {variable} to the binary"));
    }
    found
}

impl Node {
    fn start(name: &'static str, port: u16, binary: String, arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.args(arguments).current_dir(data.path());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let node = Self { name, url: format!("http://127.0.0.1:{port}"), process, _data: data };
        for _ in 0..600 {
            if node.call("eth_chainId", json!([])).is_some() {
                return node;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{name} does not answer");
    }

    pub(super) fn anvil(account: &str) -> Option<Self> {
        let binary = binary("anvil", "ALMONER_ANVIL")?;
        let port = free_port();
        let arguments = ["--port", &port.to_string(), "--hardfork", "osaka", "--silent", "--accounts", "0"];
        let node = Self::start("anvil", port, binary, &arguments);
        node.call("anvil_setBalance", json!([account, ETHER])).expect("ether");
        Some(node)
    }

    fn geth(account: &str) -> Option<Self> {
        let binary = binary("geth", "ALMONER_GETH")?;
        let (port, auth) = (free_port(), free_port());
        let ports = ["--http.port", &port.to_string(), "--authrpc.port", &auth.to_string()];
        let dev = ["--datadir", ".", "--dev", "--nodiscover", "--maxpeers", "0", "--ipcdisable", "--http"];
        let node = Self::start("geth", port, binary, &[&dev[..], &ports[..]].concat());
        let own = node.call("eth_accounts", json!([])).expect("an account")[0].clone();
        let transfer = json!([{ "from": own, "to": account, "value": ETHER }]);
        node.call("eth_sendTransaction", transfer).expect("ether");
        while node.call("eth_getBalance", json!([account, "latest"])) != Some(ETHER.into()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(node)
    }

    fn call(&self, method: &str, params: Value) -> Option<Value> {
        call(&self.url, method, params)
    }
}

/// What the node there answers, if it does.
pub(super) fn call(url: &str, method: &str, params: Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = almoner_tls::Client::default().http("127.0.0.1").build().unwrap();
        let request = client.post(url).header("content-type", "application/json").body(body);
        let answer: Value = serde_json::from_str(&request.send().await.ok()?.text().await.ok()?).ok()?;
        answer.get("result").cloned()
    })
}

/// What a round comes to: the roots of its model and of its settlement, and what everybody was paid.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) model_root: Value,
    pub(super) settle_root: Value,
    pub(super) paid: BTreeMap<String, String>,
}

/// A federation of processes after its round; they run on.
pub(super) struct Played {
    pub(super) house: House,
    pub(super) coordinator: u32,
    pub(super) url: String,
    pub(super) outcome: Outcome,
}

/// Plays one round in the house, on the node or on a chain of its own. `more` is said in the coordinator's settings, and
/// `meanwhile` happens once the round is launched.
pub(super) fn played(
    mut house: House,
    keys: &BTreeMap<String, PathBuf>,
    node: Option<&Node>,
    more: &str,
    meanwhile: impl FnOnce(&House, &str),
) -> Played {
    house.seed = Some(SEED);
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let funded = format!("[[funded]]\naccount = \"{}\"\nether = 1000\n", account(&keys["coordinator"]));
    let devnet = format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}");
    let devnet = node.is_none().then(|| house.daemon(&rooms[0], "devnet", &devnet).1);
    let rpc = node.map_or_else(|| devnet.expect("a chain"), |node| node.url.clone());
    fs::copy(&keys["coordinator"], rooms[1].join("coordinator.key")).unwrap();
    let settings = coordinator_settings(0, &rpc, &format!("ready_wait_s = 600\n{more}"));
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let mut sites = seated(&house, keys, &url);
    order(&url, &["launch", "1", "--rounds", "1"]);
    meanwhile(&house, &url);
    let outcome = outcome(&mut sites, &url, node.map(|node| node.url.as_str()));
    Played { house, coordinator: coordinator.id, url, outcome }
}

/// The sample's, with a challenge window that is over soon where nobody moves the clock.
pub(super) fn federation_file() -> String {
    let sample = include_str!("../../../../docs/config/breast-cancer-logistic.toml");
    assert!(sample.contains("challenge_window_s = 3600"));
    sample.replace("challenge_window_s = 3600", "challenge_window_s = 1")
}

/// Hospitals and a validator, by the names of their rooms.
pub(super) fn scenario() -> Scenario {
    let mut scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(SEED)).unwrap();
    scenario.spec = FederationSpec::parse(&federation_file()).unwrap();
    scenario.hospitals.truncate(HOSPITALS);
    scenario.hospitals.iter_mut().zip(1..).for_each(|(holder, number)| holder.name = format!("hospital-{number}"));
    scenario.validators.truncate(1);
    scenario.validators[0].name = "validator".to_owned();
    scenario
}

/// A federation of one round with these keys, and its sites.
pub(super) fn seated(house: &House, keys: &BTreeMap<String, PathBuf>, url: &str) -> Vec<(String, Daemon)> {
    let scenario = scenario();
    let file = house.home.path().join("federation.toml");
    fs::write(&file, federation_file()).unwrap();
    order(url, &["create", file.to_str().unwrap()]);
    order(url, &["fund", "1", "1000000000000000000000"]);
    let mut sites: Vec<(String, Daemon)> = Vec::new();
    let hospitals = scenario.hospitals.iter().map(|holder| ("participant", holder));
    for (section, holder) in hospitals.chain([("validator", &scenario.validators[0])]) {
        let name = &holder.name;
        fs::copy(&keys[name], house.room(name).join("site.key")).unwrap();
        sites.push((name.clone(), house.site_with(name, section, url, holder, "")));
    }
    sites
}

/// What the same federation comes to in one process, with the same keys and the same randomness of every site.
pub(super) fn in_one_process() -> Outcome {
    let mut scenario = scenario();
    for holder in scenario.hospitals.iter_mut().chain(&mut scenario.validators) {
        // As a site does that reads the rows from a file.
        holder.data = Standardiser::by_own_rows(&holder.data).unwrap();
    }
    // Where a model of one layer starts that a researcher orders.
    scenario.initial.fill(0.0);
    let home = tempfile::tempdir().unwrap();
    let config = NetConfig {
        dir: home.path().to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        chain: ChainChoice::Embedded,
        seeds: Seeds::insecure(SEED),
        coordinator: CoordinatorConfig::default(),
    };
    let played = async {
        let mut net = Localnet::start(config, &scenario, 1).await?;
        let (mut hospitals, mut validators) = net.start_sites(&scenario).await?;
        let round = net.follow(&scenario, 1, &mut |_, _| ()).await?.remove(0);
        let (hospitals, validators) = net.paid_out(&round, &scenario, &mut hospitals, &mut validators).await?;
        net.stop().await?;
        let paid = |person: Person| (person.name, person.balance.to_string());
        let paid = hospitals.into_iter().chain(validators).map(paid).collect();
        Ok::<_, Failure>(Outcome { model_root: json!(round.model_root), settle_root: json!(round.settle_root), paid })
    };
    tokio::runtime::Runtime::new().unwrap().block_on(played).unwrap()
}

/// Once everybody is paid; the audit finds nothing wrong.
pub(super) fn outcome(sites: &mut [(String, Daemon)], url: &str, rpc: Option<&str>) -> Outcome {
    let mut paid = |(name, site): &mut (String, Daemon)| {
        (name.clone(), site.until("paid")["paid"].as_str().expect("an amount").to_owned())
    };
    let paid = sites.iter_mut().map(&mut paid).collect();
    sound(url, rpc);
    let status = order(url, &["status", "1"]);
    let round = &status["rounds"][0];
    assert_eq!(status["paid"], status["claimed"], "{status}");
    let (model_root, settle_root) = (round["model_root"].clone(), round["settle_root"].clone());
    Outcome { model_root, settle_root, paid }
}

fn sound(url: &str, rpc: Option<&str>) {
    let node: Vec<&str> = rpc.iter().flat_map(|rpc| ["--rpc", rpc]).collect();
    let audit = almoner(&[&["audit", url, "--json"][..], &node[..]].concat());
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

fn come_to_what_one_process_comes_to(keys: &BTreeMap<String, PathBuf>, node: Option<&Node>) {
    let played = played(House::new(), keys, node, "", |_, _| ()).outcome;
    assert_eq!(played, in_one_process());
    let name = node.map_or("the embedded chain", |node| node.name);
    println!("{name}: model {}, settlement {}", played.model_root, played.settle_root);
}

#[test]
fn processes_on_the_embedded_chain_come_to_what_one_process_comes_to() {
    let home = tempfile::tempdir().unwrap();
    come_to_what_one_process_comes_to(&keys(home.path()), None);
}

fn on_a_node(node: impl FnOnce(&str) -> Option<Node>) {
    let home = tempfile::tempdir().unwrap();
    let keys = keys(home.path());
    let Some(node) = node(&account(&keys["coordinator"])) else { return };
    come_to_what_one_process_comes_to(&keys, Some(&node));
}

#[test]
fn processes_on_anvil_come_to_what_one_process_comes_to() {
    on_a_node(Node::anvil);
}

#[test]
fn processes_on_geth_come_to_what_one_process_comes_to() {
    on_a_node(Node::geth);
}

#[test]
fn a_coordinator_whose_federation_the_chain_has_no_more_ends_and_blames_the_node() {
    let house = House::new();
    let room = house.room("coordinator");
    let account = key(&room.join("coordinator.key"));
    let Some(node) = Node::anvil(&account) else { return };
    let settings = coordinator_settings(0, &node.url, "");
    fs::write(room.join("settings.toml"), settings).unwrap();
    let (mut coordinator, logged) = house.overheard(&room, &["coordinator", "--config", "settings.toml"], None);
    let url = coordinator.next()["url"].as_str().unwrap().to_owned();
    let file = house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    order(&url, &["create", file.to_str().unwrap()]);
    // The creation, and the bond behind it: what has its nonce now is something else.
    let other = json!({ "from": account, "to": account });
    node.call("anvil_impersonateAccount", json!([account])).expect("an account of its own");
    node.call("anvil_reorg", json!([3, [[other, 0]]])).expect("another chain");
    let said: Value = serde_json::from_str(&logged.last()).expect("one JSON document");
    let message = "the chain took federation 1 back, and sending its creation again did not bring it back: ask who runs the \
                   node, or found it anew by another key, journal and deployment";
    assert_eq!(said, json!({ "schema": 1, "error": { "kind": "peer", "message": message } }));
    assert_eq!(house.children.status(coordinator.id).code(), Some(4));
}
