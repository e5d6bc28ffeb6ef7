//! The binary as its users run it: whole runs, whole outputs, exit codes.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

#[path = "demo/benches.rs"]
mod benches;
#[path = "demo/cli.rs"]
mod cli;
#[path = "demo/data.rs"]
mod data;
#[path = "demo/deep.rs"]
mod deep;
#[path = "demo/enrol.rs"]
mod enrol;
#[path = "demo/floods.rs"]
mod floods;
#[path = "demo/full_disk.rs"]
mod full_disk;
#[path = "demo/hospital_network.rs"]
mod hospital_network;
#[path = "demo/kills.rs"]
mod kills;
#[path = "demo/kubo.rs"]
mod kubo;
#[path = "demo/lost_store.rs"]
mod lost_store;
#[path = "demo/mtls.rs"]
mod mtls;
#[path = "demo/network.rs"]
mod network;
#[path = "demo/node.rs"]
mod node;
#[path = "demo/on_nodes.rs"]
mod on_nodes;
#[path = "demo/orders.rs"]
mod orders;
#[path = "demo/other_chain.rs"]
mod other_chain;
#[path = "demo/outputs.rs"]
mod outputs;
#[path = "demo/processes.rs"]
mod processes;
#[path = "demo/retention.rs"]
mod retention;
#[path = "demo/roles.rs"]
mod roles;
#[path = "demo/seeds.rs"]
mod seeds;
#[path = "demo/updates.rs"]
mod updates;
#[path = "demo/waits.rs"]
mod waits;
#[path = "demo/watched.rs"]
mod watched;
#[path = "demo/wrong_clock.rs"]
mod wrong_clock;

fn almoner(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_almoner")).args(arguments).output().expect("the binary starts")
}

fn demo(dir: &Path, more: &[&str]) -> Value {
    let dir = dir.to_str().expect("a UTF-8 path");
    let output = almoner(&[&["demo", "--json", "--dir", dir], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "--json is silent: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// A server that ends with the test, however the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves a run's directory at the address it says.
fn serve(dir: &Path) -> (Server, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_almoner"))
        .args(["serve", dir.to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let server = Server(child);
    let said: Value = serde_json::from_str(&said).expect("one JSON document");
    (server, said["url"].as_str().unwrap().to_owned())
}

fn amount(value: &Value) -> u128 {
    value.as_str().expect("a decimal string").parse().expect("base units")
}

fn refused(arguments: &[&str], code: i32, said: &str) {
    let output = almoner(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(said), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_federation_trains_and_pays() {
    let home = tempfile::tempdir().unwrap();
    let run = demo(&home.path().join("run"), &["--seed", "7", "--rounds", "3"]);
    assert_eq!(run["schema"], 1);
    assert_eq!(run["rounds"].as_array().unwrap().len(), 3);
    assert!(run["rounds"][2]["accuracy"].as_f64().unwrap() > 0.9);
    assert_eq!(run["audit"]["checks"], run["audit"]["held"]);
    assert!(run["audit"]["checks"].as_u64().unwrap() > 100);
    let people: Vec<&Value> =
        run["participants"].as_array().unwrap().iter().chain(run["validators"].as_array().unwrap()).collect();
    assert_eq!(people.len(), 7);
    let earned: u128 = people.iter().map(|person| amount(&person["earned"])).sum();
    let balances: u128 = people.iter().map(|person| amount(&person["balance"])).sum();
    assert_eq!(earned, balances);
    assert_eq!(earned, amount(&run["pot_total"]), "three rounds that pay leave nothing over");
    let (spoiled, clean): (Vec<&Value>, Vec<&Value>) =
        run["participants"].as_array().unwrap().iter().partition(|person| person["mislabelled"] == true);
    let least = clean.iter().map(|person| amount(&person["earned"])).min().unwrap();
    assert!(amount(&spoiled[0]["earned"]) * 4 < least, "flipped labels do not pay");
    let model = std::fs::read(run["model"]["path"].as_str().unwrap()).unwrap();
    assert!(model.windows(8).any(|text| text == b"0.weight"));
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Scripts read it: a name that goes, or means something else, is a new schema.
#[test]
fn the_document_of_a_run_has_the_names_of_schema_1() {
    let home = tempfile::tempdir().unwrap();
    let run = demo(&home.path().join("run"), &["--seed", "5", "--rounds", "1", "--model", "logistic"]);
    let of_run =
        ["audit", "model", "participants", "pooled", "pot_total", "rounds", "schema", "seconds", "seed", "validators"];
    assert_eq!(keys(&run), of_run);
    let mut of_round = [
        "round",
        "accuracy",
        "log_loss",
        "model_root",
        "score_root",
        "settle_root",
        "payout_root",
        "model_cid",
        "gas",
        "seconds",
        // Beside what the schema promised first: the lists as files.
        "settle_path",
        "payout_path",
    ];
    of_round.sort_unstable();
    assert_eq!(keys(&run["rounds"][0]), of_round);
    let person = ["accuracy_alone", "address", "balance", "earned", "mislabelled", "name", "rows"];
    assert_eq!(keys(&run["participants"][0]), person);
    assert_eq!(keys(&run["validators"][0]), person[1..]);
    assert_eq!(keys(&run["pooled"]), ["accuracy", "log_loss"]);
    assert_eq!(keys(&run["model"]), ["cid", "path"]);
    assert_eq!(keys(&run["audit"]), ["by_kind", "checks", "held"]);
}

#[test]
fn one_seed_has_one_history() {
    let home = tempfile::tempdir().unwrap();
    let runs: Vec<Value> = ["a", "b"]
        .iter()
        .map(|name| demo(&home.path().join(name), &["--seed", "11", "--rounds", "2", "--model", "logistic"]))
        .collect();
    for root in ["model_root", "score_root", "settle_root", "payout_root"] {
        let of = |run: &Value| [&run["rounds"][0][root], &run["rounds"][1][root]].map(Value::clone);
        assert_eq!(of(&runs[0]), of(&runs[1]), "{root} of both rounds");
    }
}

#[test]
fn a_finished_run_is_served_and_audited() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    demo(&dir, &["--seed", "3", "--rounds", "1", "--model", "logistic"]);
    let (_server, url) = serve(&dir);
    let audit = almoner(&["audit", &url, "--json"]);
    let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
    assert!(audit.status.success(), "{said}");
    assert_eq!(said["audit"]["checks"], said["audit"]["held"]);

    // One byte of one stored block: whoever downloads it notices, and the audit says which artefact is not to be had.
    let block = std::fs::read_dir(dir.join("store").join("blocks"))
        .unwrap()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().map(|meta| meta.len()).unwrap_or(0))
        .expect("a stored block");
    let mut bytes = std::fs::read(&block).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&block, bytes).unwrap();
    let audit = almoner(&["audit", &url, "--json"]);
    assert_eq!(audit.status.code(), Some(4), "{}", String::from_utf8_lossy(&audit.stderr));
    let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
    assert_eq!((&said["verdict"], &said["first_wrong"]), (&"incomplete".into(), &Value::Null), "{said}");
    assert!(said["first_missing"]["cid"].is_string(), "{said}");
}

#[test]
fn mistakes_have_their_exit_codes() {
    let home = tempfile::tempdir().unwrap();
    let full = home.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("something"), "x").unwrap();
    let fresh = home.path().join("fresh");
    let (full, fresh) = (full.to_str().unwrap(), fresh.to_str().unwrap());
    refused(&["demo", "--no-such-flag"], 2, "--no-such-flag");
    refused(&["demo", "--rounds", "0"], 3, "--rounds");
    refused(&["demo", "--dir", full], 3, "not empty");
    refused(&["demo", "--data", full], 3, "processed.cleveland.data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&["demo", "--dir", fresh, "--listen", &address], 3, "--listen");
    refused(&["audit", "http://127.0.0.1:9"], 4, "127.0.0.1:9");
}
