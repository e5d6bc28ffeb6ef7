//! The dependency graph of `docs/ARCHITECTURE.md`, held against what the manifests say. Normal dependencies only: a
//! test may use what it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Left to right: a crate uses crates of later columns and of no other. A crate that is in no column fails the test.
const COLUMNS: [&[&str]; 7] = [
    &["almoner-tests"],
    &["almoner"],
    &["almoner-traces"],
    &["almoner-coordinator", "almoner-participant", "almoner-aggregator", "almoner-audit", "almoner-devnet"],
    &["almoner-proto", "almoner-store", "almoner-chain", "almoner-model", "almoner-journal", "almoner-identity"],
    &["almoner-protocol"],
    &["almoner-crypto", "almoner-failpoint", "almoner-tls"],
];

/// What is used within a column, and why.
const BESIDE: [(&str, &str); 1] = [
    // The sender's outbox survives a restart in the journal.
    ("almoner-chain", "almoner-journal"),
];

/// Meet in `proto` and `protocol`, never directly.
const ROLES: [&str; 3] = ["almoner-coordinator", "almoner-participant", "almoner-aggregator"];

/// Whoever handles money does not train.
const NO_MODEL: [&str; 3] = ["almoner-coordinator", "almoner-aggregator", "almoner-audit"];

/// Outside crates that only some of ours may name.
const RESERVED: [(&str, &[&str]); 16] = [
    ("aes", &["almoner-crypto"]),
    ("ctr", &["almoner-crypto"]),
    ("chacha20", &["almoner-crypto"]),
    ("hpke", &["almoner-crypto"]),
    ("subtle", &["almoner-crypto"]),
    ("opaque-ke", &["almoner-identity"]),
    ("chacha20poly1305", &["almoner-identity"]),
    ("rustls", &["almoner-tls"]),
    ("tokio-rustls", &["almoner-tls"]),
    ("rcgen", &["almoner-tls"]),
    ("x509-parser", &["almoner-tls"]),
    ("burn", &["almoner-model"]),
    ("rusqlite", &["almoner-journal"]),
    ("revm", &["almoner-devnet"]),
    ("opentelemetry", &["almoner-traces"]),
    // The providers are `chain`'s; `devnet` answers them.
    ("alloy", &["almoner-chain", "almoner-devnet"]),
];

/// Rules and cryptography: no clock, no random source, no file, no socket, no log.
const PURE: [&str; 2] = ["almoner-protocol", "almoner-crypto"];
const IMPURE: [&str; 10] =
    ["tokio", "getrandom", "tracing", "reqwest", "axum", "tonic", "tempfile", "rand_chacha", "futures", "rand"];

/// Normal dependencies by crate of the workspace.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    let package = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
    };
    metadata["packages"].as_array().expect("a list of packages").iter().map(package).collect()
}

fn column(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.contains(&name))
}

/// Every edge between two crates of the workspace.
fn edges() -> Vec<(String, String)> {
    let graph = graph();
    let inner = |name: &String| graph.contains_key(name);
    let of = |(from, to): (&String, &BTreeSet<String>)| {
        to.iter().filter(|to| inner(to)).map(|to| (from.clone(), to.clone())).collect::<Vec<_>>()
    };
    graph.iter().flat_map(of).collect()
}

#[test]
fn the_map_is_the_workspace() {
    let found: BTreeSet<String> = graph().into_keys().collect();
    let mapped: BTreeSet<String> = COLUMNS.iter().flat_map(|column| column.iter().map(|name| (*name).into())).collect();
    assert_eq!(found, mapped, "give a new crate a column here and a line in docs/ARCHITECTURE.md");
}

#[test]
fn dependencies_point_one_way() {
    let backwards: Vec<_> = edges()
        .into_iter()
        .filter(|(from, to)| column(from) >= column(to) && !BESIDE.contains(&(from.as_str(), to.as_str())))
        .collect();
    assert!(backwards.is_empty(), "against the order of docs/ARCHITECTURE.md: {backwards:?}");
}

#[test]
fn roles_do_not_know_each_other() {
    let role = |name: &String| ROLES.contains(&name.as_str());
    let direct: Vec<_> = edges().into_iter().filter(|(from, to)| role(from) && role(to)).collect();
    assert!(direct.is_empty(), "{direct:?}");
}

#[test]
fn who_handles_money_does_not_train() {
    // Not through another crate of ours either.
    let graph = graph();
    for name in NO_MODEL {
        let mut reached = BTreeSet::from([name.to_owned()]);
        let mut open = vec![name.to_owned()];
        while let Some(next) = open.pop() {
            let further = graph.get(&next).into_iter().flatten().filter(|to| graph.contains_key(*to));
            open.extend(further.filter(|to| reached.insert((*to).clone())).cloned());
        }
        assert!(!reached.contains("almoner-model"), "{name} reaches almoner-model through {reached:?}");
    }
}

#[test]
fn what_is_reserved_is_named_by_its_owner_alone() {
    for (reserved, owners) in RESERVED {
        let named: Vec<String> =
            graph().into_iter().filter(|(_, to)| to.contains(reserved)).map(|(from, _)| from).collect();
        let strangers: Vec<_> = named.iter().filter(|name| !owners.contains(&name.as_str())).collect();
        assert!(strangers.is_empty(), "{reserved} belongs to {owners:?}, {strangers:?} name it too");
        assert!(!named.is_empty(), "nobody names {reserved}: take it off the list");
    }
}

#[test]
fn there_is_one_provider_of_tls_cryptography() {
    // Two of them panic at run time, when the first secure connection is made.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--workspace", "--locked", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = String::from_utf8(output.stdout).expect("text");
    let has = |name: &str| built.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(has("rustls") && has("ring") && !has("aws-lc-rs") && !has("openssl"));
}

#[test]
fn rules_and_cryptography_are_pure() {
    let graph = graph();
    for name in PURE {
        let named: Vec<_> = graph[name].iter().filter(|to| IMPURE.contains(&to.as_str())).collect();
        assert!(named.is_empty(), "{name} names {named:?}");
    }
}

#[test]
fn no_role_knows_whose_labels_are_wrong() {
    // The demo flips labels and looks at what comes of it. Whoever scores or pays must find out without being told.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let told = ["coordinator", "participant", "aggregator", "proto", "contracts/src", "crates"];
    let mut open: Vec<PathBuf> = told.iter().map(|folder| root.join(folder)).collect();
    let mut seen = 0;
    while let Some(path) = open.pop() {
        if path == root.join("crates/almoner") {
            continue;
        }
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| ["rs", "sol", "proto"].iter().any(|source| end == *source)) {
            let text = fs::read_to_string(&path).expect("source text");
            assert!(
                !text.contains(".mislabelled") && !text.contains("mislabelled:"),
                "{} reads the demo's flag",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 300, "only {seen} files were looked at");
}
