//! A coordinator that keeps the uploads of the newest round only, in a store of bounded size, and so does the Kubo daemon
//! that it gives everything.

use std::fs;
use std::time::Duration;

use almoner_store::FakeKubo;
use serde_json::Value;

use super::almoner;
use super::kubo::{StandIn, named};
use super::processes::{HOSPITALS, House, LOG, coordinator_settings, free_port, order};

#[test]
fn uploads_of_old_rounds_are_forgotten_and_the_rest_stays() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let kubo = StandIn::start(FakeKubo::default());
    let kept = "[retention]\nkeep_rounds = 1\nquota_mib = 64\n";
    let more = format!("time_travel = true\n{kept}[kubo]\nurl = \"{}\"\n", kubo.url());
    let settings = coordinator_settings(0, &rpc, &more);
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let scenario = house.federation(&url);
    let mut sites = house.sites(&url, &scenario, 0);

    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "2"]);
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 2_000_000_000_000_000_000_000);
    watch.until("settled");

    // An audit reads every upload there is: it finds those of the first round gone, one after another, and no other.
    let audit = loop {
        let audit = almoner(&["audit", &url, "--json"]);
        let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
        if said["audit"]["by_kind"]["ciphertext"]["held"] == HOSPITALS {
            assert_eq!(audit.status.code(), Some(4), "{said}");
            break said;
        }
    };
    assert_eq!(audit["audit"]["by_kind"]["ciphertext"]["checks"], 2 * HOSPITALS, "{audit}");
    assert_eq!(audit["first_wrong"], Value::Null, "{audit}");
    let gone = &audit["first_missing"];
    assert_eq!(gone["round"], 1, "{audit}");
    assert!(gone["text"].as_str().unwrap().starts_with("unavailable: "), "{audit}");
    let model = house.home.path().join("model.safetensors");
    let export =
        ["model", "export", "--coordinator", &url, "--federation", "1", "--out", model.to_str().unwrap(), "--json"];
    assert!(almoner(&export).status.success(), "the model is there");
    let kept = named(&url, 1);
    assert_eq!(named(&url, 0).len(), kept.len() + 3 * HOSPITALS);
    kubo.until_pinned(&kept);
}

/// The base model has a place, and the uploads of two of the three hospitals.
#[test]
fn a_round_goes_on_once_a_quota_that_it_reached_is_raised() {
    let mut house = House::new();
    house.log = "warn";
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let port = free_port();
    let settings =
        |mib| coordinator_settings(port, &rpc, &format!("time_travel = true\n[retention]\nquota_mib = {mib}\n"));
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings(2));
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let scenario = house.federation_of(&url, WIDE);
    let mut sites = house.sites(&url, &scenario, 0);
    order(&url, &["launch", "1", "--rounds", "1"]);

    let log = rooms[1].join(LOG);
    while !fs::read_to_string(&log).unwrap().contains("the quota of 2 MiB is reached") {
        std::thread::sleep(Duration::from_millis(20));
    }
    house.children.kill(coordinator.id);
    let (_coordinator, _) = house.daemon(&rooms[1], "coordinator", &settings(64));
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 1_000_000_000_000_000_000_000);
    let audit = almoner(&["audit", &url, "--json"]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

/// A hundred thousand parameters: an upload is 600 kB.
const WIDE: &str = r#"
name = "wide"
[model]
layers = [{ type = "linear", inputs = 30, outputs = 3200 }, { type = "relu" }, { type = "linear", inputs = 3200, outputs = 1 }]
[data]
features = 30
[training]
lr = 0.01
batch = 16
steps = 2
[round]
pot = "1000000000000000000000"
rounds = 10
challenge_window_s = 3600
"#;
