//! A researcher and an auditor, who have no site: enrolled by invitations, over mutual TLS. Each asks what is for it, and
//! is told whose the rest is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use almoner_chain::SigningKey;
use almoner_proto::{aggregators_client, endpoint, researchers_client, sites_client, wire};
use almoner_protocol::{Hello, encode_hello};
use almoner_tls::{Binding, Client, ClientFiles, Role};
use serde_json::Value;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::cli::{at, refused, said};
use super::mtls::Running;
use super::processes::{free_port, key};

const FILE: &str = "../federation.toml";

struct People {
    running: Running,
    home: PathBuf,
}

impl People {
    fn new() -> Self {
        let running = Running::start();
        let home = running.house.room("people");
        let file = include_str!("../../../../docs/config/breast-cancer-logistic.toml");
        fs::write(running.house.home.path().join("federation.toml"), file).unwrap();
        secret(&home.join("password"), "a password for the test");
        Self { running, home }
    }

    fn invitation(&self, more: &[&str]) -> String {
        let line = [&["coordinator", "invite", "--config", "settings.toml"], more].concat();
        said(&self.running.house.room("coordinator"), &line)["invitation"].as_str().unwrap().to_owned()
    }

    fn enrol_line<'a>(&'a self, dir: &'a str, invitation: &'a str) -> Vec<&'a str> {
        let Running { url, .. } = &self.running;
        let who = ["identity", "enrol", "--dir", dir, "--coordinator", url, "--invitation", invitation];
        [&who[..], &["--ca", "../authority/ca.pem", "--unlock", "password"]].concat()
    }

    /// With a key that was there before; a copy of it stays, which its owner should destroy.
    fn enrol(&self, dir: &str, role: &str) -> Value {
        fs::create_dir(self.home.join(dir)).unwrap();
        key(&self.home.join(dir).join("account.key"));
        fs::copy(self.home.join(dir).join("account.key"), self.home.join(format!("{dir}.key"))).unwrap();
        let invitation = self.invitation(&["--role", role]);
        said(&self.home, &self.enrol_line(dir, &invitation))
    }

    fn said(&self, dir: &str, arguments: &[&str]) -> Value {
        said(&self.home, &[arguments, &["--identity", dir]].concat())
    }

    /// A line that says hello as the commands do.
    async fn channel(&self, dir: &str) -> Channel {
        let key = SigningKey::load(&self.home.join(format!("{dir}.key"))).unwrap();
        let tls = Client::new(files(&self.home.join(dir))).unwrap();
        tls.introduce(Arc::new(move |channel: &Binding| {
            let account = key.address();
            let Binding { client, server, exporter } = *channel;
            let signature = key.sign_hash(Hello { account, client, server, channel: exporter }.hash()).ok()?;
            Some(encode_hello(account, &signature))
        }));
        tls.connect(&endpoint(Endpoint::from_shared(self.running.url.clone()).unwrap())).await.unwrap()
    }

    fn refused(&self, dir: &str, arguments: &[&str], says: &str) {
        refused(&self.home, &[arguments, &["--identity", dir]].concat(), 3, says);
    }
}

fn files(dir: &Path) -> ClientFiles {
    let file = |name: &str| Some(dir.join(name));
    ClientFiles { ca: file("ca.pem"), certificate: file("certificate.pem"), key: file("certificate.key") }
}

fn secret(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_researcher_and_an_auditor_enrol_and_ask_for_what_is_theirs() {
    let people = People::new();
    let researcher = people.enrol("researcher", "researcher");
    assert_eq!(
        (&researcher["role"], &researcher["vault_file"]),
        (&"researcher".into(), &"researcher/account.key".into())
    );
    let certificate = researcher["certificate_file"].as_str().unwrap();
    assert!(people.home.join(certificate).ends_with("researcher/certificate.pem"), "{certificate}");
    assert!(people.home.join(certificate).exists(), "{certificate}");
    let auditor = people.enrol("auditor", "auditor");
    assert_ne!(researcher["account"], auditor["account"]);

    assert_eq!(people.said("researcher", &["federation", "create", FILE])["federation"], 1);
    assert_eq!(people.said("researcher", &["federation", "fund", "1", "1000"])["done"], "funded");
    let orders: [&[&str]; 4] = [
        &["federation", "create", FILE],
        &["federation", "fund", "1", "1000"],
        &["federation", "launch", "1"],
        &["federation", "stop", "1"],
    ];
    for order in orders {
        people.refused("auditor", order, "is not for an auditor: researcher or operator may ask for it");
    }
    // What both are there for, an auditor for nothing else: chain, artefacts, and how the rounds go.
    for dir in ["auditor", "researcher"] {
        assert_eq!(people.said(dir, &["federation", "status", "1"])["funded"], "1000");
        let audit = people.said(dir, &["audit", &people.running.url]);
        assert_eq!(audit["audit"]["checks"], audit["audit"]["held"]);
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        for (dir, whom) in [("researcher", "a researcher"), ("auditor", "an auditor")] {
            let channel = people.channel(dir).await;
            let watch = wire::WatchRequest { federation: 1 };
            researchers_client(channel.clone()).watch(watch).await.expect("it may look on");
            let refused = |status: Status, whose: &str| {
                let says = format!("is not for {whom}: {whose} may ask for it");
                assert!(status.message().ends_with(&says), "{status}");
            };
            let task =
                sites_client(channel.clone(), 31).fetch_task(wire::TaskRequest { federation: 1, round: 1 }).await;
            refused(task.unwrap_err(), "site");
            let lease = aggregators_client(channel).lease(wire::LeaseRequest { worker: dir.into() }).await;
            refused(lease.unwrap_err(), "operator");
        }
    });
    renewed(&people, researcher["account"].as_str().unwrap());
    revoked(&people, researcher["account"].as_str().unwrap());
}

/// A certificate in the last hour of its life is another after the next order, for the same role.
fn renewed(people: &People, account: &str) {
    let dir = people.home.join("researcher");
    let authority = almoner_tls::Authority::open(&people.running.house.home.path().join("authority")).unwrap();
    let soon = SystemTime::now() + Duration::from_secs(3600);
    let late = authority.issue_until(Role::Researcher, account.parse().unwrap(), soon).unwrap();
    fs::write(dir.join("certificate.pem"), &late.certificate).unwrap();
    secret(&dir.join("certificate.key"), &late.key);
    people.said("researcher", &["federation", "fund", "1", "2000"]);
    let client = Client::new(files(&dir)).unwrap();
    assert_eq!(client.expires(SystemTime::now()), None);
    assert_eq!(client.shown().unwrap().named, Some((Role::Researcher, account.parse().unwrap())));
    people.said("researcher", &["federation", "fund", "1", "3000"]);
}

fn revoked(people: &People, account: &str) {
    let authority = people.running.house.home.path().join("authority");
    let issued = fs::read_dir(authority.join("issued")).unwrap().map(|entry| entry.unwrap().path());
    let whose = format!("researcher-{}", account.to_lowercase());
    let own: Vec<PathBuf> = issued.filter(|path| path.to_str().unwrap().contains(&whose)).collect();
    assert_eq!(own.len(), 2, "at enrolment, and renewed");
    for certificate in own {
        let line = ["coordinator", "revoke", "--authority", authority.to_str().unwrap(), "--certificate"];
        let revoked = said(&people.home, &[&line[..], &[certificate.to_str().unwrap()]].concat());
        assert_eq!(revoked["role"], "researcher");
    }
    people.refused("researcher", &["federation", "stop", "1"], "it was revoked");
}

#[test]
fn an_invitation_is_for_one_role_and_one_enrolment() {
    let people = People::new();
    let enrol = |dir: &str, invitation: &str, says: &str| {
        refused(&people.home, &people.enrol_line(dir, invitation), 3, says);
    };
    let site = people.invitation(&[]);
    enrol("me", &site, "this invitation enrols as site; it is not used up: use it with `almoner participant enrol`");
    let room = people.running.house.room("site");
    let settings = format!(
        "coordinator = \"{}\"\nfederation = 1\nentity = \"A\"\nkey = \"site.key\"\nunlock = \"../people/password\"\n\
         state = \"site.db\"\n[tls]\nca = \"../authority/ca.pem\"\n[participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n",
        people.running.url
    );
    fs::write(room.join("settings.toml"), settings).unwrap();
    let enrol_site = |invitation: &str| {
        ["participant", "enrol", "--config", "settings.toml", "--invitation", invitation].map(str::to_owned)
    };
    let researcher = people.invitation(&["--role", "researcher"]);
    let line = enrol_site(&researcher);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    refused(
        &room,
        &line,
        3,
        "this invitation enrols as researcher; it is not used up: use it with `almoner identity enrol`",
    );
    // Neither was used up.
    let line = enrol_site(&site);
    assert_eq!(said(&room, &line.iter().map(String::as_str).collect::<Vec<_>>())["role"], "site");
    assert_eq!(said(&people.home, &people.enrol_line("me", &researcher))["role"], "researcher");
    enrol("me", &researcher, "is a vault: this account is enrolled; `almoner identity password` changes its password");
    enrol("other", &researcher, "this invitation was used: ask the operator for another one");
    let line = ["coordinator", "invite", "--config", "settings.toml", "--role", "operator"];
    let output = at(&people.running.house.room("coordinator"), &line);
    assert_eq!(output.status.code(), Some(2), "an operator is made by nobody but who has the authority's key");

    // Its password is changed, lost and replaced as a site's is.
    let identity = |order: &'static str, more: &[&'static str]| [&["identity", order, "--dir", "me"], more].concat();
    assert_eq!(said(&people.home, &identity("login", &[]))["sealed"], 0);
    secret(&people.home.join("new"), "another one for the test");
    let changed = said(&people.home, &identity("password", &["--new", "new"]));
    refused(&people.home, &identity("login", &[]), 3, "`almoner identity recover` sets a new one");
    secret(&people.home.join("code"), changed["recovery_code"].as_str().unwrap());
    said(&people.home, &identity("recover", &["--code", "code", "--new", "password"]));
    said(&people.home, &identity("login", &[]));
    said(&people.home, &identity("unlock-file", &["--out", "me/unlock"]));
    let toml = people.home.join("me/identity.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let unlock = text.lines().find(|line| line.starts_with("unlock")).unwrap();
    fs::write(&toml, text.replace(unlock, "unlock = \"unlock\"")).unwrap();
    fs::remove_file(people.home.join("password")).unwrap();
    assert_eq!(people.said("me", &["federation", "create", FILE])["federation"], 1);
    // So is where it is read: neither a URL nor a coordinator is named.
    let read = |arguments: &[&str]| at(&people.home, &[arguments, &["--identity", "me"]].concat());
    let audit = read(&["audit"]);
    let said_of_it = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success() && said_of_it.contains("verdict: 0 rounds: nothing to audit yet"), "{audit:?}");
    let none_yet = "federation 1 has no model yet: no round of it has come to its end";
    let export = read(&["model", "export", "--out", "model"]);
    assert!(String::from_utf8_lossy(&export.stderr).contains(none_yet), "{export:?}");
    // Named or not, the coordinator is the identity's.
    let elsewhere = format!("https://127.0.0.1:{}", free_port());
    let line = ["federation", "stop", "1", "--identity", "me", "--coordinator", &elsewhere];
    refused(&people.home, &line, 4, "--coordinator");
}
