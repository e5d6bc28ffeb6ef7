//! What a daemon tells whoever watches over it: whether it is alive, whether it does its work, and what it has done.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Seeds, breast_cancer_scenario};

use super::cli::said;
use super::processes::{GUARD, House, coordinator_settings, csv, free_port, key};

/// Status and text of what is served at a port.
fn get(port: u16, path: &str) -> (u16, String) {
    let since = Instant::now();
    let mut line = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(line) => break line,
            Err(error) => assert!(since.elapsed() < GUARD, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    write!(line, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
}

/// It says so, and in `/metrics` who it is.
#[track_caller]
fn does_its_work(port: u16, role: &str) {
    assert_eq!(get(port, "/healthz"), (200, "alive\n".into()));
    assert_eq!(get(port, "/readyz"), (200, "ready\n".into()));
    let (status, metrics) = get(port, "/metrics");
    let build = metrics.lines().find(|line| line.starts_with("almoner_build_info{")).expect("who it is");
    assert!(status == 200 && build.contains(&format!("role=\"{role}\"")), "{build}");
    for name in ["process_resident_memory_bytes ", "process_open_fds ", "process_start_time_seconds "] {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert!(value.parse::<f64>().unwrap() > 0.0, "{name}{value}");
    }
}

#[test]
fn a_coordinator_and_a_site_say_that_they_live_and_when_they_do_their_work() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "hospital-1"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let [at_coordinator, at_site] = [free_port(), free_port()];
    let settings = coordinator_settings(0, &rpc, &format!("metrics = \"127.0.0.1:{at_coordinator}\"\n"));
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    does_its_work(at_coordinator, "coordinator");

    // There is no federation yet that it could work for.
    key(&rooms[2].join("site.key"));
    let settings = format!(
        "coordinator = \"{url}\"\nfederation = 1\nentity = \"hospital-1\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         metrics = \"127.0.0.1:{at_site}\"\n[participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n"
    );
    fs::write(rooms[2].join("settings.toml"), settings).unwrap();
    // It reads its rows as soon as there is a federation.
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    fs::write(rooms[2].join("rows.csv"), csv(&scenario.hospitals[0])).unwrap();
    let mut site = house.start(&rooms[2], &["participant", "--config", "settings.toml"]);
    assert_eq!(get(at_site, "/readyz"), (503, "not yet\n".into()));
    assert_eq!(get(at_site, "/healthz"), (200, "alive\n".into()));
    house.federation(&url);
    assert_eq!(site.next()["metrics"], format!("http://127.0.0.1:{at_site}/metrics"));
    site.until("joined");
    does_its_work(at_site, "participant");
}

#[test]
fn a_coordinator_that_refuses_its_journal_says_at_no_time_that_it_is_up() {
    let house = House::new();
    let rooms = ["chain", "coordinator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let settings = coordinator_settings(0, &rpc, "");
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let room = &rooms[1];
    said(room, &["coordinator", "backup", "--config", "settings.toml", "--out", "copy.db"]);
    house.federation(&url);
    house.children.kill(coordinator.id);
    // Journal and store are lost: the copy knows of no federation, and its file is nowhere.
    for lost in fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path()) {
        if lost.file_name().unwrap().to_str().unwrap().starts_with("coordinator.db") {
            fs::remove_file(lost).unwrap();
        }
    }
    fs::remove_dir_all(room.join("store")).unwrap();
    said(room, &["coordinator", "restore", "--config", "settings.toml", "--from", "copy.db"]);
    let refused = house.ended(room, &["coordinator", "--config", "settings.toml"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(3) && text.contains("the journal was restored from a copy"), "{text}");
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "");
}
