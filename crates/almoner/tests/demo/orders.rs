//! A coordinator that is killed while it deploys, founds, funds and launches: whoever asked asks again, and everything
//! has been done once.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Seeds, breast_cancer_scenario};
use serde_json::Value;

use super::almoner;
use super::on_nodes::call;
use super::processes::{Daemon, HOSPITALS, House, Logged, coordinator_settings, free_port, order};

const POT: &str = "1000000000000000000000";
const TWO_POTS: &str = "2000000000000000000000";

const LINE: [&str; 3] = ["coordinator", "--config", "settings.toml"];

struct Coordinator<'a> {
    house: &'a House,
    room: PathBuf,
    url: String,
}

impl Coordinator<'_> {
    /// Started, and up.
    fn up(&self, point: Option<&str>) -> (u32, Logged) {
        let (mut daemon, logged) = self.house.overheard(&self.room, &LINE, point);
        assert_eq!(daemon.next()["role"], "coordinator");
        (daemon.id, logged)
    }

    /// Killed at `point` while it starts.
    fn killed_starting(&self, point: &str) {
        let (daemon, mut logged) = self.house.overheard(&self.room, &LINE, Some(point));
        logged.stopped(point);
        self.house.children.kill(daemon.id);
    }

    /// Lives until it stands at `point` with an order, and is killed there: whoever gave the order has no answer.
    fn killed_at(&self, point: &str, before: impl FnOnce(), arguments: &[&str]) {
        let (id, mut logged) = self.up(Some(point));
        before();
        let arguments = [&["federation"], arguments, &["--coordinator", &self.url, "--json"]].concat();
        let mut asking = Command::new(env!("CARGO_BIN_EXE_almoner"));
        let mut asking = asking.args(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let children = self.house.children.clone();
        let asked = std::thread::spawn(move || {
            let answered = asking.wait().unwrap();
            // Answered before the point: then it is not reached.
            children.kill(id);
            answered
        });
        logged.stopped(point);
        self.house.children.kill(id);
        assert_eq!(asked.join().unwrap().code(), Some(4), "{arguments:?} has no answer");
    }
}

#[test]
fn what_is_ordered_again_after_a_kill_is_done_once() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let port = free_port();
    let settings = coordinator_settings(port, &rpc, "time_travel = true\n");
    std::fs::write(rooms[1].join("settings.toml"), settings).unwrap();
    let coordinator = Coordinator { house: &house, room: rooms[1].clone(), url: format!("http://127.0.0.1:{port}") };
    let url = coordinator.url.as_str();
    let nothing = || {};

    // Contracts that were deployed by half are left alone.
    coordinator.killed_starting("outbox:insert#2");
    coordinator.killed_starting("outbox:settle#3");
    let file = house.home.path().join("federation.toml");
    std::fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    let create = ["create", file.to_str().unwrap()];
    for point in ["outbox:settle#5", "outbox:settle", "outbox:settle#2", "state:campaign"] {
        // Created; allowed to post its bond; posted; written down.
        coordinator.killed_at(point, nothing, &create);
    }
    let fund = ["fund", "1", POT];
    // Written down and never sent by this life.
    coordinator.killed_at("outbox:insert#2", nothing, &fund);
    let (life, _logged) = coordinator.up(None);
    assert_eq!(order(url, &create)["federation"], 1);
    order(url, &fund);
    house.children.kill(life);
    coordinator.killed_at("outbox:settle#2", nothing, &["fund", "1", TWO_POTS]);

    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    let (life, _logged) = coordinator.up(None);
    order(url, &["fund", "1", TWO_POTS]);
    let mut sites: Vec<Daemon> = Vec::new();
    for (index, holder) in scenario.hospitals.iter().take(HOSPITALS).enumerate() {
        sites.push(house.site(&format!("hospital-{}", index + 1), "participant", url, holder));
    }
    sites.push(house.site("validator", "validator", url, &scenario.validators[0]));
    house.children.kill(life);
    let launch = ["launch", "1", "--rounds", "1"];
    // Sites say again that they would join, until the seats are fixed.
    let joined = || sites.iter_mut().for_each(|site| drop(site.until("joined")));
    coordinator.killed_at("state:campaign", joined, &launch);
    for point in ["outbox:settle#2", "state:campaign", "state:campaign"] {
        // Some are seated; all are; the round is ordered.
        coordinator.killed_at(point, nothing, &launch);
    }
    let _up = coordinator.up(None);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    order(url, &launch);

    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), POT.parse().unwrap(), "one round is paid");
    let status = order(url, &["status", "1"]);
    assert_eq!((&status["funded"], &status["claimed"]), (&Value::from(TWO_POTS), &Value::from(POT)), "{status}");
    assert_eq!(status["rounds"].as_array().unwrap().len(), 1, "{status}");
    let second = almoner(&["federation", "status", "2", "--coordinator", url, "--json"]);
    assert!(!second.status.success(), "one federation was founded");
    let audit = almoner(&["audit", url, "--json"]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

/// The pots of an order may run out under way: then nothing is asked for and no gas is spent, sites are idle and have
/// themselves paid, and it goes on once there is money.
#[test]
fn a_round_without_a_pot_waits_for_money() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(0, &rpc, "time_travel = true\n");
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let file = house.home.path().join("federation.toml");
    std::fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    order(&url, &["create", file.to_str().unwrap()]);
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    let mut sites = house.sites(&url, &scenario, 0);

    let refused = almoner(&["federation", "launch", "1", "--rounds", "2", "--coordinator", &url, "--json"]);
    let said: Value = serde_json::from_slice(&refused.stderr).expect("one JSON document");
    assert_eq!(refused.status.code(), Some(3), "{said}");
    let missing = format!("federation 1 has 0 base units, a round takes {POT}: almoner federation fund 1 TOTAL");
    assert!(said["error"]["message"].as_str().unwrap().ends_with(&format!("launch: {missing}")), "{said}");

    order(&url, &["fund", "1", POT]);
    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "2"]);
    let paid = |sites: &mut Vec<Daemon>| -> u128 {
        sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap()).sum()
    };
    assert_eq!(watch.until("settled")["reason"], missing);
    assert_eq!(paid(&mut sites), POT.parse().unwrap(), "who waits for money is idle");
    let sent = || call(&rpc, "eth_blockNumber", serde_json::json!([])).expect("the chain answers");
    let before = sent();
    order(&url, &["launch", "1", "--rounds", "1"]);
    assert_eq!(sent(), before, "nothing is sent for a round that nobody could be paid for");

    order(&url, &["fund", "1", TWO_POTS]);
    assert_eq!(paid(&mut sites), POT.parse().unwrap());
    let status = order(&url, &["status", "1"]);
    assert_eq!((&status["paid"], &status["claimed"]), (&Value::from(TWO_POTS), &Value::from(TWO_POTS)), "{status}");
}
