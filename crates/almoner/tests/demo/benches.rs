//! What the benchmarks print for programs. Their figures are no test's business, but that they are there is.

use serde_json::{Value, json};

use super::almoner;

fn measured(arguments: &[&str]) -> Value {
    let output = almoner(&[&["bench"], arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn a_round_is_measured_beside_its_floors() {
    let said = measured(&["rounds", "--params", "10000", "--sites", "3", "--rounds", "1"]);
    assert_eq!((keys(&said), &said["schema"]), (vec!["rows", "schema"], &json!(1)));
    let [row] = said["rows"].as_array().unwrap().as_slice() else { panic!("one row for each size: {said}") };
    let expected = [
        "bytes",
        "fsync_seconds",
        "hash_seconds",
        "params",
        "payload_bytes",
        "peak_bytes",
        "phases",
        "rounds",
        "seconds",
        "sites",
        "tcp_seconds",
    ];
    assert_eq!(keys(row), expected);
    assert_eq!((&row["params"], &row["sites"], &row["rounds"]), (&json!(9985), &json!(3), &json!(1)));
    assert_eq!(keys(&row["peak_bytes"]), ["aggregator", "chain", "coordinator", "site_max"]);
    let phases = row["phases"].as_object().unwrap();
    for phase in ["promise", "upload", "audit", "score", "model", "settle"] {
        assert!(phases.contains_key(phase), "{row}");
    }
    let peaks = row["peak_bytes"].as_object().unwrap().values();
    for figure in ["seconds", "tcp_seconds", "hash_seconds"].map(|name| &row[name]).into_iter().chain(peaks) {
        assert!(figure.as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn a_folder_in_memory_is_refused_and_nothing_is_left_in_it() {
    let dir = std::path::Path::new("/dev/shm").join(format!("almoner-{}", std::process::id()));
    if !dir.parent().unwrap().is_dir() {
        println!("skipped: shm: there is no /dev/shm here");
        return;
    }
    let output = almoner(&["bench", "rounds", "--dir", dir.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("lies in memory, where a durable write costs nothing"), "{said}");
    assert!(!dir.exists());
}

#[test]
fn sites_logins_and_uploads_are_measured() {
    let sites = measured(&["sites", "--sites", "5", "--rounds", "1"]);
    let expected = [
        "connect_seconds",
        "in_round",
        "notices",
        "open_files",
        "params",
        "peak_bytes",
        "rounds",
        "schema",
        "seconds",
        "sites",
        "tls",
    ];
    assert_eq!(keys(&sites), expected);
    assert_eq!((&sites["sites"], &sites["in_round"], &sites["tls"]), (&json!(5), &json!(3), &json!(false)));
    assert!(sites["open_files"].as_u64() > Some(5) && sites["notices"].as_u64() > Some(0), "{sites}");
    let login = measured(&["login", "--logins", "10"]);
    assert_eq!(keys(&login["ms"]), ["finish", "median", "p99", "start"]);
    assert_eq!((&login["schema"], &login["logins"]), (&json!(1), &json!(10)));
    let tls = measured(&["tls", "--mib", "1"]);
    assert!(tls["schema"] == 1 && keys(&tls).len() > 2, "{tls}");
}
