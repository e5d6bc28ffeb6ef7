//! A coordinator whose store is removed under it: the round that needs what is gone is given up and nobody is paid for
//! it, the next one goes on from what the coordinator can publish again, and an audit names what is missing.

use std::fs;

use serde_json::{Value, json};

use super::almoner;
use super::on_nodes::call;
use super::processes::{House, coordinator_settings, free_port, order};

#[test]
fn a_store_that_is_removed_costs_the_round_in_hand() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(free_port(), &rpc, "time_travel = true\nlease_s = 1\n");
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let scenario = house.federation(&url);
    let mut sites = house.sites(&url, &scenario, 0);

    // Without an aggregator the round stands still when the uploads are to be looked at.
    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "2"]);
    watch.until("revealed");
    let blocks = rooms[1].join("store/blocks");
    fs::remove_dir_all(&blocks).unwrap();
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    watch.until("void");
    watch.until("settled");
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 1_000_000_000_000_000_000_000, "the second round alone");
    let status = order(&url, &["status", "1"]);
    assert_eq!(
        (&status["rounds"][0]["paid"], &status["rounds"][1]["status"]),
        (&Value::Null, &"final".into()),
        "{status}"
    );
    let audit = almoner(&["audit", &url, "--json"]);
    let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
    let gone = &said["first_missing"];
    assert_eq!((audit.status.code(), gone["round"].as_u64()), (Some(4), Some(1)), "{said}");
    assert_eq!((&said["verdict"], &said["first_wrong"]), (&"incomplete".into(), &Value::Null), "{said}");
    let missing = format!("block {} is not at", gone["cid"].as_str().unwrap());
    assert!(gone["text"].as_str().unwrap().contains(&missing), "{gone}");

    // Where the model itself is gone, and the copy of it, there is nothing to go on from.
    house.children.kill(coordinator.id);
    fs::remove_dir_all(&blocks).unwrap();
    fs::remove_file(rooms[1].join("coordinator.db.base")).unwrap();
    let refused = house.ended(&rooms[1], &["coordinator", "--config", "settings.toml", "--json"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("is gone from embedded store store: put the folder's blocks/ back from a copy"), "{said}");
}

/// Nobody makes a sum again once it is on chain: where it is lost before it is opened, and the deadline goes by meanwhile,
/// the round expires and the next one begins.
#[test]
fn a_sum_that_is_lost_before_it_is_opened_costs_the_round() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(free_port(), &rpc, "time_travel = true\n");
    fs::write(rooms[1].join("settings.toml"), settings).unwrap();
    let line = ["coordinator", "--config", "settings.toml"];
    let (mut coordinator, mut logged) = house.overheard(&rooms[1], &line, Some("opened"));
    let url = coordinator.next()["url"].as_str().unwrap().to_owned();
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let scenario = house.federation(&url);
    let mut sites = house.sites(&url, &scenario, 0);
    order(&url, &["launch", "1", "--rounds", "2"]);
    // Its model is there, and not written down.
    logged.stopped("opened");
    house.children.kill(coordinator.id);
    fs::remove_dir_all(rooms[1].join("store/blocks")).unwrap();
    let ten_days = 10 * 24 * 3600;
    call(&rpc, "evm_increaseTime", json!([ten_days])).expect("the chain obeys");
    call(&rpc, "evm_mine", json!([])).expect("the chain obeys");

    let coordinator = house.start(&rooms[1], &line);
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 1_000_000_000_000_000_000_000, "the second round alone");
    let status = order(&url, &["status", "1"]);
    let states = [0, 1].map(|round: usize| &status["rounds"][round]["status"]);
    assert_eq!(states, ["expired", "final"], "{status}");
    assert!(house.children.lives(coordinator.id));
}
