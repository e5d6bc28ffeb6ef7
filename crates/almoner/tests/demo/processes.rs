//! Every role a process of its own, in a directory of its own with a key of its own, found by its settings file: from
//! an empty chain to paid claims and an audit. The coordinator is killed on the way, as `kill -9` does, and started
//! again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{Holder, ModelChoice, Scenario, Seeds, breast_cancer_scenario};
use almoner_chain::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;

use super::kills::SEED;
use super::{almoner, updates};

pub(super) const HOSPITALS: usize = 3;
/// A filter that lets everything through, of every library.
pub(super) const EVERYTHING: &str = "trace";
const ERRORS: &str = "error";
pub(super) const LOG: &str = "log";
/// If the federation stands still, the test fails instead of waiting for ever.
pub(super) const GUARD: Duration = Duration::from_secs(300);

/// Everything that was started; nothing outlives the test.
#[derive(Clone, Default)]
pub(super) struct Children(Arc<Mutex<Vec<Child>>>);

impl Children {
    fn kill_all(&self) {
        for child in self.0.lock().unwrap().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) fn lives(&self, id: u32) -> bool {
        let mut children = self.0.lock().unwrap();
        let child = children.iter_mut().find(|child| child.id() == id);
        child.is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// What it ends with.
    pub(super) fn status(&self, id: u32) -> ExitStatus {
        let mut children = self.0.lock().unwrap();
        let child = children.iter_mut().find(|child| child.id() == id).unwrap();
        child.wait().unwrap()
    }

    /// SIGKILL, and gone.
    pub(super) fn kill(&self, id: u32) {
        let mut children = self.0.lock().unwrap();
        let child = children.iter_mut().find(|child| child.id() == id).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

pub(super) struct House {
    pub(super) home: tempfile::TempDir,
    pub(super) children: Children,
    /// What is logged; what is more than errors goes into a file of each role.
    pub(super) log: &'static str,
    /// What the randomness of every site follows from, together with the name of its room.
    pub(super) seed: Option<u64>,
    /// By the name of a room: what its processes are started by, if not by this test itself.
    pub(super) started_by: BTreeMap<String, Vec<String>>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.children.kill_all();
    }
}

/// A running role and what it says, a JSON document a line.
pub(super) struct Daemon {
    pub(super) id: u32,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Daemon {
    /// Listens to what was started, and has it end with the house.
    pub(super) fn of(house: &House, mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let id = child.id();
        house.children.0.lock().unwrap().push(child);
        Self { id, lines }
    }

    #[track_caller]
    pub(super) fn next(&mut self) -> Value {
        let line = self.lines.next().expect("the process goes on").expect("text");
        serde_json::from_str(&line).expect("a JSON document a line")
    }

    #[track_caller]
    pub(super) fn until(&mut self, event: &str) -> Value {
        loop {
            let said = self.next();
            assert_ne!(said["event"], "refused", "{said}");
            if said["event"] == event || said["state"] == event {
                return said;
            }
        }
    }
}

/// What a role logs, a line each.
pub(super) struct Logged(Lines<BufReader<ChildStderr>>);

impl Logged {
    /// Waits until the role stands still at this point; it may end instead, which fails the test.
    #[track_caller]
    pub(super) fn stopped(&mut self, point: &str) {
        let mut said = Vec::new();
        for line in self.0.by_ref().map_while(Result::ok) {
            if line.strip_prefix(almoner_failpoint::STOPPED).is_some_and(|at| point.split('#').next() == Some(at)) {
                return;
            }
            said.push(line);
        }
        panic!("{point} was not reached: {said:#?}");
    }

    /// The last line, once the role has ended.
    #[track_caller]
    pub(super) fn last(self) -> String {
        self.0.map_while(Result::ok).last().expect("a word at the end")
    }
}

impl House {
    pub(super) fn new() -> Self {
        Self::open_for(GUARD)
    }

    /// After so long everything in it is stopped.
    pub(super) fn open_for(guard: Duration) -> Self {
        let house = Self {
            home: tempfile::tempdir().unwrap(),
            children: Children::default(),
            log: ERRORS,
            seed: None,
            started_by: BTreeMap::new(),
        };
        let children = house.children.clone();
        std::thread::spawn(move || {
            std::thread::sleep(guard);
            children.kill_all();
        });
        house
    }

    pub(super) fn room(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A chain that obeys, on which the coordinator has ether; and where it is.
    pub(super) fn chain(&self, room: &Path, coordinator: &Path) -> (Daemon, String) {
        let account = key(&coordinator.join("coordinator.key"));
        let settings = format!(
            "listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\ncontrol = true\n[[funded]]\naccount = \"{account}\"\nether = 1000\n"
        );
        self.daemon(room, "devnet", &settings)
    }

    /// Creates the federation of the sample, the coordinator's first, with the pots of two rounds; and who may be in it.
    pub(super) fn federation(&self, url: &str) -> Scenario {
        self.federation_of(url, include_str!("../../../../docs/config/breast-cancer-logistic.toml"))
    }

    /// As [`Self::federation`], of another file about the same rows.
    pub(super) fn federation_of(&self, url: &str, text: &str) -> Scenario {
        let file = self.home.path().join("federation.toml");
        fs::write(&file, text).unwrap();
        assert_eq!(order(url, &["create", file.to_str().unwrap()])["federation"], 1);
        order(url, &["fund", "1", "2000000000000000000000"]);
        breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap()
    }

    /// Its hospitals but for the first `without`, and a validator.
    pub(super) fn sites(&self, url: &str, scenario: &Scenario, without: usize) -> Vec<Daemon> {
        let hospitals = scenario.hospitals.iter().enumerate().take(HOSPITALS).skip(without);
        let hospitals = hospitals.map(|(index, holder)| (format!("hospital-{}", index + 1), "participant", holder));
        let all = hospitals.chain([("validator".to_owned(), "validator", &scenario.validators[0])]);
        all.map(|(name, section, holder)| self.site(&name, section, url, holder)).collect()
    }

    /// Starts a role in its room.
    pub(super) fn start(&self, room: &Path, arguments: &[&str]) -> Daemon {
        let log = match self.log {
            ERRORS => Stdio::inherit(),
            _ => fs::File::options().create(true).append(true).open(room.join(LOG)).unwrap().into(),
        };
        Daemon::of(self, self.command(room, arguments).stderr(log).spawn().unwrap())
    }

    /// As [`Self::start`], and what it logs; at the point it stands still.
    pub(super) fn overheard(&self, room: &Path, arguments: &[&str], point: Option<&str>) -> (Daemon, Logged) {
        let mut command = self.command(room, arguments);
        let points = point.map(|point| (almoner_failpoint::STOP_AT, point));
        let mut child = command.envs(points).stderr(Stdio::piped()).spawn().unwrap();
        let logged = Logged(BufReader::new(child.stderr.take().unwrap()).lines());
        (Daemon::of(self, child), logged)
    }

    /// The executable, in a room.
    fn executable(&self, room: &Path) -> Command {
        let name = room.file_name().unwrap().to_str().unwrap();
        let starter = self.started_by.get(name).into_iter().flatten().map(String::as_str);
        let mut words = starter.chain([env!("CARGO_BIN_EXE_almoner")]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(room).stdin(Stdio::null());
        command
    }

    fn command(&self, room: &Path, arguments: &[&str]) -> Command {
        let mut command = self.executable(room);
        command.args(arguments).arg("--json");
        command.env("ALMONER_LOG", std::env::var("ALMONER_LOG").unwrap_or_else(|_| self.log.into()));
        let name = room.file_name().unwrap().to_str().unwrap();
        command.envs(self.seed.map(|seed| (almoner_failpoint::TEST_SEED, hex(&site_seed(seed, name)))));
        command.stdout(Stdio::piped());
        command
    }

    /// What a role says that ends by itself; one that goes on ends with the house.
    pub(super) fn ended(&self, room: &Path, arguments: &[&str]) -> Output {
        let mut command = self.executable(room);
        command.args(arguments).env("ALMONER_LOG", "off");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut out, mut err, id) = (child.stdout.take().unwrap(), child.stderr.take().unwrap(), child.id());
        self.children.0.lock().unwrap().push(child);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| out.read_to_end(&mut stdout).unwrap());
            err.read_to_end(&mut stderr).unwrap();
        });
        Output { status: self.children.status(id), stdout, stderr }
    }

    pub(super) fn daemon(&self, room: &Path, role: &str, settings: &str) -> (Daemon, String) {
        let file = room.join("settings.toml");
        fs::write(&file, settings).unwrap();
        let mut daemon = self.start(room, &[role, "--config", "settings.toml"]);
        let up = daemon.next();
        assert_eq!(up["role"], role);
        let url = up["url"].as_str().unwrap().to_owned();
        (daemon, url)
    }

    /// Starts a site; it is up once it has joined.
    pub(super) fn site(&self, name: &str, section: &str, coordinator: &str, holder: &Holder) -> Daemon {
        key(&self.room(name).join("site.key"));
        self.site_with(name, section, coordinator, holder, "")
    }

    /// As [`Self::site`], with its key there already, and more in its settings.
    pub(super) fn site_with(
        &self,
        name: &str,
        section: &str,
        coordinator: &str,
        holder: &Holder,
        more: &str,
    ) -> Daemon {
        let room = self.room(name);
        fs::write(room.join("rows.csv"), csv(holder)).unwrap();
        let settings = format!(
            "coordinator = \"{coordinator}\"\nfederation = 1\nentity = \"{name}\"\nkey = \"site.key\"\n\
             state = \"site.db\"\n[{section}]\ncsv = \"rows.csv\"\nlabel = \"y\"\n{more}"
        );
        let (mut daemon, _) = self.daemon(&room, "participant", &settings);
        daemon.until("joined");
        daemon
    }
}

/// What a federation in one process calls somebody: the second hospital, the first validator.
fn called(name: &str) -> (&str, u64) {
    let counted = name.split_once('-').and_then(|(who, number)| Some((who, number.parse::<u64>().ok()? - 1)));
    counted.unwrap_or((name, 0))
}

/// The key that somebody has in a federation in one process from this seed.
pub(super) fn seeded_key(seed: u64, name: &str) -> SigningKey {
    let (who, index) = called(name);
    SigningKey::generate(&mut ChaCha20Rng::from_seed(Seeds::insecure(seed).derive(who, index)))
}

/// What a site's randomness follows from in a federation in one process from this seed.
pub(super) fn site_seed(seed: u64, name: &str) -> [u8; 32] {
    let (who, index) = called(name);
    Seeds::insecure(seed).derive(&format!("{who} entropy"), index)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a key file and returns its account.
pub(super) fn key(file: &Path) -> String {
    let made = almoner(&["key", file.to_str().unwrap(), "--json"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said: Value = serde_json::from_slice(&made.stdout).unwrap();
    said["account"].as_str().unwrap().to_owned()
}

pub(super) fn csv(holder: &Holder) -> String {
    let data = &holder.data;
    let mut text: String = (0..data.features()).map(|column| format!("x{column},")).collect();
    text.push_str("y\n");
    for row in 0..data.rows() {
        for value in data.row(row) {
            write!(text, "{value},").unwrap();
        }
        writeln!(text, "{}", data.y()[row]).unwrap();
    }
    text
}

pub(super) fn order(coordinator: &str, arguments: &[&str]) -> Value {
    let output = almoner(&[&["federation"], arguments, &["--coordinator", coordinator, "--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The settings of a coordinator at this port, or at any with 0; its files lie in its room. What is `more` comes last.
pub(super) fn coordinator_settings(port: u16, rpc: &str, more: &str) -> String {
    format!(
        "listen = \"127.0.0.1:{port}\"\nrpc = \"{rpc}\"\nkey = \"coordinator.key\"\nstate = \"coordinator.db\"\n\
         store = \"store\"\ndeployment = \"deployment.json\"\nbeaconless = true\n{more}"
    )
}

/// A port nobody listens at now: a coordinator that is started again must be where it was.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Two coordinators on one journal would promise different things with one key.
fn a_second_one_is_refused(house: &House, room: &Path, settings: &str) {
    fs::write(room.join("second.toml"), settings.replace(settings.lines().next().unwrap(), "listen = \"127.0.0.1:0\""))
        .unwrap();
    let output = house.ended(room, &["coordinator", "--config", "second.toml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("coordinator.db") && said.contains("in use by another process"), "{said}");
}

#[test]
fn a_federation_of_processes_outlives_its_coordinator() {
    let mut house = House::new();
    house.log = EVERYTHING;
    house.seed = Some(SEED);
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(free_port(), &rpc, "time_travel = true\n");
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));

    let unserved = almoner(&["federation", "watch", "1", "--coordinator", &url]);
    let said = String::from_utf8(unserved.stderr).unwrap();
    assert!(unserved.status.code() == Some(3) && said.contains("federation 1 is not served here"), "{said}");
    let scenario = house.federation(&url);
    assert_eq!(order(&url, &["watch", "1"])["done"], "nothing_planned");
    let mut sites = house.sites(&url, &scenario, 0);

    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "2"]);
    watch.until("training");
    house.children.kill(coordinator.id);
    let (_coordinator, again) = house.daemon(&rooms[1], "coordinator", &settings);
    assert_eq!(again, url);
    a_second_one_is_refused(&house, &rooms[1], &settings);

    // Everybody who earned something says so once it is paid.
    let paid: Vec<u128> =
        sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(paid.iter().sum::<u128>(), 2_000_000_000_000_000_000_000, "{paid:?}");
    let audit = almoner(&["audit", &url, "--json"]);
    let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
    assert!(audit.status.success(), "{said}");
    assert_eq!(said["audit"]["checks"], said["audit"]["held"]);
    let status = order(&url, &["status", "1"]);
    for sum in ["funded", "paid", "claimed"] {
        assert_eq!(status[sum], "2000000000000000000000", "{status}");
    }
    assert_eq!((status["members"].as_u64(), status["rounds"][1]["status"].as_str()), (Some(3), Some("final")));
    // What a validator did is known after its directions are forgotten.
    let look = ["participant", "status", "--config", "settings.toml", "--json"];
    let validator: Value = serde_json::from_slice(&super::cli::at(&house.room("validator"), &look).stdout).unwrap();
    let promised = [0, 1].map(|round: usize| validator["rounds"][round]["promised"].as_bool());
    assert_eq!((validator["took_part"].as_u64(), promised), (Some(2), [Some(true); 2]), "{validator}");
    the_logs_hold_no_secret(&house, &url, &scenario);
}

/// At the finest level of every library: no row, no weight, no key, no loss of a hospital, and nothing that it trained.
fn the_logs_hold_no_secret(house: &House, coordinator: &str, scenario: &Scenario) {
    let model = house.home.path().join("model.safetensors");
    let exported = almoner(&[
        "model",
        "export",
        "--coordinator",
        coordinator,
        "--federation",
        "1",
        "--out",
        model.to_str().unwrap(),
    ]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let weights = fs::read(&model).unwrap();
    let header = 8 + usize::try_from(u64::from_le_bytes(weights[..8].try_into().unwrap())).unwrap();
    let (weights, rest) = weights[header..].as_chunks::<4>();
    assert!(weights.len() == 31 && rest.is_empty(), "one logistic unit of 30 features");
    let mut secrets: Vec<(String, String)> =
        weights.iter().map(|weight| ("a weight".into(), f32::from_le_bytes(*weight).abs().to_string())).collect();
    let key = |room: &Path, file: &str| {
        let key = fs::read_to_string(room.join(file)).unwrap();
        key.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64).expect("a key").to_owned()
    };
    secrets.push(("a key".into(), key(&house.room("coordinator"), "coordinator.key")));
    let hospitals = scenario.hospitals[..HOSPITALS].iter().enumerate();
    let hospitals = hospitals.map(|(index, holder)| (format!("hospital-{}", index + 1), holder));
    for (name, holder) in hospitals.chain([("validator".to_owned(), &scenario.validators[0])]) {
        let room = house.room(&name);
        secrets.push(("a key".into(), key(&room, "site.key")));
        for row in 0..holder.data.rows() {
            let values: Vec<String> = holder.data.row(row).iter().take(3).map(f32::to_string).collect();
            secrets.extend([",", ", "].map(|comma| ("a row".into(), values.join(comma))));
        }
        let rows = room.join("rows.csv");
        let judged = almoner(&[
            "model",
            "evaluate",
            "--model",
            model.to_str().unwrap(),
            "--coordinator",
            coordinator,
            "--csv",
            rows.to_str().unwrap(),
            "--label",
            "y",
            "--json",
        ]);
        let judged: Value = serde_json::from_slice(&judged.stdout).expect("a JSON document");
        let loss = judged["log_loss"].as_f64().unwrap().to_string();
        secrets.push(("a loss".into(), loss[..8].to_owned()));
    }
    assert_eq!(secrets.iter().filter(|(what, _)| what == "a key").count(), 1 + HOSPITALS + 1);
    let trained = updates::trained(house, coordinator);
    assert_eq!(trained.len(), 2 * HOSPITALS, "in every round");
    let trained = updates::search(&trained);
    let mut logged = 0;
    for room in fs::read_dir(house.home.path()).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(log) = fs::read_to_string(room.join(LOG)) else { continue };
        logged += 1;
        assert!(log.lines().count() > 100, "{} logs at the finest level", room.display());
        let first = log.lines().next().unwrap();
        let entry: Value = serde_json::from_str(first).unwrap_or_else(|error| panic!("{error}: {first}"));
        assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{first}");
        for (what, secret) in secrets.iter().filter(|(_, secret)| secret.len() > 6) {
            assert!(!log.contains(secret), "{} holds {what}: {secret}", room.join(LOG).display());
        }
        let found = trained.find(&log).map(|found| found.as_str());
        assert_eq!(found, None, "{} holds what a hospital trained", room.join(LOG).display());
    }
    assert_eq!(logged, 3 + HOSPITALS + 1, "chain, coordinator, aggregator, hospitals, validator");
}

/// What a site says of the rows it was given, and that it is its operator's to mend.
fn rows_refused(house: &House, coordinator: &str, rows: &str) -> String {
    let room = house.room("rows");
    let key_file = room.join("site.key");
    if !key_file.exists() {
        key(&key_file);
    }
    fs::write(room.join("rows.csv"), rows).unwrap();
    let settings = format!(
        "coordinator = \"{coordinator}\"\nfederation = 1\nentity = \"A\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         [participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n"
    );
    fs::write(room.join("settings.toml"), settings).unwrap();
    let output = house.ended(&room, &["participant", "--config", "settings.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    said
}

#[test]
fn rows_that_a_site_cannot_use_are_named_by_file_line_and_column() {
    let house = House::new();
    let rooms = ["chain", "coordinator"].map(|name| house.room(name));
    let account = key(&rooms[1].join("coordinator.key"));
    let funded = format!("[[funded]]\naccount = \"{account}\"\nether = 1000\n");
    let chain = format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}");
    let (_chain, rpc) = house.daemon(&rooms[0], "devnet", &chain);
    let settings = coordinator_settings(0, &rpc, "");
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let file = house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    order(&url, &["create", file.to_str().unwrap()]);

    let header: String = (0..30).map(|column| format!("x{column},")).collect::<String>() + "y\n";
    let row = |last: &str, label: &str| "0.5,".repeat(29) + last + "," + label + "\n";
    for (rows, said) in [
        (String::new(), "rows.csv: no rows"),
        (header.clone() + &row("high", "1"), "rows.csv line 2, column 'x29': not a number"),
        (header.clone() + &row("", "1"), "rows.csv line 2, column 'x29': no value; drop the line or fill it in"),
        (header.clone() + &row("inf", "1"), "rows.csv line 2, column 'x29': not a finite number"),
        (header.clone() + &row("1", "2"), "rows.csv line 2, column 'y': the label must lie in 0 to 1"),
        ("a,y\n1,1\n".into(), "rows.csv: 1 features, the federation's model takes 30; name the features to use"),
    ] {
        assert_eq!(rows_refused(&house, &url, &rows), format!("error: [participant]: {said}\n"));
    }
}
