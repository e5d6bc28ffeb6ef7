//! A site or a coordinator whose machine, or its peer's, does not know what time it is.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use almoner_chain::{advance_time, connect};

use super::processes::{House, coordinator_settings, key};

/// Says where contracts are, and what time it is by a clock that is an hour behind.
fn hour_behind() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut line in listener.incoming().flatten() {
            let zero = format!("\"0x{}\"", "0".repeat(40));
            let body = format!(
                "{{\"chain_id\":1,\"federations\":{zero},\"rounds\":{zero},\"payouts\":{zero},\"token\":{zero},\
                 \"from_block\":0}}"
            );
            let date = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(3700));
            let _ = line.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = line.write_all((head + &body).as_bytes());
        }
    });
    url
}

#[test]
fn a_site_an_hour_from_its_coordinator_does_not_start() {
    let (house, url) = (House::new(), hour_behind());
    let room = house.room("site");
    key(&room.join("site.key"));
    let settings = format!(
        "coordinator = \"{url}\"\nfederation = 1\nentity = \"A\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         [participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n"
    );
    fs::write(room.join("settings.toml"), settings).unwrap();
    let ended = house.ended(&room, &["participant", "--config", "settings.toml"]);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    for part in ["clock", &url, "s ahead of the coordinator's", "synchronise the clock (NTP)"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn a_coordinator_an_hour_behind_its_chain_does_not_start_unless_it_moves_that_clock() {
    let house = House::new();
    let room = house.room("coordinator");
    let (_chain, rpc) = house.chain(&house.room("chain"), &room);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { advance_time(&connect(&rpc).unwrap(), 3700).await.unwrap() });
    fs::write(room.join("settings.toml"), coordinator_settings(0, &rpc, "")).unwrap();
    let ended = house.ended(&room, &["coordinator", "--config", "settings.toml"]);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    for part in ["clock, rpc = ", "s behind the chain's newest block", "synchronise the clock (NTP)"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    house.daemon(&room, "coordinator", &coordinator_settings(0, &rpc, "time_travel = true\n"));
}
