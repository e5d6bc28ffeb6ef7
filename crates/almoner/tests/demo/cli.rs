//! What people do beside running the roles: setting a site up, checking and asking it, copying journals and putting
//! copies back, taking the model home. Real processes, as their users run them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Scenario, Seeds, breast_cancer_scenario};
use serde_json::Value;

use super::outputs::{golden, transcript};
use super::processes::{Daemon, HOSPITALS, House, coordinator_settings, csv, free_port, key, order};
use super::{almoner, amount, demo};

/// Runs a command in a folder: settings name their files from where they are.
pub(super) fn at(room: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_almoner")).args(arguments).current_dir(room).output().unwrap()
}

/// What a command says, a JSON document.
#[track_caller]
pub(super) fn said(room: &Path, arguments: &[&str]) -> Value {
    let output = at(room, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// How a command fails.
#[track_caller]
pub(super) fn refused(room: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = at(room, &[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    let error: Value = serde_json::from_str(&text).expect("one JSON document");
    assert!(error["error"]["message"].as_str().unwrap().contains(says), "{arguments:?}: {text}");
}

/// Accounts and free space differ from run to run.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let word = |word: &str| match word {
            word if word.len() == 42 && word.starts_with("0x") => "ACCOUNT".to_owned(),
            word if line.contains("MiB free") && word.parse::<u64>().is_ok() => "N".to_owned(),
            word => word.to_owned(),
        };
        // The system's own number for an error is not the same on every system.
        let line = line.split(" (os error").next().unwrap_or_default();
        out.push_str(&line.split(' ').map(word).collect::<Vec<_>>().join(" "));
        out.push('\n');
    }
    out
}

#[test]
fn a_site_is_set_up_once_and_checked_before_anybody_hears_of_it() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().to_str().unwrap();
    let dir = home.path().join("site");
    let shown = dir.to_str().unwrap();
    let init = ["participant", "init", "--dir", shown, "--entity", "St Bride's", "--coordinator", "http://127.0.0.1:9"];
    golden("init.txt", &masked(&transcript(&init, &[(root, "HOME")])));
    let key_file = dir.join("site.key");
    assert_eq!(fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = [fs::read(&key_file).unwrap(), fs::read(dir.join("site.toml")).unwrap()];
    refused(home.path(), &init, 3, "there is a site already");
    assert_eq!(kept, [fs::read(&key_file).unwrap(), fs::read(dir.join("site.toml")).unwrap()]);
    let both = said(home.path(), &["participant", "init", "--dir", "both", "--entity", "B", "--role", "both"]);
    assert_eq!(both["never_restore"], serde_json::json!(["both/site.db"]));

    let check = ["participant", "check", "--config", "site.toml"];
    refused(&dir, &check, 3, "2 of 7 checks failed: coordinator, rows");
    fs::write(dir.join("rows.csv"), "a,b,label\n1,2,0\n3,4,1\n").unwrap();
    refused(&dir, &check, 4, "1 of 7 checks failed: coordinator");
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(dir.join("site.db"), "not a journal, and long enough to be one ".repeat(30)).unwrap();
    let output = at(&dir, &check);
    assert_eq!(output.status.code(), Some(3));
    golden("check-failed.txt", &masked(&String::from_utf8(output.stdout).unwrap()));
}

#[test]
fn a_newer_journal_and_what_is_not_there_are_told_in_words() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().to_str().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let [settings, model, rows, out] = ["coordinator.toml", "no.safetensors", "no.csv", "out.db"].map(path);
    let sample = include_str!("../../../../docs/config/coordinator.toml");
    fs::write(&settings, sample.replace("coordinator.db", &path("coordinator.db"))).unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config/breast-cancer.toml");
    let nobody = "0x0000000000000000000000000000000000000007";
    let gone = "http://127.0.0.1:9";
    let later = path("later.toml");
    let site = include_str!("../../../../docs/config/site.toml");
    fs::write(&later, site.replace("version = 1", "version = 2\na_new_key = true")).unwrap();
    let lines: [&[&str]; 9] = [
        &["participant", "--config", &later],
        &["coordinator", "backup", "--config", &settings, "--out", &out],
        &["coordinator", "restore", "--config", &settings, "--from", &out],
        &["federation", "claim", "1"],
        &["federation", "claim", "1", "--account", nobody, "--coordinator", gone],
        &["model", "export", "--out", &out],
        &["model", "export", "--dir", root, "--out", &out],
        &["model", "evaluate", "--model", &model, "--federation-file", file, "--csv", &rows, "--label", "y"],
        &["participant", "init"],
    ];
    let replaced = [(root, "HOME"), (env!("CARGO_MANIFEST_DIR"), "CRATE")];
    golden("mistakes-of-operators.txt", &lines.iter().map(|line| transcript(line, &replaced)).collect::<String>());
    for line in lines {
        let output = almoner(&[line, &["--json"]].concat());
        let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
        assert!(output.stdout.is_empty() && error["error"]["kind"].is_string(), "{line:?}: {error}");
    }
}

#[test]
fn every_command_is_completed_and_has_a_page() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = almoner(&["completions", shell]);
        let script = String::from_utf8(script.stdout).unwrap();
        for word in ["evaluate", "restore", "federation-file"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let pages = said(home.path(), &["man", "--dir", "man"]);
    let pages: Vec<&str> = pages["files"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    for name in ["almoner.1", "almoner-participant-check.1", "almoner-federation-claim.1", "almoner-model-export.1"] {
        assert!(pages.contains(&format!("man/{name}").as_str()), "{name}: {pages:?}");
    }
    let page = fs::read_to_string(home.path().join("man/almoner-participant-init.1")).unwrap();
    assert!(page.contains(".TH almoner-participant-init 1") && page.contains("\\-\\-entity"), "{page}");
    assert_eq!(almoner(&["man"]).stdout, fs::read(home.path().join("man/almoner.1")).unwrap());
}

#[test]
fn the_model_of_a_run_is_taken_home_and_judged() {
    let home = tempfile::tempdir().unwrap();
    let run = demo(&home.path().join("run"), &["--seed", "9", "--rounds", "2", "--clean-labels"]);
    let exported = said(home.path(), &["model", "export", "--dir", "run", "--out", "model.safetensors"]);
    assert_eq!(exported["model_root"], run["rounds"][1]["model_root"]);
    assert_eq!((exported["round"].as_u64(), exported["parameters"].as_u64()), (Some(2), Some(513)));
    assert_eq!(exported["tensors"][0], serde_json::json!({ "name": "0.weight", "shape": [16, 30] }));
    let file = fs::read(home.path().join("model.safetensors")).unwrap();
    assert_eq!(file, fs::read(home.path().join("run/model.safetensors")).unwrap(), "as the demo left it");
    let earlier = ["model", "export", "--dir", "run", "--round", "1", "--out", "earlier.safetensors"];
    assert_eq!(said(home.path(), &earlier)["model_root"], run["rounds"][0]["model_root"]);
    let again = ["model", "export", "--dir", "run", "--out", "model.safetensors"];
    refused(home.path(), &again, 3, "--out model.safetensors");
    let ninth = ["model", "export", "--dir", "run", "--round", "9", "--out", "ninth.safetensors"];
    refused(home.path(), &ninth, 3, "--round 9: federation 1 has no model of that round");
    assert!(!home.path().join("ninth.safetensors").exists());

    let scenario = scenario();
    fs::write(home.path().join("rows.csv"), csv(&scenario.hospitals[0])).unwrap();
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config/breast-cancer.toml");
    let judge = ["model", "evaluate", "--model", "model.safetensors", "--federation-file", spec, "--csv", "rows.csv"];
    let seen = said(home.path(), &[&judge[..], &["--label", "y"]].concat());
    let count = |name: &str| seen[name].as_u64().unwrap();
    assert_eq!(count("rows"), scenario.hospitals[0].data.rows() as u64);
    assert_eq!(count("correct"), count("true_positive") + count("true_negative"));
    assert_eq!(count("rows") - count("correct"), count("false_positive") + count("false_negative"));
    assert!(seen["accuracy"].as_f64().unwrap() > 0.9 && seen["log_loss"].as_f64().unwrap() < 0.5, "{seen}");
    refused(home.path(), &[&judge[..], &["--label", "z"]].concat(), 3, "no column 'z'");
    // A model of another shape is not squeezed in.
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config/breast-cancer-logistic.toml");
    let judge = ["model", "evaluate", "--model", "model.safetensors", "--federation-file", other, "--csv", "rows.csv"];
    refused(home.path(), &[&judge[..], &["--label", "y"]].concat(), 3, "weights file: 4 tensors, the model has 2");
}

fn scenario() -> Scenario {
    breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap()
}

/// A federation of processes that runs, and what is needed to look after it.
struct Running {
    house: House,
    url: String,
    settings: String,
    coordinator: Daemon,
    first: Daemon,
    others: Vec<Daemon>,
    _beside: [Daemon; 2],
}

impl Running {
    fn start() -> Self {
        let house = House::new();
        let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
        let account = key(&rooms[1].join("coordinator.key"));
        let funded = format!("[[funded]]\naccount = \"{account}\"\nether = 1000\n");
        let (chain, rpc) =
            house.daemon(&rooms[0], "devnet", &format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}"));
        let settings = coordinator_settings(free_port(), &rpc, "");
        let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
        let (aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
        let sample = include_str!("../../../../docs/config/breast-cancer-logistic.toml");
        let file = house.home.path().join("federation.toml");
        fs::write(&file, sample.replace("challenge_window_s = 3600", "challenge_window_s = 1")).unwrap();
        order(&url, &["create", file.to_str().unwrap()]);
        order(&url, &["fund", "1", "5000000000000000000000"]);
        let first = first_site(&house, &url);
        let scenario = scenario();
        let mut others: Vec<Daemon> = (2..=HOSPITALS)
            .map(|number| {
                house.site(&format!("hospital-{number}"), "participant", &url, &scenario.hospitals[number - 1])
            })
            .collect();
        others.push(house.site("validator", "validator", &url, &scenario.validators[0]));
        Self { house, url, settings, coordinator, first, others, _beside: [chain, aggregator] }
    }

    /// Runs rounds; what the researcher sees of them.
    fn launch(&self, rounds: &str) -> Daemon {
        // In this order: whoever watches before would be told that no further round is planned.
        order(&self.url, &["launch", "1", "--rounds", rounds]);
        self.house.start(self.house.home.path(), &["federation", "watch", "1", "--coordinator", &self.url])
    }

    /// A copy that `backup` did not make has no mark, but the chain is ahead of it.
    fn refuse_plain_copy(&self) {
        let room = self.house.room("coordinator");
        let settings = self.settings.replace("coordinator.db", "plain-coordinator.db");
        fs::write(room.join("plain.toml"), settings).unwrap();
        let says = "the journal knows federation 1 up to round 1, the chain up to round 3: it is an older copy";
        let started = at(&room, &["coordinator", "--config", "plain.toml", "--json"]);
        let text = String::from_utf8_lossy(&started.stderr);
        assert!(started.status.code() == Some(3) && text.contains(says), "{text}");
    }

    /// Loses the journal of a coordinator that was killed, puts the copy back, and starts another on it.
    fn restore_coordinator(&mut self) {
        let room = self.house.room("coordinator");
        let restore = ["coordinator", "restore", "--config", "settings.toml", "--from", "copy.db"];
        refused(&room, &restore, 3, "move it away");
        lose(&room, "coordinator.db");
        assert_eq!(said(&room, &restore)["generation"], 2);
        (self.coordinator, self.url) = self.house.daemon(&room, "coordinator", &self.settings);
    }
}

/// Set up by `init`, and checked before it says a word.
fn first_site(house: &House, url: &str) -> Daemon {
    let home = house.home.path();
    said(home, &["participant", "init", "--dir", "first", "--coordinator", url, "--entity", "first", "--label", "y"]);
    let room = home.join("first");
    let file = room.join("site.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("claim = \"when-idle\""));
    fs::write(&file, text.replace("claim = \"when-idle\"", "claim = \"never\"")).unwrap();
    fs::write(room.join("rows.csv"), csv(&scenario().hospitals[0])).unwrap();
    let checked = said(&room, &["participant", "check", "--config", "site.toml"]);
    let checks = checked["checks"].as_array().unwrap();
    let named: Vec<&str> = checks.iter().map(|row| row["check"].as_str().unwrap()).collect();
    let all = ["settings", "key", "journal", "rows", "clock (coordinator)", "clock (chain)", "coordinator", "chain"];
    for name in all.into_iter().chain(["store", "federation", "disk"]) {
        assert!(named.contains(&name), "{name}: {named:?}");
    }
    assert!(checks.iter().all(|row| row["state"] != "fail"), "{checked}");
    assert_eq!(order(url, &["status", "1"])["members"], 0, "nobody was told anything");
    let mut first = house.start(&room, &["participant", "--config", "site.toml"]);
    first.until("joined");
    first
}

/// Moves a journal away, with the log beside it.
fn lose(room: &Path, name: &str) {
    for name in [name.to_owned(), format!("{name}-wal"), format!("{name}-shm")] {
        let _ = fs::rename(room.join(&name), room.join(format!("{name}.lost")));
    }
}

/// Reads on until a round is in a state.
fn until(watch: &mut Daemon, round: u64, state: &str) {
    loop {
        let said = watch.next();
        if (said["round"].as_u64(), said["state"].as_str()) == (Some(round), Some(state)) {
            return;
        }
    }
}

#[test]
fn a_federation_is_looked_after_and_comes_back_from_copies() {
    let mut running = Running::start();
    let (room, home) = (running.house.room("first"), running.house.home.path().to_owned());
    let mut watch = running.launch("1");
    until(&mut watch, 1, "settled");
    running.first.until("earned");
    running.others.iter_mut().for_each(|site| drop(site.until("paid")));

    asked_and_paid(&running, &room);
    taken_home(&running, &home);

    // Copies of both journals, made while their owners go on.
    let coordinators = running.house.room("coordinator");
    let copied = said(&coordinators, &["coordinator", "backup", "--config", "settings.toml", "--out", "copy.db"]);
    assert_eq!((copied["generation"].as_u64(), copied["beside"].as_array().unwrap().len()), (Some(1), 4));
    said(&room, &["participant", "backup", "--config", "site.toml", "--out", "copy.db"]);
    newer_is_left_alone(&room);
    for name in ["coordinator.db", "coordinator.db-wal"] {
        fs::copy(coordinators.join(name), coordinators.join(format!("plain-{name}"))).unwrap();
    }
    let mut watch = running.launch("2");
    until(&mut watch, 2, "settled");
    until(&mut watch, 3, "training");
    running.house.children.kill(running.coordinator.id);
    drop(watch);

    // The coordinator's disk is lost in round 3; what is left is from before round 2.
    running.refuse_plain_copy();
    running.restore_coordinator();
    let mut watch = running.launch("1");
    // And again, when round 4 only waits for its window to pass.
    until(&mut watch, 4, "proposed");
    running.house.children.kill(running.coordinator.id);
    running.restore_coordinator();
    let mut watch = running.launch("1");
    until(&mut watch, 5, "settled");
    let status = order(&running.url, &["status", "1"]);
    let ends: Vec<&str> =
        status["rounds"].as_array().unwrap().iter().map(|round| round["status"].as_str().unwrap()).collect();
    let expected = ["final", "final", "void", "final", "final"];
    assert_eq!(ends, expected, "the round that nobody remembers is given up, and no other");
    assert_eq!(status["paid"], "4000000000000000000000");
    let audit = almoner(&["audit", &running.url, "--json"]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));

    a_restored_site_is_silent_in_the_round_at_hand(&mut running, &room);
}

/// While the agent runs: what it did, and what it is due, paid on somebody's word but nobody's key.
fn asked_and_paid(running: &Running, room: &Path) {
    let status = said(room, &["participant", "status", "--config", "site.toml"]);
    assert_eq!(status["agent_running"], true);
    let round = serde_json::json!({
        "round": 1, "status": "final", "uploaded": true, "promised": false, "answered": true
    });
    assert_eq!((&status["rounds"][0], &status["took_part"]), (&round, &Value::from(1)));
    assert_eq!(status["scalars"], serde_json::json!({ "opened": 1, "limit": 31 }));
    let earned = amount(&status["earned"]);
    assert!(earned > 0 && amount(&status["claimed"]) == 0 && amount(&status["balance"]) == 0, "{status}");
    refused(room, &["participant", "--config", "site.toml"], 3, "in use by another process");

    let claim = ["federation", "claim", "1", "--key", "site.key", "--coordinator", &running.url];
    let paid = said(room, &claim);
    assert_eq!([amount(&paid["paid"]), amount(&paid["after"]["balance"])], [earned, earned]);
    assert_eq!(amount(&paid["before"]["claimed"]), 0);
    let account = paid["account"].as_str().unwrap();
    let claim = ["federation", "claim", "1", "--account", account, "--coordinator", &running.url];
    let again = said(room, &claim);
    assert_eq!((amount(&again["paid"]), &again["before"]), (0, &again["after"]));
    assert_eq!(amount(&said(room, &["participant", "status", "--config", "site.toml"])["balance"]), earned);
}

/// What a researcher takes along, and cannot change.
fn taken_home(running: &Running, home: &Path) {
    let export = ["model", "export", "--coordinator", &running.url, "--federation", "1", "--out", "model.safetensors"];
    assert_eq!(said(home, &export)["parameters"], 31);
    let judge = ["model", "evaluate", "--model", "model.safetensors", "--coordinator", &running.url];
    let seen = said(home, &[&judge[..], &["--csv", "first/rows.csv", "--label", "y"]].concat());
    assert!(seen["accuracy"].as_f64().unwrap() > 0.8, "{seen}");
    let text = fs::read_to_string(home.join("federation.toml")).unwrap();
    fs::write(home.join("changed.toml"), text.replace("steps = 10", "steps = 11")).unwrap();
    let launch = ["federation", "launch", "1", "--file", "changed.toml", "--coordinator", &running.url];
    refused(home, &launch, 3, "a federation file cannot be changed under way");
}

/// A journal that a later version of this program has been at.
fn newer_is_left_alone(room: &Path) {
    let mut bytes = fs::read(room.join("copy.db")).unwrap();
    // Where SQLite keeps the version that its user gives a file.
    bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    fs::write(room.join("newer.db"), &bytes).unwrap();
    let restore = ["participant", "restore", "--config", "newer.toml", "--from", "newer.db"];
    let settings = fs::read_to_string(room.join("site.toml")).unwrap();
    fs::write(room.join("newer.toml"), settings.replace("\"site.db\"", "\"newer.db\"")).unwrap();
    let says = "newer.db has schema version 99, this program knows 3: run the version that wrote it";
    refused(room, &restore, 3, says);
    let started = at(room, &["participant", "--config", "newer.toml"]);
    let text = String::from_utf8_lossy(&started.stderr);
    assert!(started.status.code() == Some(3) && text.contains(says), "{text}");
    assert_eq!(fs::read(room.join("newer.db")).unwrap(), bytes);
}

/// Its journal is put back from before round 2 while round 6 runs: whether it answered in round 6 it cannot know.
fn a_restored_site_is_silent_in_the_round_at_hand(running: &mut Running, room: &Path) {
    let mut watch = running.launch("1");
    until(&mut watch, 6, "training");
    running.house.children.kill(running.first.id);
    lose(room, "site.db");
    said(room, &["participant", "restore", "--config", "site.toml", "--from", "copy.db"]);
    let mut first = running.house.start(room, &["participant", "--config", "site.toml"]);
    let refusal = loop {
        let said = first.next();
        assert_ne!(said["event"], "done", "{said}");
        if said["event"] == "refused" {
            break said;
        }
    };
    assert_eq!((refusal["round"].as_u64(), &refusal["duty"]), (Some(6), &Value::Null));
    assert!(refusal["error"].as_str().unwrap().contains("the journal was restored from a copy"), "{refusal}");
    let status = said(room, &["participant", "status", "--config", "site.toml"]);
    assert_eq!(status["generation"], 2);
    assert!(status["forgotten_until"].is_u64());
    // One of every round it may have uploaded in, round 3 that came to nothing included.
    assert_eq!(status["scalars"], serde_json::json!({ "opened": 6, "limit": 31 }));
    let check = said(room, &["participant", "check", "--config", "site.toml"]);
    let journal = check["checks"].as_array().unwrap().iter().find(|row| row["check"] == "journal").unwrap();
    assert_eq!(journal["state"], "warn");
}

/// `almoner ... | head`: whoever has read enough hears no complaint.
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_almoner"));
    command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // More than a pipe holds is still to come.
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}
