//! Sites behind lines as hospitals have them. Each lives in a network namespace of its own and reaches coordinator, store
//! and chain over one line, by mutual TLS and the kernel's TCP: 200 ms there and back, 1 % of the packets lost, 10 Mbit/s
//! up. In every state of the round all lines are cut at once.
//!
//! The lines are `tests/peers/lines/lines.py`, which does with packets what `tc netem` does, and needs no module of the
//! kernel. How long a cut lasts is real time: two seconds, or what `ALMONER_CUT_S` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kills::{SEED, account, keys};
use super::mtls::{Authority, TLS};
use super::on_nodes::{Outcome, federation_file, in_one_process, scenario, skipped};
use super::processes::{Daemon, GUARD, HOSPITALS, House, LOG, coordinator_settings};

/// Where the coordinator is, for whoever is at the end of a line: the network is the test's own.
const HUB: &str = "10.66.0.1";
const PORT: u16 = 8547;
const URL: &str = "https://10.66.0.1:8547";
const SITES: usize = HOSPITALS + 1;
const THERE_AND_BACK: Duration = Duration::from_millis(200);
/// In which a round needs a site, or stands for long enough to be seen.
const STATES: [&str; 8] = ["announced", "promised", "training", "locked", "revealed", "audited", "scored", "admitted"];

/// The namespaces, and the process that carries what goes between them.
struct Network {
    process: Child,
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    hub: String,
    lines: Vec<String>,
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Network {
    /// Where the system gives ordinary users such namespaces.
    fn with_lines(count: usize) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/lines/lines.py");
        let process = Command::new("unshare")
            .args(["-rn", "python3"])
            .args([script.as_os_str(), count.to_string().as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let absent = || {
            let remedy = "where `unshare -rn` and /dev/net/tun work for ordinary users; python3, iproute2";
            skipped("network namespaces", remedy);
            None
        };
        let Ok(mut process) = process else { return absent() };
        let orders = process.stdin.take().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let Some(Ok(built)) = said.next() else {
            let why = process.wait_with_output().unwrap().stderr;
            println!("{}", String::from_utf8_lossy(&why));
            return absent();
        };
        let built: Value = serde_json::from_str(&built).unwrap();
        let hub = format!("/proc/{}/ns/net", built["process"]);
        let lines = built["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
        Some(Self { process, orders, said, hub, lines })
    }

    /// What starts a process in this namespace.
    fn entrance(&self, namespace: &str) -> Vec<String> {
        let process = self.process.id().to_string();
        let words =
            ["nsenter", "--target", &process, "--user", "--preserve-credentials", &format!("--net={namespace}")];
        words.map(str::to_owned).to_vec()
    }

    /// How many packets cuts have swallowed so far.
    fn tell(&mut self, order: &str) -> usize {
        let lines: Vec<String> = (1..=self.lines.len()).map(|line| line.to_string()).collect();
        writeln!(self.orders, "{order} {}", lines.join(" ")).unwrap();
        self.said.next().unwrap().unwrap().parse().unwrap()
    }

    /// How many packets cuts have swallowed then.
    fn cut_all_for(&mut self, time: Duration) -> usize {
        self.tell("cut");
        std::thread::sleep(time);
        self.tell("mend")
    }
}

/// A federation with certificates whose sites are at the ends of the lines.
struct Federation {
    house: House,
    credentials: [String; 8],
    sites: Vec<(String, Daemon)>,
}

impl Federation {
    fn found(mut house: House, network: &Network, keys: &BTreeMap<String, PathBuf>) -> Self {
        for room in ["chain", "coordinator", "aggregator", "researcher"] {
            house.started_by.insert(room.into(), network.entrance(&network.hub));
        }
        let names = (1..=HOSPITALS).map(|n| format!("hospital-{n}")).chain(["validator".into()]);
        let names: Vec<String> = names.collect();
        for (name, line) in names.iter().zip(&network.lines) {
            house.started_by.insert(name.clone(), network.entrance(line));
        }
        let [chain, coordinator, aggregator] = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
        let authority = Authority::new(house.home.path().join("authority"));
        let funded = format!("[[funded]]\naccount = \"{}\"\nether = 1000\n", account(&keys["coordinator"]));
        let settings = format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}");
        let (_, rpc) = house.daemon(&chain, "devnet", &settings);

        fs::copy(&keys["coordinator"], coordinator.join("coordinator.key")).unwrap();
        authority.issue(&coordinator.join("tls"), &["--server", HUB]);
        let more = "ready_wait_s = 600\n[tls]\ncertificate = \"tls/certificate.pem\"\nkey = \"tls/certificate.key\"\n\
                    clients_ca = \"tls/ca.pem\"\n";
        let settings = coordinator_settings(PORT, &rpc, more).replace("127.0.0.1:8547", &format!("{HUB}:{PORT}"));
        let (_, url) = house.daemon(&coordinator, "coordinator", &settings);
        assert_eq!(url.trim_end_matches('/'), URL);

        fs::create_dir(aggregator.join("tls")).unwrap();
        authority.holder(&aggregator.join("tls"), "operator");
        let settings = format!("coordinator = \"{url}\"\nkey = \"tls/account.key\"\n{TLS}");
        house.daemon(&aggregator, "aggregator", &settings);

        let credentials = authority.holder(&house.room("researcher"), "researcher");
        let mut federation = Self { house, credentials, sites: Vec::new() };
        let file = federation.house.room("researcher").join("federation.toml");
        fs::write(&file, federation_file()).unwrap();
        federation.ask(&["federation", "create", "federation.toml"]);
        federation.ask(&["federation", "fund", "1", "1000000000000000000000"]);

        let scenario = scenario();
        let holders = scenario.hospitals.iter().take(HOSPITALS).chain(&scenario.validators[..1]);
        let house = &federation.house;
        let site = |name: &str, holder| {
            let room = house.room(name);
            fs::copy(&keys[name], room.join("site.key")).unwrap();
            authority.issue(&room.join("tls"), &["--role", "site", "--account", &account(&keys[name])]);
            let section = if name == "validator" { "validator" } else { "participant" };
            house.site_with(name, section, &url, holder, TLS)
        };
        // All at once: a line is slow, and each has its own.
        federation.sites = std::thread::scope(|scope| {
            let joining: Vec<_> =
                names.iter().zip(holders).map(|(name, holder)| (name, scope.spawn(|| site(name, holder)))).collect();
            joining.into_iter().map(|(name, site)| (name.clone(), site.join().unwrap())).collect()
        });
        federation
    }

    /// A command of the researcher's, beside the coordinator.
    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let credentials = self.credentials.iter().map(String::as_str);
        let address = ["--coordinator", URL];
        words.iter().copied().chain(address).chain(credentials).collect()
    }

    fn ask(&self, words: &[&str]) -> Value {
        let output = self.house.ended(&self.house.room("researcher"), &[&self.words(words)[..], &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Once everybody is paid; the audit finds nothing wrong.
    fn outcome(&mut self) -> Outcome {
        let paid = |(name, site): &mut (String, Daemon)| {
            (name.clone(), site.until("paid")["paid"].as_str().expect("an amount").to_owned())
        };
        let paid = self.sites.iter_mut().map(paid).collect();
        let researcher = self.house.room("researcher");
        let look = ["audit", URL, "--ca", &self.credentials[1], "--json"];
        let audit = self.house.ended(&researcher, &look);
        assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
        let look = ["federation", "status", "1", "--coordinator", URL, "--ca", &self.credentials[1], "--json"];
        let status = self.house.ended(&researcher, &look);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let round = &status["rounds"][0];
        Outcome { model_root: round["model_root"].clone(), settle_root: round["settle_root"].clone(), paid }
    }

    /// After a minute each role's log names who did not answer.
    fn said_what_was_waited_for(&self) {
        let log = |name: &str| fs::read_to_string(self.house.room(name).join(LOG)).unwrap();
        let coordinator = log("coordinator");
        let waits = coordinator.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let waits: Vec<Value> = waits.filter(|line| line["message"] == "the round waits").collect();
        assert!(
            waits.iter().any(|line| line["waiting_for"].as_str().is_some_and(|whom| whom.contains("0x"))),
            "{waits:?}"
        );
        waits.iter().for_each(|line| println!("{line}"));
        for (name, _) in &self.sites {
            let log = log(name);
            assert!(log.contains("\"waiting_for\":\"coordinator\""), "{log}");
            assert!(log.contains("answered again: going on"), "{log}");
        }
    }
}

#[test]
fn sites_behind_bad_lines_that_are_cut_in_every_state_come_to_what_one_process_comes_to() {
    let Some(mut network) = Network::with_lines(SITES) else { return };
    let seconds = std::env::var("ALMONER_CUT_S").map_or(2, |text| text.parse().expect("seconds"));
    let cut = Duration::from_secs(seconds);
    let home = tempfile::tempdir().unwrap();
    let keys = keys(home.path());

    let mut house = House::open_for(GUARD + cut * 30);
    (house.log, house.seed) = ("info", Some(SEED));
    let mut federation = Federation::found(house, &network, &keys);
    let researcher = federation.house.room("researcher");
    let mut watch = federation.house.start(&researcher, &federation.words(&["federation", "watch", "1", "--wait"]));
    let started = Instant::now();
    federation.ask(&["federation", "launch", "1", "--rounds", "1"]);
    let (mut cut_in, mut swallowed) = (BTreeSet::new(), 0);
    loop {
        let state = watch.next()["state"].as_str().unwrap().to_owned();
        println!("{state} after {:.1} s", started.elapsed().as_secs_f64());
        if state == "settled" || state == "final" {
            break;
        }
        if cut_in.insert(state) && !cut.is_zero() {
            swallowed = network.cut_all_for(cut);
        }
    }
    // In each of these states a site is asked over its line at least once.
    let trips = started.elapsed() - cut * u32::try_from(cut_in.len()).unwrap();
    assert!(trips >= THERE_AND_BACK * STATES.len() as u32, "{trips:?}");
    assert!(cut.is_zero() || swallowed > cut_in.len(), "{swallowed} packets");
    assert!(STATES.iter().all(|state| cut_in.contains(*state)), "{cut_in:?}");
    assert_eq!(federation.outcome(), in_one_process());
    if cut >= Duration::from_secs(60) {
        federation.said_what_was_waited_for();
    }
}
