//! Orders and readers on a chain whose newest blocks are not believed yet.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::processes::{House, order};
use super::refused;
use almoner_chain::{advance_time, connect};

/// More blocks than it takes to deploy, and to carry the order out.
const DEPTH: &str = "20";

#[test]
fn an_order_waits_until_it_is_deep_enough_and_readers_do_not_see_it_before() {
    let house = House::new();
    let rooms = ["chain", "coordinator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nrpc = \"{rpc}\"\nkey = \"coordinator.key\"\nstate = \"coordinator.db\"\n\
         store = \"store\"\ndeployment = \"deployment.json\"\nbeaconless = true\n"
    );
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let file = house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    let mut create = Command::new(env!("CARGO_BIN_EXE_almoner"))
        .args(["federation", "create", file.to_str().unwrap(), "--coordinator", &url, "--confirmations", DEPTH])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(create.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let waits =
        "the federation is in block 5, the newest is 7; waiting until it is deep enough (confirmations = 20)\n";
    assert_eq!(said, waits);
    // Whoever takes a block as it comes sees it; whoever waits like the order does not.
    let status = ["federation", "status", "1", "--coordinator", &url];
    order(&url, &["status", "1"]);
    let shallow = "federation 1: there is no such federation, or not deep enough in the chain";
    refused(&[&status[..], &["--confirmations", DEPTH]].concat(), 3, shallow);
    assert!(create.try_wait().unwrap().is_none(), "it waits");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = connect(&rpc).unwrap();
        for _ in 0..DEPTH.parse().unwrap() {
            advance_time(&node, 1).await.unwrap();
        }
    });
    let created = create.wait_with_output().unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    assert_eq!(String::from_utf8(created.stdout).unwrap(), "federation 1 is open\n");
    order(&url, &["status", "1", "--confirmations", DEPTH]);
    let latest = [&status[..], &["--confirmations", "latest"]].concat();
    refused(&latest, 2, "a number of blocks, \"safe\" or \"finalized\"");
}
