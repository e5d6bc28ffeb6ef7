//! Processes that do not trust each other's network: certificates for everybody, from an authority of the federation's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Seeds, breast_cancer_scenario};
use almoner_chain::SigningKey;
use almoner_proto::{endpoint, researchers_client, wire};
use almoner_tls::{Client, ClientFiles, Role};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use super::cli;
use super::floods::{Flood, open_files, peak_mib};
use super::outputs::{golden, transcript};
use super::processes::{Daemon, HOSPITALS, House, coordinator_settings, free_port, key, order};
use super::{almoner, refused};

/// A name of the coordinator that no resolver knows.
pub(super) const NAME: &str = "coordinator.test";
/// Of which 256 wait in the door, and the coordinator's own files.
const HANDSHAKES: usize = 512;
/// Connections that one holder of a certificate may have.
const OF_ONE: usize = 64;
const NOBODY: &str = "0x0000000000000000000000000000000000000007";

fn done(arguments: &[&str]) -> Value {
    let output = almoner(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An authority and the folders of those who have certificates of it.
pub(super) struct Authority {
    dir: PathBuf,
}

impl Authority {
    pub(super) fn new(dir: PathBuf) -> Self {
        done(&["coordinator", "authority", "--dir", dir.to_str().unwrap()]);
        Self { dir }
    }

    pub(super) fn issue(&self, out: &Path, to: &[&str]) -> Value {
        let [dir, out] = [&self.dir, out].map(|path| path.to_str().unwrap());
        done(&[&["coordinator", "issue", "--authority", dir, "--out", out], to].concat())
    }

    /// Somebody with an account, and a certificate for it.
    pub(super) fn holder(&self, out: &Path, role: &str) -> [String; 8] {
        let account = key(&out.join("account.key"));
        self.issue(out, &["--role", role, "--account", &account]);
        options(out)
    }

    fn revoke(&self, holder: &Path) -> Value {
        let [dir, file] =
            [self.dir.clone(), holder.join("certificate.pem")].map(|path| path.to_str().unwrap().to_owned());
        done(&["coordinator", "revoke", "--authority", &dir, "--certificate", &file])
    }
}

fn options(dir: &Path) -> [String; 8] {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    [
        ("--ca", "ca.pem"),
        ("--certificate", "certificate.pem"),
        ("--certificate-key", "certificate.key"),
        ("--account-key", "account.key"),
    ]
    .map(|(option, name)| [option.to_owned(), file(name)])
    .concat()
    .try_into()
    .unwrap()
}

/// As a role's file has them.
pub(super) const TLS: &str =
    "[tls]\nca = \"tls/ca.pem\"\ncertificate = \"tls/certificate.pem\"\nkey = \"tls/certificate.key\"\n";

/// The site whose certificate is of its hospital's own authority.
const LISTED: &str = "hospital-2";

/// A chain and a coordinator that asks for certificates.
pub(super) struct Running {
    pub(super) house: House,
    authority: Authority,
    /// A hospital's own.
    hospitals: Authority,
    pub(super) url: String,
    /// The chain and the coordinator.
    roles: [Daemon; 2],
}

impl Running {
    pub(super) fn start() -> Self {
        let house = House::new();
        let [authority, hospitals] =
            ["authority", "hospitals"].map(|name| Authority::new(house.home.path().join(name)));
        let rooms = ["chain", "coordinator"].map(|name| house.room(name));
        let account = key(&rooms[1].join("coordinator.key"));
        authority.issue(&rooms[1].join("tls"), &["--server", "127.0.0.1", "--server", "localhost", "--server", NAME]);
        let funded = format!("control = true\n[[funded]]\naccount = \"{account}\"\nether = 1000\n");
        let chain = format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}");
        let (chain, rpc) = house.daemon(&rooms[0], "devnet", &chain);
        let listed = key(&house.room(LISTED).join("site.key"));
        let more = format!(
            "time_travel = true\nenrolment = \"enrolment.key\"\nauthority = \"../authority\"\n\
             [tls]\ncertificate = \"tls/certificate.pem\"\nkey = \"tls/certificate.key\"\nclients_ca = \"tls/ca.pem\"\n\
             sites_ca = \"../hospitals/ca.pem\"\nrevoked = \"../authority/revoked.pem\"\n\
             [accounts]\nsites = [\"{listed}\"]\n"
        );
        let settings = coordinator_settings(free_port(), &rpc, &more);
        let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
        Self { house, authority, hospitals, url, roles: [chain, coordinator] }
    }

    fn room(&self, name: &str) -> PathBuf {
        self.house.room(name)
    }

    fn order(&self, who: &[String; 8], arguments: &[&str]) -> Value {
        let who: Vec<&str> = who.iter().map(String::as_str).collect();
        order(&self.url, &[arguments, &who].concat())
    }

    /// Puts another certificate in the place of the one that is there.
    fn reissue(&self, by: &Authority, tls: &Path, role: &str, account: &str) {
        let _ = fs::remove_dir_all(tls);
        by.issue(tls, &["--role", role, "--account", account]);
        fs::copy(self.authority.dir.join("ca.pem"), tls.join("ca.pem")).unwrap();
    }

    /// A role that ends by itself, by its operator's mistake, and says this of it.
    fn ends(&self, room: &Path, role: &[&str], says: &str) {
        let output = self.house.ended(room, role);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(says), "{said}");
    }

    /// A site's folder with its key and certificate.
    pub(super) fn site(&self, name: &str) -> PathBuf {
        let room = self.room(name);
        let account = key(&room.join("site.key"));
        self.authority.issue(&room.join("tls"), &["--role", "site", "--account", &account]);
        room
    }

    /// The folder of whoever has an invitation and no certificate yet, and not the folder for one either.
    pub(super) fn newcomer(&self) -> PathBuf {
        let room = self.room("newcomer");
        fs::copy(self.authority.dir.join("ca.pem"), room.join("ca.pem")).unwrap();
        fs::write(room.join("password"), "a password for the test").unwrap();
        fs::set_permissions(room.join("password"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let settings = format!(
            "coordinator = \"{}\"\nfederation = 1\nentity = \"newcomer\"\nkey = \"site.key\"\nunlock = \"password\"\n\
             state = \"site.db\"\n[tls]\nca = \"ca.pem\"\ncertificate = \"tls/certificate.pem\"\n\
             key = \"tls/certificate.key\"\n[participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n",
            self.url
        );
        fs::write(room.join("settings.toml"), settings).unwrap();
        room
    }

    pub(super) fn invitation(&self) -> String {
        let invite = ["coordinator", "invite", "--config", "settings.toml"];
        let invited = cli::said(&self.house.room("coordinator"), &invite);
        invited["invitation"].as_str().unwrap().to_owned()
    }

    /// A federation file, and the researcher who ordered it.
    pub(super) fn federation(&self) -> [String; 8] {
        let researcher = self.authority.holder(&self.room("researcher"), "researcher");
        let file = self.house.home.path().join("federation.toml");
        fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
        self.order(&researcher, &["create", file.to_str().unwrap()]);
        researcher
    }
}

#[test]
fn a_federation_with_certificates_settles() {
    let running = Running::start();
    assert!(running.url.starts_with("https://"), "{}", running.url);
    // Most of these never finish a handshake; those who have certificates are not in their way.
    let _flood = Flood::on(&running.url, 2000);
    let _greedy = Greedy::on(&running);
    let researcher = running.federation();
    running.order(&researcher, &["fund", "1", "1000000000000000000000"]);
    let room = running.room("aggregator");
    fs::create_dir(room.join("tls")).unwrap();
    running.authority.holder(&room.join("tls"), "operator");
    let settings = format!("coordinator = \"{}\"\nkey = \"tls/account.key\"\n{TLS}", running.url);
    let (_aggregator, _) = running.house.daemon(&room, "aggregator", &settings);

    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    let names = ["hospital-1", LISTED, "hospital-3"].iter().zip(scenario.hospitals.iter().take(HOSPITALS));
    let holders = names.map(|(name, holder)| (*name, "participant", holder));
    let holders = holders.chain([("validator", "validator", &scenario.validators[0])]);
    let mut sites: Vec<Daemon> = holders
        .map(|(name, section, holder)| {
            let room = running.room(name);
            let file = room.join("site.key");
            let account = if name == LISTED { NOBODY.to_owned() } else { key(&file) };
            match name {
                LISTED => {
                    // Of a hospital's own authority, whatever that writes into it; and the coordinator's is ours.
                    running.hospitals.issue(&room.join("tls"), &["--role", "operator", "--account", &account]);
                    fs::copy(running.authority.dir.join("ca.pem"), room.join("tls/ca.pem")).unwrap();
                }
                "validator" => late(&running.authority, &room.join("tls"), &account),
                _ => drop(running.authority.issue(&room.join("tls"), &["--role", "site", "--account", &account])),
            }
            running.house.site_with(name, section, &running.url, holder, TLS)
        })
        .collect();
    // Somebody is revoked while all the others are at work.
    running.authority.holder(&running.room("gone"), "researcher");
    assert_eq!(running.authority.revoke(&running.room("gone"))["listed"], 1);

    running.order(&researcher, &["launch", "1", "--rounds", "1"]);
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 1_000_000_000_000_000_000_000);
    let [_, Daemon { id, .. }] = running.roles;
    let (files, peak) = (open_files(id), peak_mib(id));
    println!("the coordinator has {files} files open and took {peak} MiB at most");
    assert!(files <= HANDSHAKES && peak <= 200, "{files} files, {peak} MiB");
    // Whoever looks on needs the authority's file and nothing else.
    let ca = ["--ca", &researcher[1]];
    let audit = done(&[&["audit", &running.url], &ca[..]].concat());
    assert_eq!(audit["audit"]["checks"], audit["audit"]["held"]);
    let status = order(&running.url, &[&["status", "1"], &ca[..]].concat());
    assert_eq!(status["claimed"], "1000000000000000000000", "{status}");
    renewed(&running.room("validator").join("tls"));
}

/// A site that opens lines without end. It has as many as anybody may, and keeps them.
struct Greedy {
    _lines: Vec<Channel>,
    _runtime: tokio::runtime::Runtime,
}

impl Greedy {
    fn on(running: &Running) -> Self {
        let room = running.site("greedy");
        let file = |name: &str| Some(room.join("tls").join(name));
        let files =
            ClientFiles { ca: file("ca.pem"), certificate: file("certificate.pem"), key: file("certificate.key") };
        let client = Client::new(files).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lines = runtime.block_on(async {
            let mut lines = Vec::new();
            for _ in 0..3 * OF_ONE {
                let endpoint = endpoint(Endpoint::from_shared(running.url.clone()).unwrap());
                let Ok(line) = client.connect(&endpoint).await else { continue };
                // Refused after the handshake: a line is one if it is answered, whatever the answer is.
                let mut asking = researchers_client(line.clone());
                let asked = asking.stop(wire::StopRequest { federation: 1 });
                // On a line that is closed just then the answer may never come.
                let Ok(asked) = tokio::time::timeout(Duration::from_secs(10), asked).await else { continue };
                if asked.unwrap_err().message().contains("needs the key of an account") {
                    lines.push(line);
                }
            }
            lines
        });
        assert_eq!(lines.len(), OF_ONE);
        Self { _lines: lines, _runtime: runtime }
    }
}

/// A site's certificate in the last hour of its life.
fn late(authority: &Authority, out: &Path, account: &str) {
    let authority = almoner_tls::Authority::open(&authority.dir).unwrap();
    let soon = SystemTime::now() + Duration::from_secs(3600);
    let issued = authority.issue_until(Role::Site, account.parse().unwrap(), soon).unwrap();
    authority.hand_out(out, &issued.certificate, Some(&issued.key)).unwrap();
}

/// By itself, as soon as it was up: its key and its certificate are others, and fit each other.
fn renewed(dir: &Path) {
    let file = |name: &str| Some(dir.join(name));
    let files = ClientFiles { ca: file("ca.pem"), certificate: file("certificate.pem"), key: file("certificate.key") };
    let client = Client::new(files).unwrap();
    while client.expires(SystemTime::now()).is_some() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), 3, "nothing is left over");
}

#[test]
fn whoever_may_not_ask_is_told_why() {
    let running = Running::start();
    let researcher = running.federation();
    let site = running.authority.holder(&running.room("site"), "site");
    let revoked = running.authority.holder(&running.room("revoked"), "researcher");
    running.authority.revoke(&running.room("revoked"));
    let stranger = Authority::new(running.house.home.path().join("another"));
    let foreign = stranger.holder(&running.room("foreign"), "researcher");
    let mut mixed = foreign.clone();
    mixed[1].clone_from(&researcher[1]);
    // A certificate that names a researcher, from an authority that may not say so.
    let mut hospital = running.hospitals.holder(&running.room("hospital"), "researcher");
    hospital[1].clone_from(&researcher[1]);
    let open = running.authority.holder(&running.room("open"), "researcher");
    // What a thief has who took the certificate and not the account's key, and uses another one.
    let mut stolen = researcher.clone();
    stolen[7].clone_from(&foreign[7]);
    fs::set_permissions(&open[5], std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();

    let home = running.house.home.path().to_str().unwrap();
    let address = running.url.strip_prefix("https://").unwrap();
    let [mine, its, theirs] = [&researcher[7], &foreign[7], &hospital[7]].map(|file| account_of(file));
    let replaced = [
        (home, "HOME"),
        (address, "ADDRESS"),
        (mine.as_str(), "RESEARCHER"),
        (its.as_str(), "THIEF"),
        (theirs.as_str(), "ANYBODY"),
    ];
    let asked = |url: &str, who: &[String]| {
        let who: Vec<&str> = who.iter().map(String::as_str).collect();
        let line = [&["federation", "launch", "1", "--coordinator", url], &who[..]].concat();
        let output = almoner(&[&line[..], &["--json"]].concat());
        let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
        assert!(output.stdout.is_empty() && error["error"]["kind"].is_string(), "{line:?}: {error}");
        transcript(&line, &replaced)
    };
    let thieves = [&researcher[..6], &stolen];
    let mut said: String =
        [&researcher[..2], thieves[0], thieves[1], &site, &hospital, &revoked, &foreign, &mixed, &open, &[]]
            .iter()
            .map(|who| asked(&running.url, who))
            .collect();
    said += &asked("http://10.0.0.1:8547", &[]);
    golden("certificates-refused.txt", &said);
    // What the transport says of it is not always the same.
    let clear = format!("http://{address}");
    refused(&["federation", "launch", "1", "--coordinator", &clear], 4, "where it has certificates, dial https://");
    // What is public is answered to all of them, and the researcher still may.
    order(&running.url, &["status", "1", "--ca", &researcher[1]]);
    running.order(&researcher, &["fund", "1", "1000000000000000000001"]);
}

/// Whoever has an invitation and no certificate yet.
/// Where nobody could show who it is, everybody would be the operator.
#[test]
fn a_coordinator_that_would_ask_nobody_for_a_certificate_does_not_start() {
    let house = House::new();
    let authority = Authority::new(house.home.path().join("authority"));
    let room = house.room("coordinator");
    key(&room.join("coordinator.key"));
    authority.issue(&room.join("tls"), &["--server", "127.0.0.1"]);
    let tls = "[tls]\ncertificate = \"tls/certificate.pem\"\nkey = \"tls/certificate.key\"\n";
    fs::write(room.join("settings.toml"), coordinator_settings(0, "http://127.0.0.1:1/rpc", tls)).unwrap();
    let ended = house.ended(&room, &["coordinator", "--config", "settings.toml"]);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("[tls] names neither clients_ca nor sites_ca"), "{said}");
}

#[test]
fn a_site_that_enrols_gets_its_certificate() {
    let running = Running::start();
    let room = running.newcomer();
    let invitation = running.invitation();
    let enrol = ["participant", "enrol", "--config", "settings.toml", "--invitation", &invitation];
    // What this machine refuses is told while the invitation is still good.
    fs::write(room.join("tls"), "no folder").unwrap();
    cli::refused(&room, &enrol, 3, "tls: File exists");
    fs::remove_file(room.join("tls")).unwrap();
    let enrolled = cli::said(&room, &enrol);
    let kept = fs::read_to_string(room.join("tls/certificate.pem")).unwrap();
    assert_eq!(enrolled["certificate_file"], "tls/certificate.pem");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(room.join("tls/certificate.key")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    cli::refused(&room, &enrol, 3, "is a vault: this site is enrolled");
    // Alone it opens nothing.
    fs::copy(room.join("ca.pem"), room.join("tls/ca.pem")).unwrap();
    let who = options(&room.join("tls"));
    let line = ["federation", "fund", "1", "1", "--coordinator", &running.url];
    let who: Vec<&str> = who[..6].iter().map(String::as_str).collect();
    refused(&[&line[..], &who].concat(), 3, "needs the key of an account");
    // Its operator has a copy, which says whose it is, and takes it back by that.
    let mut copies = fs::read_dir(running.authority.dir.join("issued")).unwrap();
    let copy = copies.next().unwrap().unwrap().path();
    assert!(copies.next().is_none() && fs::read_to_string(&copy).unwrap() == kept);
    let dir = running.authority.dir.to_str().unwrap();
    let revoke = ["coordinator", "revoke", "--authority", dir, "--certificate", copy.to_str().unwrap()];
    let revoked = done(&revoke);
    assert_eq!((&revoked["role"], &revoked["account"]), (&"site".into(), &enrolled["account"]));
    refused(&[&line[..], &who].concat(), 3, "it was revoked");
}

fn account_of(key: &str) -> String {
    SigningKey::load(Path::new(key)).unwrap().address().to_string()
}

/// A site that holds the key of one account and the certificate of another.
#[test]
fn a_site_speaks_for_its_own_account() {
    let running = Running::start();
    running.federation();
    let room = running.room("hospital");
    key(&room.join("site.key"));
    running.authority.issue(&room.join("tls"), &["--role", "site", "--account", NOBODY]);
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    fs::write(room.join("rows.csv"), super::processes::csv(&scenario.hospitals[0])).unwrap();
    let settings = format!(
        "coordinator = \"{}\"\nfederation = 1\nentity = \"A\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         [participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n{TLS}",
        running.url
    );
    fs::write(room.join("settings.toml"), settings).unwrap();
    let output = running.house.ended(&room, &["participant", "--config", "settings.toml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("name the key of the certificate's account"), "{said}");
}

/// At its start a site whose certificate is refused ends; later it says so, is not ready, and goes on with another.
#[test]
fn a_site_whose_certificate_is_refused_says_so() {
    let running = Running::start();
    running.federation();
    let room = running.room("hospital");
    let account = key(&room.join("site.key"));
    let tls = room.join("tls");
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    fs::write(room.join("rows.csv"), super::processes::csv(&scenario.hospitals[0])).unwrap();
    let settings = format!(
        "coordinator = \"{}\"\nfederation = 1\nentity = \"A\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
         metrics = \"127.0.0.1:0\"\n[participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n{TLS}",
        running.url
    );
    fs::write(room.join("settings.toml"), settings).unwrap();
    let agent = ["participant", "--config", "settings.toml"];
    let issue = |authority: &Authority| running.reissue(authority, &tls, "site", &account);
    let refused = |why: &str| {
        running.ends(&room, &agent, &format!("tls/certificate.pem: {} refuses our certificate: {why}", running.url));
    };

    issue(&Authority::new(running.house.home.path().join("another")));
    refused("it is not from an authority of this federation; ask its operator for one");

    issue(&running.authority);
    let mut site = running.house.start(&room, &agent);
    let up = site.next();
    site.until("joined");
    let at = watched_at(&up);
    assert_eq!(readiness(at), 200);
    running.authority.revoke(&tls);
    let error = site.until("shut_out")["error"].clone();
    assert!(error.as_str().unwrap().contains("tls/certificate.pem: "), "{error}");
    assert!(error.as_str().unwrap().contains("it was revoked; ask the operator why"), "{error}");
    soon(at, 503);
    // A second one would not even start.
    let copy = room.join("settings.toml");
    let text = fs::read_to_string(&copy).unwrap().replace("site.db", "other.db");
    let first = fs::read_to_string(&copy).unwrap();
    fs::write(&copy, text).unwrap();
    refused("it was revoked; ask the operator why, and for a new one");
    fs::write(&copy, first).unwrap();

    issue(&running.authority);
    site.until("let_in");
    soon(at, 200);
}

/// An aggregator does as a site does, also where its certificate is good and is another role's.
#[test]
fn an_aggregator_that_is_refused_says_so() {
    let running = Running::start();
    let room = running.room("aggregator");
    let account = key(&room.join("worker.key"));
    let tls = room.join("tls");
    let settings = format!("coordinator = \"{}\"\nkey = \"worker.key\"\nmetrics = \"127.0.0.1:0\"\n{TLS}", running.url);
    fs::write(room.join("settings.toml"), settings).unwrap();
    let worker = ["aggregator", "--config", "settings.toml"];
    let issue = |authority: &Authority, role: &str| running.reissue(authority, &tls, role, &account);
    let refused = |why: &str| {
        running.ends(&room, &worker, &format!("tls/certificate.pem: {} refuses our certificate: {why}", running.url));
    };

    issue(&Authority::new(running.house.home.path().join("another")), "operator");
    refused("it is not from an authority of this federation; ask its operator for one");
    issue(&running.authority, "site");
    running.ends(&room, &worker, "tls/certificate.pem: /almoner.v0.Aggregators/Lease is not for a site");

    issue(&running.authority, "operator");
    let mut aggregator = running.house.start(&room, &worker);
    let up = aggregator.next();
    let at = watched_at(&up);
    assert_eq!(readiness(at), 200);
    // Without work that is when its first request for some has waited long enough.
    aggregator.until("let_in");
    running.authority.revoke(&tls);
    let error = aggregator.until("shut_out")["error"].clone();
    assert!(error.as_str().unwrap().contains("tls/certificate.pem: "), "{error}");
    assert!(error.as_str().unwrap().contains("it was revoked; ask the operator why"), "{error}");
    soon(at, 503);
    refused("it was revoked; ask the operator why, and for a new one");
    issue(&running.authority, "operator");
    aggregator.until("let_in");
    soon(at, 200);
}

/// Where a role that is up is watched.
fn watched_at(up: &Value) -> &str {
    up["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap()
}

/// What `/readyz` answers.
fn readiness(at: &str) -> u16 {
    let mut line = TcpStream::connect(at).unwrap();
    write!(line, "GET /readyz HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Who follows what a site does hears of it a moment later than who reads its output.
fn soon(at: &str, status: u16) {
    while readiness(at) != status {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_authority_is_made_issues_and_revokes() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().to_str().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let [dir, server, site, requested, request, certificate] =
        ["authority", "server", "site", "requested", "request.csr", "site/certificate.pem"].map(path);
    fs::write(&request, include_str!("request.csr")).unwrap();
    let issue = ["coordinator", "issue", "--authority", &dir, "--out"];
    let lines: [Vec<&str>; 10] = [
        vec!["coordinator", "authority", "--dir", &dir],
        vec!["coordinator", "authority", "--dir", &dir],
        [&issue[..], &[&server, "--server", "almoner.example", "--server", "192.0.2.7", "--json"]].concat(),
        [&issue[..], &[&site, "--role", "site", "--account", NOBODY, "--days", "30"]].concat(),
        [&issue[..], &[&site, "--role", "site", "--account", NOBODY]].concat(),
        [&issue[..], &[&requested, "--role", "auditor", "--account", NOBODY, "--csr", &request, "--json"]].concat(),
        [&issue[..], &[&requested, "--role", "owner", "--account", NOBODY]].concat(),
        [&issue[..], &[&requested, "--role", "site"]].concat(),
        vec!["coordinator", "revoke", "--authority", &dir, "--certificate", &certificate],
        vec!["coordinator", "revoke", "--authority", &dir, "--certificate", &request],
    ];
    golden("authority.txt", &lines.iter().map(|line| transcript(line, &[(root, "HOME")])).collect::<String>());
    assert!(!home.path().join("requested/certificate.key").exists(), "the key stays where the request was made");
    let said = done(&["coordinator", "revoke", "--authority", &dir, "--certificate", &certificate]);
    assert_eq!((said["role"].as_str(), said["listed"].as_u64()), (Some("site"), Some(1)));
    assert!(said["fingerprint"].as_str().is_some_and(|print| print.len() == 66), "{said}");
}
