//! A coordinator or a site whose disk fills up in the middle of a round: what it cannot write down it does not say, and
//! once there is room it goes on as if nothing had been. The disk is a small one of its own, in a mount namespace; where
//! the system gives none to ordinary users the test says so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;

use super::almoner;
use super::kills::{SEED, account, keys};
use super::on_nodes::{Outcome, outcome, played, seated, skipped};
use super::processes::{Daemon, HOSPITALS, House, coordinator_settings, csv, key, order};

const DISK: &str = "mkdir -p disk && mount -t tmpfs -o size=24m none disk";

/// Takes all the room there is.
fn fill(disk: &Path) {
    let mut filler = File::options().create(true).append(true).open(disk.join("filler")).unwrap();
    for part in [1 << 16, 1 << 12, 1] {
        while filler.write_all(&vec![0; part]).is_ok() {}
    }
}

/// Whether this system gives ordinary users a mount namespace of their own.
fn namespaces() -> bool {
    let own = Command::new("unshare").args(["-rm", "sh", "-c", DISK]).current_dir(std::env::temp_dir()).output();
    let given = own.is_ok_and(|tried| tried.status.success());
    if !given {
        skipped("namespaces", "where `unshare -rm` works for ordinary users");
    }
    given
}

/// Starts a role in its room, with a small disk of its own in `disk`: the role, the disk as it is seen from here, and
/// what the role says about it.
fn cramped(house: &House, room: &Path, role: &str) -> (Daemon, PathBuf, Receiver<String>) {
    let mut child = Command::new("unshare")
        .args(["-rm", "sh", "-c", &format!("{DISK} && exec \"$0\" {role} --config settings.toml --json")])
        .arg(env!("CARGO_BIN_EXE_almoner"))
        .current_dir(room)
        .env("ALMONER_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The shell becomes the role, so its number stays; its disk is seen through it.
    let disk = PathBuf::from(format!("/proc/{}/root{}", child.id(), room.join("disk").display()));
    let log = child.stderr.take().unwrap();
    let (complained, complaints) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok).filter(|line| line.contains("disk")) {
            let _ = complained.send(line);
        }
    });
    (Daemon::of(house, child), disk, complaints)
}

#[test]
fn a_full_disk_loses_nothing() {
    if !namespaces() {
        return;
    }
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(0, &rpc, "time_travel = true\n");
    let settings = settings.replace("\"coordinator.db", "\"disk/coordinator.db").replace("\"store", "\"disk/store");
    fs::write(rooms[1].join("settings.toml"), settings).unwrap();
    let (mut coordinator, disk, complaints) = cramped(&house, &rooms[1], "coordinator");
    let url = coordinator.next()["url"].as_str().unwrap().to_owned();
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let scenario = house.federation(&url);
    let mut sites = house.sites(&url, &scenario, 0);

    // An order that cannot be written down is refused, and says why and what to do.
    fill(&disk);
    let refused = almoner(&["federation", "launch", "1", "--rounds", "2", "--coordinator", &url, "--json"]);
    let said: Value = serde_json::from_slice(&refused.stderr).expect("one JSON document");
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert_eq!(
        said["error"]["message"],
        "the coordinator: the coordinator's disk is full; nothing was taken, ask again"
    );
    let complaint = complaints.recv().unwrap();
    assert!(complaint.contains("coordinator.db: the disk is full; make room"), "{complaint}");

    // In the middle of a round.
    fs::remove_file(disk.join("filler")).unwrap();
    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "2"]);
    watch.until("training");
    while complaints.try_recv().is_ok() {}
    fill(&disk);
    complaints.recv().unwrap();
    fs::remove_file(disk.join("filler")).unwrap();

    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 2_000_000_000_000_000_000_000);
    let audit = almoner(&["audit", &url, "--json"]);
    let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
    assert!(audit.status.success(), "{said}");
}

/// The first complaint with these words in it.
fn complaint(complaints: &Receiver<String>, words: &str) -> Value {
    let line = complaints.iter().find(|line| line.contains(words)).expect("the process goes on");
    serde_json::from_str(&line).expect("a JSON document a line")
}

/// What is in the store whole, by name.
fn blocks(disk: &Path) -> BTreeMap<OsString, u64> {
    let blocks = fs::read_dir(disk.join("store").join("blocks")).unwrap().map(Result::unwrap);
    blocks.map(|block| (block.file_name(), block.metadata().unwrap().len())).collect()
}

/// A chain and a coordinator whose store lies on a small disk. Its journal does not: what arrives is still written down.
struct Cramped {
    keys: BTreeMap<String, PathBuf>,
    /// What a round with these keys comes to where there is room.
    undisturbed: Outcome,
    house: House,
    _coordinator: Daemon,
    url: String,
    disk: PathBuf,
    complaints: Receiver<String>,
}

impl Cramped {
    fn new() -> Self {
        let mut house = House::new();
        house.seed = Some(SEED);
        let keys = keys(&house.room("keys"));
        let undisturbed = played(House::new(), &keys, None, "", |_, _| ()).outcome;
        let rooms = ["chain", "coordinator"].map(|name| house.room(name));
        let funded = format!("[[funded]]\naccount = \"{}\"\nether = 1000\n", account(&keys["coordinator"]));
        let chain = format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}");
        let (_, rpc) = house.daemon(&rooms[0], "devnet", &chain);
        fs::copy(&keys["coordinator"], rooms[1].join("coordinator.key")).unwrap();
        let settings = coordinator_settings(0, &rpc, "ready_wait_s = 600\nlease_s = 1\n");
        fs::write(rooms[1].join("settings.toml"), settings.replace("\"store", "\"disk/store")).unwrap();
        let (mut coordinator, disk, complaints) = cramped(&house, &rooms[1], "coordinator");
        let url = coordinator.next()["url"].as_str().unwrap().to_owned();
        Self { keys, undisturbed, house, _coordinator: coordinator, url, disk, complaints }
    }
}

/// It waits for nothing: while there is no room its coordinator has other things to say.
fn start_aggregator(house: &House, url: &str) {
    let room = house.room("aggregator");
    fs::write(room.join("settings.toml"), format!("coordinator = \"{url}\"\n")).unwrap();
    house.start(&room, &["aggregator", "--config", "settings.toml"]);
}

#[test]
fn a_sum_that_finds_no_room_is_asked_for_once_more() {
    if !namespaces() {
        return;
    }
    let Cramped { keys, undisturbed, house, _coordinator, url, disk, complaints } = Cramped::new();
    let mut sites = seated(&house, &keys, &url);
    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "1"]);
    watch.until("revealed");

    // Verdicts and scores are taken, the sum beside them has no place: it is asked for once more.
    fill(&disk);
    let before = blocks(&disk);
    start_aggregator(&house, &url);
    let told = complaint(&complaints, "keeping the sum");
    assert!(told["error"].as_str().unwrap().contains("No space left on device"), "{told}");
    assert_eq!(blocks(&disk), before, "whole or not at all");
    fs::remove_file(disk.join("filler")).unwrap();

    assert_eq!(outcome(&mut sites, &url, None), undisturbed);
    let own = fs::read_dir(disk.join("store").join("tmp")).unwrap().map(|own| own.unwrap().path());
    let left: Vec<PathBuf> = own.flat_map(|own| fs::read_dir(own).unwrap()).map(|file| file.unwrap().path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "nothing of what was tried remains");
}

/// The members whose answers would open the sum have written them down and are killed before they say them: so the disk
/// can be filled between the sum, which is on chain, and the model.
#[test]
fn a_model_that_finds_no_room_is_filed_once_there_is_some() {
    if !namespaces() {
        return;
    }
    let Cramped { keys, undisturbed, house, _coordinator, url, disk, complaints } = Cramped::new();
    start_aggregator(&house, &url);
    let mut sites = seated(&house, &keys, &url);

    let line = ["participant", "--config", "settings.toml"];
    let point = "once:answer:8";
    let mut standing: Vec<_> = sites[1..HOSPITALS]
        .iter_mut()
        .map(|(name, site)| {
            house.children.kill(site.id);
            let (mut again, logged) = house.overheard(&house.room(name), &line, Some(point));
            again.until("joined");
            *site = again;
            logged
        })
        .collect();
    order(&url, &["launch", "1", "--rounds", "1"]);
    standing.iter_mut().for_each(|logged| logged.stopped(point));
    fill(&disk);
    let before = blocks(&disk);
    for (name, site) in &mut sites[1..HOSPITALS] {
        house.children.kill(site.id);
        *site = house.start(&house.room(name), &line);
    }
    complaint(&complaints, "No space left on device");
    assert_eq!(blocks(&disk), before, "whole or not at all");
    fs::remove_file(disk.join("filler")).unwrap();
    assert_eq!(outcome(&mut sites, &url, None), undisturbed);
}

#[test]
fn a_full_disk_at_a_site_is_waited_for() {
    if !namespaces() {
        return;
    }
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator", "hospital-1"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(0, &rpc, "time_travel = true\nready_wait_s = 600\n");
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let scenario = house.federation(&url);
    key(&rooms[3].join("site.key"));
    fs::write(rooms[3].join("rows.csv"), csv(&scenario.hospitals[0])).unwrap();
    let settings = format!(
        "coordinator = \"{url}\"\nfederation = 1\nentity = \"hospital-1\"\nkey = \"site.key\"\n\
         state = \"disk/site.db\"\n[participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n"
    );
    fs::write(rooms[3].join("settings.toml"), settings).unwrap();
    let (mut cramped, disk, complaints) = cramped(&house, &rooms[3], "participant");
    cramped.until("joined");
    let mut sites = house.sites(&url, &scenario, 1);
    sites.push(cramped);

    // Before it can write down the key that it offers to serve with; then in the middle of a round.
    fill(&disk);
    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--wait", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "2"]);
    let complaint = complaints.recv().unwrap();
    assert!(complaint.contains("site.db: the disk is full; make room"), "{complaint}");
    fs::remove_file(disk.join("filler")).unwrap();
    watch.until("training");
    while complaints.try_recv().is_ok() {}
    fill(&disk);
    complaints.recv().unwrap();
    fs::remove_file(disk.join("filler")).unwrap();

    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 2_000_000_000_000_000_000_000);
}
