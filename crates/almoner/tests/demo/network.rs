//! Ways to a coordinator: through a hospital's proxy, and over IPv6.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use super::demo;
use super::mtls::{NAME, Running, TLS};

/// A proxy that carries what is asked of it by CONNECT, and remembers what that was. It alone knows where names are.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    thread::spawn(move || {
        for line in listener.incoming().flatten() {
            let heard = heard.clone();
            thread::spawn(move || carry(line, &heard));
        }
    });
    (url, asked)
}

fn carry(mut caller: TcpStream, heard: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(caller.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    heard.lock().unwrap().push(first.clone());
    while !lines.next()?.ok()?.is_empty() {}
    let to = first.strip_prefix("CONNECT ")?.split(' ').next()?;
    let mut server = TcpStream::connect(to.replace(NAME, "127.0.0.1")).ok()?;
    caller.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut up, mut down) = (caller.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || std::io::copy(&mut up, &mut down));
    std::io::copy(&mut server, &mut caller).ok()?;
    Some(())
}

#[test]
fn a_site_reaches_coordinator_gateway_and_node_through_its_proxy() {
    let running = Running::start();
    running.federation();
    let (proxy, asked) = proxy();
    let room = running.site("site");
    let port = running.url.rsplit(':').next().unwrap();
    let coordinator = format!("https://{NAME}:{port}");
    let settings = format!(
        "coordinator = \"{coordinator}\"\nfederation = 1\nentity = \"A\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         [participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n{TLS}"
    );
    fs::write(room.join("site.toml"), settings).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_almoner"))
        .args(["participant", "check", "--config", "site.toml", "--json"])
        .current_dir(&room)
        .env("HTTPS_PROXY", proxy)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&checked.stdout).expect("a JSON document");
    for name in ["certificate", "coordinator", "chain", "store"] {
        let rows = said["checks"].as_array().unwrap().iter();
        let states: Vec<&str> =
            rows.filter(|row| row["check"] == name).map(|row| row["state"].as_str().unwrap()).collect();
        assert!(!states.is_empty() && states.iter().all(|state| *state != "fail"), "{name}: {said}");
    }
    let asked = asked.lock().unwrap();
    assert!(asked.len() >= 4, "gRPC, /deployment.json, /rpc and /ipfs: {asked:?}");
    assert!(asked.iter().all(|asked| *asked == format!("CONNECT {NAME}:{port} HTTP/1.1")), "{asked:?}");
}

#[test]
fn a_federation_runs_over_ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let run = ["--listen", "[::1]:0", "--seed", "5", "--rounds", "1", "--model", "logistic"];
    let run = demo(&home.path().join("run"), &run);
    assert_eq!(run["audit"]["checks"], run["audit"]["held"]);
}
