//! The kill matrix. Every role is a process; one after another they are stopped right after something became durable
//! (or, for the aggregator, which keeps nothing, around its work), killed with SIGKILL, and started again with their own
//! settings. What comes out must be what comes out of a run in which nobody dies: the same model and the same settlement
//! after every round, the same pay for everybody, every token claimed once, one scalar of each update opened, and nothing
//! that an audit objects to.
//!
//! A run that fails leaves its script under `target/kills/`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{Holder, ModelChoice, Scenario, Seeds, breast_cancer_scenario};
use serde_json::{Value, json};

use super::almoner;
use super::processes::{HOSPITALS, coordinator_settings, csv, free_port, hex, order, seeded_key, site_seed};

pub(super) const SEED: u64 = 5;
/// More than the points need: some are only reached by a member that is not the slowest of its round.
const ROUNDS: u64 = 12;
/// A federation that stands still for so long fails the test.
const SILENCE: Duration = Duration::from_secs(120);
/// Exits by itself that a role may be started again after: its chain or its coordinator may be away just then.
const RESTARTS: usize = 200;

/// Where each role dies, in the order in which a round comes by.
const COORDINATOR: &[&str] = &[
    "state:starts",
    "state:round",
    "event",
    "round:announced",
    "round:promised",
    "round:training",
    "store",
    "round:locked",
    "outbox:insert",
    "round:revealed",
    "round:audited",
    "round:scored",
    "round:admitted",
    "outbox:settle",
    "round:summed",
    "opened",
    "round:opened",
    "round:proposed",
    "round:settled",
    "state:campaign",
];
const HOSPITAL: &[&str] = &[
    "once:ack:3",
    "once:answer:5",
    "once:ack:6",
    "once:set:8",
    "once:answer:8",
    "state:member-key",
    "state:scalars",
    "state:upload-seed",
    "state:receipt",
    "state:model",
];
const VALIDATOR: &[&str] = &["state:direction", "state:model"];
const AGGREGATOR: &[&str] = &["leased", "done"];
const DEVNET: &[&str] = &["block#1", "block#2", "block#3", "block#5", "block#8", "block#13"];

/// A role, its folder, and where it is still to die.
struct Role {
    name: String,
    command: &'static str,
    room: PathBuf,
    seed: [u8; 32],
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    /// Points to come; the first is the one this life stops at, once armed.
    points: VecDeque<&'static str>,
    armed: bool,
    over: bool,
    child: Option<Child>,
    said: Vec<String>,
}

/// What a role says on stdout, or that it was killed.
enum Heard {
    Said(String, Value),
    Killed(String, &'static str),
    GaveUp(String, Vec<String>),
}

impl Role {
    fn life(&self) -> std::sync::MutexGuard<'_, Life> {
        self.life.lock().unwrap()
    }

    fn kill(&self) {
        if let Some(child) = &mut self.life().child {
            let _ = child.kill();
        }
    }

    /// From here on the role dies at its points; the first time right away.
    fn arm(&self) {
        self.life().armed = true;
        self.kill();
    }

    fn end(&self) {
        self.life().over = true;
        self.kill();
    }

    /// Lives it through, one process after another.
    fn live(self: &Arc<Self>, heard: &Sender<Heard>) {
        for _ in 0..RESTARTS {
            let mut command = Command::new(env!("CARGO_BIN_EXE_almoner"));
            command.args([self.command, "--config", "settings.toml", "--json"]).current_dir(&self.room);
            command.env("ALMONER_LOG", "warn").env(almoner_failpoint::TEST_SEED, hex(&self.seed));
            let point = {
                let life = self.life();
                if life.over {
                    return;
                }
                life.points.front().copied().filter(|_| life.armed)
            };
            if let Some(point) = point {
                command.env(almoner_failpoint::STOP_AT, point);
            }
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            self.life().child = Some(child);
            let (name, to) = (self.name.clone(), heard.clone());
            let listener = std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Ok(document) = serde_json::from_str(&line) {
                        let _ = to.send(Heard::Said(name.clone(), document));
                    }
                }
            });
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.starts_with(almoner_failpoint::STOPPED) {
                    self.kill();
                    let point = self.life().points.pop_front().expect("only a point stops it");
                    let _ = heard.send(Heard::Killed(self.name.clone(), point));
                }
                self.life().said.push(line);
            }
            let child = self.life().child.take();
            let _ = child.expect("it was started").wait();
            let _ = listener.join();
        }
        let _ = heard.send(Heard::GaveUp(self.name.clone(), std::mem::take(&mut self.life().said)));
    }
}

/// What a run comes to, as far as it does not depend on the clock.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Of the model and of the settlement, which holds every quality and every payment, by round.
    roots: Vec<[Value; 2]>,
    /// By site: all that it has earned, in base units.
    earned: BTreeMap<String, String>,
    claimed: Value,
}

/// Written where somebody finds it if the run fails.
struct Script {
    killed: Vec<(String, &'static str)>,
}

impl Drop for Script {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let dir = Path::new(env!("CARGO_BIN_EXE_almoner")).ancestors().nth(2).unwrap().join("kills");
            let _ = fs::create_dir_all(&dir);
            let file = dir.join("failed.json");
            let text = json!({ "seed": SEED, "rounds": ROUNDS, "killed": self.killed });
            if fs::write(&file, text.to_string()).is_ok() {
                eprintln!("what was killed, in order, is in {}", file.display());
            }
        }
    }
}

struct Cast {
    roles: Vec<Arc<Role>>,
    heard: Receiver<Heard>,
    to: Sender<Heard>,
    home: tempfile::TempDir,
}

impl Drop for Cast {
    fn drop(&mut self) {
        self.roles.iter().for_each(|role| role.end());
    }
}

impl Cast {
    fn new() -> Self {
        let (to, heard) = mpsc::channel();
        Self { roles: Vec::new(), heard, to, home: tempfile::tempdir().unwrap() }
    }

    fn room(&self, name: &str) -> PathBuf {
        let room = self.home.path().join(name);
        fs::create_dir_all(&room).unwrap();
        room
    }

    fn start(&mut self, name: &str, command: &'static str, settings: &str, points: &[&'static str]) {
        let room = self.room(name);
        fs::write(room.join("settings.toml"), settings).unwrap();
        let life = Life { points: points.iter().copied().collect(), ..Life::default() };
        let seed = site_seed(SEED, name);
        let role = Arc::new(Role { name: name.into(), command, room, seed, life: Mutex::new(life) });
        self.roles.push(role.clone());
        let to = self.to.clone();
        std::thread::spawn(move || role.live(&to));
    }

    fn hear(&self, waited_for: &str) -> Heard {
        match self.heard.recv_timeout(SILENCE) {
            Ok(Heard::GaveUp(name, said)) => panic!("{name} does not stay up: {:#?}", said.last_chunk::<20>()),
            Ok(heard) => heard,
            Err(_) => {
                for role in &self.roles {
                    let life = role.life();
                    let from = life.said.len().saturating_sub(12);
                    eprintln!("{}, still to die at {:?}, said last {:#?}", role.name, life.points, &life.said[from..]);
                }
                panic!("nothing was said for {SILENCE:?} while {waited_for} was waited for");
            }
        }
    }

    fn wait_for(&self, from: &str, is: impl Fn(&Value) -> bool, what: &str) {
        loop {
            if let Heard::Said(name, said) = self.hear(what)
                && name == from
                && is(&said)
            {
                return;
            }
        }
    }
}

/// Keys of all accounts, the same in all runs: the order of addresses decides who gets a base unit that is left over.
pub(super) fn keys(dir: &Path) -> BTreeMap<String, PathBuf> {
    let names = (1..=HOSPITALS).map(|n| format!("hospital-{n}")).chain(["validator".into(), "coordinator".into()]);
    names
        .map(|name| {
            let file = dir.join(format!("{name}.key"));
            seeded_key(SEED, &name).save(&file).unwrap();
            (name, file)
        })
        .collect()
}

fn site(
    cast: &mut Cast,
    keys: &BTreeMap<String, PathBuf>,
    name: &str,
    url: &str,
    holder: &Holder,
    points: &[&'static str],
) {
    let section = if name == "validator" { "validator" } else { "participant" };
    let room = cast.room(name);
    fs::copy(&keys[name], room.join("site.key")).unwrap();
    fs::write(room.join("rows.csv"), csv(holder)).unwrap();
    let settings = format!(
        "coordinator = \"{url}\"\nfederation = 1\nentity = \"{name}\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         [{section}]\ncsv = \"rows.csv\"\nlabel = \"y\"\n"
    );
    cast.start(name, "participant", &settings, points);
    cast.wait_for(name, |said| said["event"] == "joined", "a site that joins");
}

pub(super) fn account(file: &Path) -> String {
    let key = almoner_chain::SigningKey::load(file).unwrap();
    key.address().to_string()
}

/// A whole federation; `deadly`: its roles die at their points.
fn played(scenario: &Scenario, keys: &BTreeMap<String, PathBuf>, deadly: bool) -> (Outcome, Script) {
    let mut script = Script { killed: Vec::new() };
    let mut cast = Cast::new();
    let points = |points: &'static [&'static str]| if deadly { points } else { &[] };
    let funded = format!("[[funded]]\naccount = \"{}\"\nether = 1000\n", account(&keys["coordinator"]));
    let rpc = format!("http://127.0.0.1:{}/rpc", free_port());
    let listen = rpc.trim_start_matches("http://").trim_end_matches("/rpc");
    let chain = format!("listen = \"{listen}\"\nchain = \"chain.log\"\ncontrol = true\n{funded}");
    cast.start("devnet", "devnet", &chain, points(DEVNET));
    cast.wait_for("devnet", |said| said["role"] == "devnet", "the chain");

    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let room = cast.room("coordinator");
    fs::copy(&keys["coordinator"], room.join("coordinator.key")).unwrap();
    let settings = coordinator_settings(port, &rpc, "time_travel = true\nlease_s = 1\nready_wait_s = 600\n");
    cast.start("coordinator", "coordinator", &settings, points(COORDINATOR));
    cast.wait_for("coordinator", |said| said["role"] == "coordinator", "the coordinator");
    cast.start("aggregator", "aggregator", &format!("coordinator = \"{url}\"\n"), points(AGGREGATOR));

    let file = cast.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    assert_eq!(order(&url, &["create", file.to_str().unwrap()])["federation"], 1);
    order(&url, &["fund", "1", &format!("{ROUNDS}000000000000000000000")]);
    for (index, holder) in scenario.hospitals.iter().take(HOSPITALS).enumerate() {
        let points = if index == 0 { points(HOSPITAL) } else { &[] };
        site(&mut cast, keys, &format!("hospital-{}", index + 1), &url, holder, points);
    }
    site(&mut cast, keys, "validator", &url, &scenario.validators[0], points(VALIDATOR));
    order(&url, &["launch", "1", "--rounds", &ROUNDS.to_string()]);
    if deadly {
        cast.roles.iter().for_each(|role| role.arm());
    }

    let mut earned = BTreeMap::new();
    let sites = HOSPITALS + 1;
    let mut paid = BTreeSet::new();
    while paid.len() < sites {
        match cast.hear("the last round") {
            Heard::Killed(name, point) => {
                println!("  killed {name:<12} after {point}");
                script.killed.push((name, point));
            }
            Heard::Said(name, said) => {
                assert_ne!(said["event"], "refused", "{name}: {said}");
                if said["event"] == "earned" && said["round"] == ROUNDS {
                    earned.insert(name.clone(), said["earned"].as_str().unwrap().to_owned());
                }
                // Said once no further round is planned.
                if said["event"] == "paid" && earned.contains_key(&name) {
                    paid.insert(name);
                }
            }
            Heard::GaveUp(..) => unreachable!("hear() panics"),
        }
    }
    let left: Vec<(String, VecDeque<&str>)> =
        cast.roles.iter().map(|role| (role.name.clone(), role.life().points.clone())).collect();
    assert!(left.iter().all(|(_, points)| points.is_empty()), "not reached in {ROUNDS} rounds: {left:?}");

    let audit = almoner(&["audit", &url, "--json"]);
    let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
    assert!(audit.status.success(), "{said}");
    assert_eq!(said["audit"]["checks"], said["audit"]["held"]);
    let status = order(&url, &["status", "1"]);
    assert_eq!(status["paid"], status["claimed"], "everything is claimed, and nothing twice: {status}");
    let rounds = status["rounds"].as_array().unwrap();
    assert!(rounds.iter().all(|round| round["status"] == "final"), "{status}");
    let roots: Vec<[Value; 2]> =
        rounds.iter().map(|round| ["model_root", "settle_root"].map(|root| round[root].clone())).collect();
    assert!(roots.iter().flatten().all(Value::is_string), "{status}");
    for hospital in (1..=HOSPITALS).map(|n| cast.room(&format!("hospital-{n}"))) {
        let look = ["participant", "status", "--config", "settings.toml", "--json"];
        let status: Value = serde_json::from_slice(&super::cli::at(&hospital, &look).stdout).expect("a JSON document");
        assert_eq!(status["scalars"]["opened"], ROUNDS, "one scalar of its update a round: {status}");
    }
    (Outcome { roots, earned, claimed: status["claimed"].clone() }, script)
}

#[test]
fn kill_matrix() {
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(SEED)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let keys = keys(home.path());
    let started = Instant::now();
    let (undisturbed, _) = played(&scenario, &keys, false);
    println!("{ROUNDS} rounds in which nobody dies: {:.1} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let (disturbed, script) = played(&scenario, &keys, true);
    assert_eq!(disturbed, undisturbed);
    let mut by_role: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    script.killed.iter().for_each(|(role, point)| by_role.entry(role).or_default().push(point));
    println!("{} kills in {ROUNDS} rounds: {:.1} s", script.killed.len(), started.elapsed().as_secs_f64());
    for (role, points) in by_role {
        println!("  {role:<12} {:>2} kills, each with the same models and pay: {}", points.len(), points.join(", "));
    }
}
