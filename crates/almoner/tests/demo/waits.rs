//! What a coordinator's log says while a round stands still: for whom it waits.

use std::fs;
use std::path::Path;
use std::time::Duration;

use almoner_chain::SigningKey;
use serde_json::Value;

use super::processes::{Daemon, House, LOG, coordinator_settings, free_port, key, order};

/// The first entry with this message; as long as the process lives there may be one.
fn entry(house: &House, daemon: &Daemon, log: &Path, message: &str) -> Value {
    loop {
        let alive = house.children.lives(daemon.id);
        let text = fs::read_to_string(log).unwrap_or_default();
        // The last line may be half there.
        let mut entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(found) = entries.find(|entry| entry["message"] == message) {
            return found;
        }
        assert!(alive, "it ended and has not said {message:?}: {text}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A hospital stands still with its upload ready; the log names it after a minute, and nobody else.
#[test]
fn a_round_that_waits_for_a_site_names_it() {
    let mut house = House::new();
    house.log = "info";
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(free_port(), &rpc, "time_travel = true\n");
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let scenario = house.federation(&url);
    let mut sites = house.sites(&url, &scenario, 0);
    let late = house.room("hospital-1");
    house.children.kill(sites.remove(0).id);
    let line = ["participant", "--config", "settings.toml"];
    let (mut standing, mut logged) = house.overheard(&late, &line, Some("state:upload-seed"));
    assert_eq!(standing.next()["role"], "participant");
    order(&url, &["launch", "1", "--rounds", "1"]);
    logged.stopped("state:upload-seed");

    let waits = entry(&house, &coordinator, &rooms[1].join(LOG), "the round waits");
    assert_eq!((&waits["level"], &waits["round"], &waits["state"]), (&"INFO".into(), &1.into(), &"training".into()));
    assert!(waits["seconds"].as_u64().is_some_and(|seconds| seconds >= 60), "{waits}");
    let account = |name: &str| {
        let key = SigningKey::load(&house.room(name).join("site.key")).unwrap();
        format!("{:#x}", key.address())
    };
    let named = waits["waiting_for"].as_str().unwrap();
    assert!(named.contains(&account("hospital-1")), "{waits}");
    assert!(!named.contains(&account("hospital-2")) && !named.contains(&account("hospital-3")), "{waits}");

    // It comes back, and the round is what it would have been.
    house.children.kill(standing.id);
    sites.push(house.start(&late, &line));
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 1_000_000_000_000_000_000_000);
    // What it did, for its operator.
    for did in ["joined", "trained", "done", "earned so far", "paid"] {
        entry(&house, &sites[0], &house.room("hospital-2").join(LOG), did);
    }
}

#[test]
fn a_site_that_is_there_before_its_federation_says_so_once() {
    let mut house = House::new();
    house.log = "info";
    let rooms = ["chain", "coordinator", "hospital-1"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    key(&rooms[2].join("site.key"));
    let rows: String = (0..4).map(|row| format!("{}{}\n", "0.5,".repeat(30), row % 2)).collect();
    let names: String = (0..30).map(|column| format!("x{column},")).collect();
    fs::write(rooms[2].join("rows.csv"), format!("{names}y\n{rows}")).unwrap();
    let settings = format!(
        "coordinator = \"{url}\"\nfederation = 1\nentity = \"early\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         [participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n"
    );
    fs::write(rooms[2].join("settings.toml"), settings).unwrap();
    let mut site = house.start(&rooms[2], &["participant", "--config", "settings.toml"]);
    let log = rooms[2].join(LOG);
    assert_eq!(entry(&house, &site, &log, "no answer: waiting")["waiting_for"], "coordinator");
    let (coordinator, _) = house.daemon(&rooms[1], "coordinator", &coordinator_settings(port, &rpc, ""));
    assert_eq!(entry(&house, &site, &log, EARLY)["federation"], 1);
    // It looks every second.
    std::thread::sleep(Duration::from_secs(3));
    house.federation(&url);
    site.until("joined");
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(text.matches(EARLY).count(), 1, "{text}");
    assert!(house.children.lives(coordinator.id));
}

const EARLY: &str = "no such federation yet: waiting";
