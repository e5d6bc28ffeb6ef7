//! Whole outputs, held against committed files. `UPDATE_OUTPUT=1` writes them again; read the difference before it is
//! committed: people and scripts rely on these texts.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{almoner, amount, demo, serve};

/// Holds a text against the committed one of this name.
#[track_caller]
pub(super) fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/demo/output").join(name);
    if std::env::var_os("UPDATE_OUTPUT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{name} is not what the program says; UPDATE_OUTPUT=1 rewrites it\n--- committed\n{committed}\n--- said\n{text}"
    );
}

/// What a command line does: its exit code, and all it prints, with what differs from machine to machine replaced.
pub(super) fn transcript(arguments: &[&str], replaced: &[(&str, &str)]) -> String {
    let output = almoner(arguments);
    let code = output.status.code().expect("an exit code");
    let mut text = format!("$ almoner {}\n", arguments.join(" "));
    text.push_str(&String::from_utf8(output.stdout).expect("UTF-8"));
    text.push_str(&String::from_utf8(output.stderr).expect("UTF-8"));
    text.push_str(&format!("exit code {code}\n\n"));
    for (from, to) in replaced {
        text = text.replace(from, to);
    }
    // The system's own number for an error is not the same on every system.
    while let Some(at) = text.find(" (os error ") {
        let end = text[at..].find(')').expect("a closing parenthesis");
        text.replace_range(at..=at + end, "");
    }
    text
}

#[test]
fn help_of_every_command() {
    for (name, arguments) in [
        ("help.txt", &["--help"][..]),
        ("help-demo.txt", &["demo", "--help"]),
        ("help-audit.txt", &["audit", "--help"]),
        ("help-serve.txt", &["serve", "--help"]),
        ("help-coordinator.txt", &["coordinator", "--help"]),
        ("help-aggregator.txt", &["aggregator", "--help"]),
        ("help-participant.txt", &["participant", "--help"]),
        ("help-devnet.txt", &["devnet", "--help"]),
        ("help-federation.txt", &["federation", "--help"]),
        ("help-federation-launch.txt", &["federation", "launch", "--help"]),
        ("help-federation-watch.txt", &["federation", "watch", "--help"]),
        ("help-federation-status.txt", &["federation", "status", "--help"]),
        ("help-key.txt", &["key", "--help"]),
        ("help-coordinator-backup.txt", &["coordinator", "backup", "--help"]),
        ("help-coordinator-restore.txt", &["coordinator", "restore", "--help"]),
        ("help-coordinator-authority.txt", &["coordinator", "authority", "--help"]),
        ("help-coordinator-issue.txt", &["coordinator", "issue", "--help"]),
        ("help-coordinator-revoke.txt", &["coordinator", "revoke", "--help"]),
        ("help-participant-init.txt", &["participant", "init", "--help"]),
        ("help-participant-check.txt", &["participant", "check", "--help"]),
        ("help-participant-status.txt", &["participant", "status", "--help"]),
        ("help-participant-backup.txt", &["participant", "backup", "--help"]),
        ("help-participant-restore.txt", &["participant", "restore", "--help"]),
        ("help-coordinator-invite.txt", &["coordinator", "invite", "--help"]),
        ("help-participant-enrol.txt", &["participant", "enrol", "--help"]),
        ("help-participant-login.txt", &["participant", "login", "--help"]),
        ("help-participant-password.txt", &["participant", "password", "--help"]),
        ("help-participant-recover.txt", &["participant", "recover", "--help"]),
        ("help-participant-unlock-file.txt", &["participant", "unlock-file", "--help"]),
        ("help-identity.txt", &["identity", "--help"]),
        ("help-identity-enrol.txt", &["identity", "enrol", "--help"]),
        ("help-bench-login.txt", &["bench", "login", "--help"]),
        ("help-federation-claim.txt", &["federation", "claim", "--help"]),
        ("help-model.txt", &["model", "--help"]),
        ("help-model-export.txt", &["model", "export", "--help"]),
        ("help-model-evaluate.txt", &["model", "evaluate", "--help"]),
        ("help-completions.txt", &["completions", "--help"]),
        ("help-man.txt", &["man", "--help"]),
        ("help-bench-tls.txt", &["bench", "tls", "--help"]),
        ("help-bench-rounds.txt", &["bench", "rounds", "--help"]),
        ("help-bench-sites.txt", &["bench", "sites", "--help"]),
    ] {
        let output = almoner(arguments);
        assert!(output.status.success() && output.stderr.is_empty());
        golden(name, &String::from_utf8(output.stdout).unwrap());
    }
    // With --json too: help is for people.
    let asked = almoner(&["demo", "--json", "--help"]);
    assert_eq!(asked.stdout, almoner(&["demo", "--help"]).stdout);
}

#[test]
fn an_audit_prints_its_counts_and_its_verdict() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let run = demo(&dir, &["--seed", "3", "--rounds", "1", "--clean-labels"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = ["serve", dir.to_str().unwrap(), "--listen", &address];
    let said = transcript(&line, &[(home.path().to_str().unwrap(), "HOME"), (&address, "ADDRESS")]);
    golden("serve-port-in-use.txt", &said);
    let (_server, url) = serve(&dir);
    golden(
        "watch-finished-run.txt",
        &transcript(&["federation", "watch", "1", "--coordinator", &url], &[(&url, "URL")]),
    );
    golden("audit.txt", &transcript(&["audit", &url], &[(&url, "URL")]));
    golden("audit-quiet.txt", &transcript(&["audit", &url, "--quiet"], &[(&url, "URL")]));
    golden("audit-payments.txt", &transcript(&["audit", &url, "--payments"], &[(&url, "URL")]));
    let [paid, posted] = [&["--payments"][..], &[]].map(|more| {
        let said = almoner(&[&["audit", &url, "--json"], more].concat());
        serde_json::from_slice::<Value>(&said.stdout).expect("one JSON document")
    });
    let round = &paid["federations"][0]["payments"][0];
    let amounts = round["lines"].as_array().unwrap().iter().map(|line| amount(&line["paid"]));
    assert_eq!(amounts.sum::<u128>(), amount(&run["pot_total"]));
    assert_eq!(round["settle_root"], run["rounds"][0]["settle_root"]);
    assert_eq!(posted["federations"][0]["payments"], Value::Null, "for whoever asks");

    // By a node and a gateway of one's own; that it is shown with /ipfs makes no difference.
    let [rpc, gateway] = ["rpc", "ipfs"].map(|path| format!("{url}/{path}"));
    let federation = posted["federation_id"].as_str().unwrap();
    let line = ["audit", "--rpc", &rpc, "--gateway", &gateway, "--federation", federation, "--quiet"];
    golden("audit-gateway.txt", &transcript(&line, &[(&url, "URL")]));
    // Somebody who has nothing has not shown that anything is wrong.
    let nowhere = format!("{url}/nowhere");
    let line = ["audit", "--rpc", &rpc, "--gateway", &nowhere, "--federation", federation, "--quiet"];
    golden("audit-incomplete.txt", &transcript(&line, &[(&url, "URL")]));
}

/// A federation that is well named.
const FEDERATION: &str = "1:0x0000000000000000000000000000000000000002:3";

/// Command lines that are refused, whole: what each says, and its exit code.
struct Mistakes {
    home: tempfile::TempDir,
    taken: TcpListener,
}

impl Mistakes {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let full = home.path().join("full");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("something"), "x").unwrap();
        std::fs::write(home.path().join("bad.key"), "not a key").unwrap();
        for (name, mode) in [("open.key", 0o644), ("own.key", 0o600)] {
            let key = home.path().join(name);
            std::fs::write(&key, "07".repeat(32)).unwrap();
            std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let me = home.path().join("me");
        std::fs::create_dir(&me).unwrap();
        std::fs::write(me.join("identity.toml"), "coordinator = \"http://127.0.0.1:9\"\n").unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config");
        let sample = |name: &str| std::fs::read_to_string(samples.join(name)).unwrap();
        let inside = |name: &str| format!("{:?}", home.path().join(name));
        let site = sample("site.toml").replace("\"site.key\"", &inside("no.key"));
        let coordinator = |key| sample("coordinator.toml").replace("\"coordinator.key\"", &inside(key));
        for (name, text) in [
            ("site.toml", site.clone()),
            ("typo.toml", site.replace("entity", "entitiy")),
            ("coordinator.toml", coordinator("open.key")),
            ("kubo.toml", coordinator("own.key") + "[kubo]\nurl = \"http://10.0.0.1:5001\"\n"),
            ("devnet.toml", sample("devnet.toml").replace("127.0.0.1", "0.0.0.0")),
            ("busy.toml", sample("devnet.toml").replace("127.0.0.1:8545", &taken.local_addr().unwrap().to_string())),
            ("federation.toml", sample("breast-cancer.toml").replace("fee_bps = 1000", "fee_bps = 20000")),
        ] {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        Self { home, taken }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    fn all(&self) -> Vec<Vec<String>> {
        let (full, fresh, key) = (self.path("full"), self.path("fresh"), self.path("bad.key"));
        let taken = self.taken.local_addr().unwrap().to_string();
        let names = ["site", "typo", "coordinator", "kubo", "devnet", "busy", "federation"];
        let [site, typo, coordinator, kubo, devnet, busy, federation] =
            names.map(|name| self.path(&format!("{name}.toml")));
        let (something, me) = (self.path("full/something"), self.path("me"));
        let lines: [&[&str]; 38] = [
            &[],
            &["demo", "--no-such-flag"],
            &["demo", "--rounds", "many"],
            &["demo", "--model", "tree"],
            &["demo", "--chain", "http://127.0.0.1:9"],
            &["demo", "--rounds", "0"],
            &["demo", "--rounds", "1001"],
            &["demo", "--dir", &full],
            &["demo", "--data", &full, "--dir", &fresh],
            &["demo", "--data", &full, "--clean-labels"],
            &["demo", "--dir", &fresh, "--listen", &taken],
            &["demo", "--dir", &fresh, "--listen", "0.0.0.0:0"],
            &["demo", "--dir", &fresh, "--chain", "http://127.0.0.1:9", "--funder", &key],
            &["audit"],
            &["audit", "http://127.0.0.1:9"],
            &["audit", "--rpc", "http://127.0.0.1:9", "--gateway", "http://127.0.0.1:9", "--federation", FEDERATION],
            &["audit", "--rpc", "http://127.0.0.1:9", "--gateway", "http://127.0.0.1:9", "--federation", "1:2:3"],
            &["audit", "--rpc", "http://127.0.0.1:9"],
            &["serve", &full],
            &["serve", &fresh],
            &["serve", &full, "--listen", "0.0.0.0:0"],
            &["model", "export", "--out", &fresh],
            &["audit", "--identity", &me],
            &["model", "export", "--identity", &me, "--out", &fresh],
            &["coordinator", "--config", &fresh],
            &["coordinator", "--config", &coordinator],
            &["coordinator", "--config", &kubo],
            &["devnet", "--config", &devnet],
            &["devnet", "--config", &busy],
            &["participant", "--config", &typo],
            &["participant", "--config", &site],
            &["key", &something],
            &["federation", "create", &federation],
            &["federation", "launch", "1", "--coordinator", "http://127.0.0.1:9"],
            &["federation", "launch", "1", "--coordinator", "127.0.0.1:9"],
            &["federation", "create", &fresh],
            &["federation", "claim", "1", "--key", &fresh],
            &["coordinator", "issue", "--authority", &fresh, "--server", "almoner.example", "--out", &fresh],
        ];
        lines.iter().map(|line| line.iter().map(ToString::to_string).collect()).collect()
    }

    fn transcripts(&self, more: &[&str]) -> String {
        let taken = self.taken.local_addr().unwrap().port().to_string();
        let home = self.home.path().to_str().unwrap();
        let said = self.all().into_iter().map(|line| {
            let line: Vec<&str> = line.iter().map(String::as_str).chain(more.iter().copied()).collect();
            transcript(&line, &[(home, "HOME"), (&taken, "PORT")])
        });
        let said = said.collect();
        assert!(!Path::new(&self.path("fresh")).exists(), "nothing is left behind");
        said
    }
}

#[test]
fn mistakes_are_told_in_words() {
    golden("mistakes.txt", &Mistakes::new().transcripts(&[]));
}

#[test]
fn mistakes_are_told_in_json() {
    let mistakes = Mistakes::new();
    for line in mistakes.all().into_iter().filter(|line| !line.is_empty()) {
        let text = almoner(&line.iter().map(String::as_str).collect::<Vec<_>>());
        let line: Vec<&str> = line.iter().map(String::as_str).chain(["--json"]).collect();
        let output = almoner(&line);
        assert_eq!(output.status.code(), text.status.code());
        assert!(output.stdout.is_empty(), "{line:?}");
        let said: Value = serde_json::from_slice(&output.stderr).expect("one JSON document on stderr");
        let kind = match output.status.code() {
            Some(2) => "usage",
            Some(3) => "you",
            Some(4) => "peer",
            other => panic!("{line:?}: exit code {other:?}"),
        };
        let message = said["error"]["message"].as_str().unwrap();
        assert_eq!(said, serde_json::json!({ "schema": 1, "error": { "kind": kind, "message": message } }));
        let text = String::from_utf8(text.stderr).unwrap();
        let same = match kind {
            // What follows shows the command line, which is another one.
            "usage" => text.lines().next() == format!("error: {message}").lines().next(),
            // The demo says beforehand what it is about to run.
            _ => text.trim_end().ends_with(&format!("error: {message}")),
        };
        assert!(same, "the same words: {text}\n{message}");
    }
}

#[test]
fn what_is_missing_is_a_document_on_stdout_and_an_error_on_stderr() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    demo(&dir, &["--seed", "5", "--rounds", "1", "--model", "logistic", "--clean-labels"]);
    let blocks = std::fs::read_dir(dir.join("store").join("blocks")).unwrap();
    for block in blocks.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_file()) {
        std::fs::write(block, "another content").unwrap();
    }
    let (_server, url) = serve(&dir);
    let audit = almoner(&["audit", &url, "--json"]);
    assert_eq!(audit.status.code(), Some(4));
    let found: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document on stdout");
    let error: Value = serde_json::from_slice(&audit.stderr).expect("one JSON document on stderr");
    assert_eq!(error["error"]["kind"], "peer");
    let message = error["error"]["message"].as_str().unwrap();
    let named = found["first_missing"]["cid"].as_str().unwrap();
    assert!(message.starts_with("the audit is incomplete: ") && message.contains(named), "{message}");
    assert!(message.contains("--gateway URL"), "{message}");
}
