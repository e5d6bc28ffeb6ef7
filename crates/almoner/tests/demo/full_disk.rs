//! A coordinator whose disk fills up in the middle of a round: what it cannot write down it does not acknowledge, and
//! once there is room it goes on as if nothing had been. The disk is a small one of its own, in a mount namespace; where
//! the system gives none to ordinary users the test says so.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Seeds, breast_cancer_scenario};
use serde_json::Value;

use super::almoner;
use super::processes::{Daemon, HOSPITALS, House, key, order};

const DISK: &str = "mkdir -p disk && mount -t tmpfs -o size=24m none disk";

/// Takes all the room there is.
fn fill(disk: &Path) {
    let mut filler = File::options().create(true).append(true).open(disk.join("filler")).unwrap();
    for part in [1 << 16, 1 << 12, 1] {
        while filler.write_all(&vec![0; part]).is_ok() {}
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let own = Command::new("unshare").args(["-rm", "sh", "-c", DISK]).current_dir(std::env::temp_dir()).output();
    if !own.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: no mount namespace of one's own here (unshare -rm)");
        return;
    }
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let account = key(&rooms[1].join("coordinator.key"));
    let funded = format!("control = true\n[[funded]]\naccount = \"{account}\"\nether = 1000\n");
    let (_chain, rpc) =
        house.daemon(&rooms[0], "devnet", &format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}"));
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nrpc = \"{rpc}\"\nkey = \"coordinator.key\"\nstate = \"disk/coordinator.db\"\n\
         store = \"disk/store\"\ndeployment = \"deployment.json\"\nbeaconless = true\ntime_travel = true\n"
    );
    fs::write(rooms[1].join("settings.toml"), settings).unwrap();
    let mut coordinator = Command::new("unshare")
        .args(["-rm", "sh", "-c", &format!("{DISK} && exec \"$0\" coordinator --config settings.toml --json")])
        .arg(env!("CARGO_BIN_EXE_almoner"))
        .current_dir(&rooms[1])
        .env("ALMONER_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The shell becomes the coordinator, so its number stays; its disk is seen through it.
    let disk = PathBuf::from(format!("/proc/{}/root{}", coordinator.id(), rooms[1].join("disk").display()));
    let log = coordinator.stderr.take().unwrap();
    let mut coordinator = Daemon::of(&house, coordinator);
    let url = coordinator.next()["url"].as_str().unwrap().to_owned();
    let (complained, complaints) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok).filter(|line| line.contains("disk")) {
            let _ = complained.send(line);
        }
    });
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let file = house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    order(&url, &["create", file.to_str().unwrap()]);
    order(&url, &["fund", "1", "2000000000000000000000"]);
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    let mut sites: Vec<Daemon> = Vec::new();
    for (index, holder) in scenario.hospitals.iter().take(HOSPITALS).enumerate() {
        sites.push(house.site(&format!("hospital-{}", index + 1), "participant", &url, holder));
    }
    sites.push(house.site("validator", "validator", &url, &scenario.validators[0]));

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
    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--coordinator", &url]);
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
