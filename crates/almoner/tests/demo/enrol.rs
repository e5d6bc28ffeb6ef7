//! Enrolment as its people do it: an operator invites, a site puts its key under a password, runs with nobody there, and
//! is paid; the password is changed, and lost, and found again by the recovery code.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Seeds, breast_cancer_scenario};
use serde_json::Value;

use super::cli::{refused, said};
use super::mtls::Running;
use super::processes::{Daemon, HOSPITALS, House, coordinator_settings, csv, free_port, key, order};

const PASSWORD: &str = "a password for the test";

/// A secret in a file, as its owner would keep it.
fn secret(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A chain, a coordinator that enrols, and an aggregator.
struct Place {
    house: House,
    coordinator: PathBuf,
    url: String,
    daemons: Vec<Daemon>,
}

fn place() -> Place {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let account = key(&rooms[1].join("coordinator.key"));
    let chain = format!(
        "listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\ncontrol = true\n[[funded]]\naccount = \"{account}\"\nether = 1000\n"
    );
    let (chain, rpc) = house.daemon(&rooms[0], "devnet", &chain);
    let settings = coordinator_settings(free_port(), &rpc, "time_travel = true\nenrolment = \"enrolment.key\"\n");
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let [_, coordinator_room, _] = rooms;
    Place { house, coordinator: coordinator_room, url, daemons: vec![coordinator, chain, aggregator] }
}

impl Place {
    fn invitation(&self, more: &[&str]) -> String {
        let said = said(&self.coordinator, &[&["coordinator", "invite", "--config", "settings.toml"], more].concat());
        said["invitation"].as_str().unwrap().to_owned()
    }

    /// Settings whose vault is opened by the file `unlock`.
    fn settle(&self, room: &Path, unlock: &str) {
        let name = room.file_name().unwrap().to_str().unwrap();
        let settings = format!(
            "coordinator = \"{}\"\nfederation = 1\nentity = \"{name}\"\nkey = \"site.key\"\nunlock = \"{unlock}\"\n\
             state = \"site.db\"\n[participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n",
            self.url
        );
        fs::write(room.join("settings.toml"), settings).unwrap();
    }
}

/// None of these texts is in any file of a folder, as it is or as the bytes that it says.
fn shows_nothing(room: &Path, secrets: &[&str]) {
    let mut open = vec![room.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for secret in secrets {
            let raw: Option<Vec<u8>> =
                (0..secret.len() / 2).map(|at| u8::from_str_radix(secret.get(at * 2..at * 2 + 2)?, 16).ok()).collect();
            for shape in [Some(secret.as_bytes().to_vec()), raw].into_iter().flatten() {
                assert!(!bytes.windows(shape.len()).any(|window| window == shape), "{} shows it", path.display());
            }
        }
    }
}

#[test]
fn an_enrolled_site_runs_with_nobody_there_and_is_paid() {
    let mut place = place();
    let room = place.house.room("hospital-1");
    let account = key(&room.join("site.key"));
    let plain = fs::read_to_string(room.join("site.key")).unwrap().trim().to_owned();
    secret(&room.join("password"), PASSWORD);
    place.settle(&room, "password");

    let invitation = place.invitation(&["--account", &account]);
    let enrol = ["participant", "enrol", "--config", "settings.toml", "--invitation"];
    let other = place.house.room("other");
    secret(&other.join("password"), PASSWORD);
    place.settle(&other, "password");
    refused(&other, &[&enrol[..], &[&invitation]].concat(), 3, "coordinator: this invitation is for account 0x");
    refused(&room, &[&enrol[..], &["invite-0"]].concat(), 3, "this is not an invitation, or a letter of it is wrong");
    let enrolled = said(&room, &[&enrol[..], &[&invitation]].concat());
    assert_eq!(
        (&enrolled["account"], &enrolled["vault_file"]),
        (&Value::from(account.as_str()), &Value::from("site.key"))
    );
    assert_eq!(fs::metadata(room.join("site.key")).unwrap().permissions().mode() & 0o777, 0o600);
    refused(&other, &[&enrol[..], &[&invitation]].concat(), 3, "this invitation was used: ask the operator");
    refused(&room, &[&enrol[..], &[&invitation]].concat(), 3, "is a vault: this site is enrolled");

    // Nobody is there, and the coordinator need not be.
    let unlock = ["participant", "unlock-file", "--config", "settings.toml", "--out"];
    said(&room, &[&unlock[..], &["site.unlock"]].concat());
    fs::remove_file(room.join("password")).unwrap();
    place.settle(&room, "site.unlock");
    let check = said_whatever_of(&room, &["participant", "check", "--config", "settings.toml"]);
    assert!(check.contains("in the vault site.key; it opens by itself"), "{check}");
    assert!(check.contains("the vault site.key and what opens it, site.unlock, lie on one disk"), "{check}");

    let file = place.house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    order(&place.url, &["create", file.to_str().unwrap()]);
    order(&place.url, &["fund", "1", "1000000000000000000000"]);
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    fs::write(room.join("rows.csv"), csv(&scenario.hospitals[0])).unwrap();
    let mut sites = vec![place.house.start(&room, &["participant", "--config", "settings.toml"])];
    assert_eq!(sites[0].next()["role"], "participant");
    sites[0].until("joined");
    for (index, holder) in scenario.hospitals.iter().enumerate().take(HOSPITALS).skip(1) {
        sites.push(place.house.site(&format!("hospital-{}", index + 1), "participant", &place.url, holder));
    }
    sites.push(place.house.site("validator", "validator", &place.url, &scenario.validators[0]));
    order(&place.url, &["launch", "1", "--rounds", "1"]);
    for site in &mut sites {
        site.until("paid");
    }
    let status = said(&room, &["participant", "status", "--config", "settings.toml"]);
    assert_eq!((&status["account"], &status["took_part"]), (&Value::from(account), &Value::from(1)));

    let keys = fs::read_to_string(place.coordinator.join("enrolment.key")).unwrap();
    shows_nothing(&room, &[&plain, PASSWORD, enrolled["recovery_code"].as_str().unwrap(), keys.trim()]);
    fs::remove_file(place.coordinator.join("enrolment.key")).unwrap();
    shows_nothing(&place.coordinator, &[&plain, PASSWORD, &invitation, keys.trim()]);

    // With the password instead, a site waits for a coordinator that is away.
    let [coordinator, first] = [&place.daemons[0], &sites[0]].map(|daemon| daemon.id);
    place.house.children.kill(coordinator);
    place.house.children.kill(first);
    secret(&room.join("password"), PASSWORD);
    place.settle(&room, "password");
    let mut waiting = place.house.start(&room, &["participant", "--config", "settings.toml"]);
    let settings = fs::read_to_string(place.coordinator.join("settings.toml")).unwrap();
    secret(&place.coordinator.join("enrolment.key"), &keys);
    place.daemons[0] = place.house.daemon(&place.coordinator, "coordinator", &settings).0;
    assert_eq!(waiting.next()["role"], "participant");
    fs::remove_file(place.coordinator.join("enrolment.key")).unwrap();

    // The coordinator is gone; without its secrets it does not start over as if nobody had enrolled.
    let coordinator = place.daemons.remove(0);
    place.house.children.kill(coordinator.id);
    place.settle(&room, "site.unlock");
    said(&room, &[&unlock[..], &["another.unlock"]].concat());
    // What the journal has is shown all the same.
    let output = super::cli::at(&room, &["participant", "status", "--config", "settings.toml", "--json"]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let local: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&local["account"], &local["earned"]), (&status["account"], &Value::Null));
    assert_eq!(
        (&local["journal"][0]["took_part"], &local["journal"][0]["rounds"][0]["uploaded"]),
        (&1.into(), &true.into())
    );
    assert_eq!(local["journal"][0]["scalars"]["opened"], status["scalars"]["opened"]);
    let start = ["coordinator", "--config", "settings.toml"];
    refused(
        &place.coordinator,
        &start,
        3,
        "enrolment = \"enrolment.key\": there is no such file, but sites have enrolled",
    );
}

/// A check that fails for want of a federation still says what it found.
fn said_whatever_of(room: &Path, arguments: &[&str]) -> String {
    String::from_utf8(super::cli::at(room, arguments).stdout).unwrap()
}

#[test]
fn a_password_is_changed_and_a_lost_one_replaced() {
    let place = place();
    let room = place.house.room("site");
    let [old, new, newer, code] = ["old", "new", "newer", "code"].map(|name| room.join(name));
    secret(&old, PASSWORD);
    secret(&new, "another one for the test\n");
    secret(&newer, "and one that is remembered");
    place.settle(&room, "old");
    let login = ["participant", "login", "--config", "settings.toml"];
    refused(&room, &login, 3, "site.key: No such file");

    // Without a key file one is made, and is never on the disk in the open.
    secret(&old, "short");
    let enrol = ["participant", "enrol", "--config", "settings.toml", "--invitation", &place.invitation(&[])];
    refused(&room, &enrol, 3, "a password of 5 characters: choose one of 12 or more");
    secret(&old, PASSWORD);
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    refused(&room, &enrol, 3, "old may be read by others: chmod 600 it");
    secret(&old, PASSWORD);
    let first = said(&room, &enrol);
    assert_eq!(said(&room, &login)["account"], first["account"]);

    let change = ["participant", "password", "--config", "settings.toml", "--new", "new"];
    let changed = said(&room, &change);
    assert_ne!(changed["recovery_code"], first["recovery_code"]);
    let wrong = |file: &str| {
        format!("(key = \"site.key\"), from unlock = {file:?}: try again; if it is lost, `almoner participant recover`")
    };
    refused(&room, &login, 3, "wrong password for 0x");
    refused(&room, &login, 3, &wrong("old"));
    place.settle(&room, "new");
    said(&room, &login);

    // The code of before the change is no code any more.
    let recover = ["participant", "recover", "--config", "settings.toml", "--code", "code", "--new", "newer"];
    secret(&code, first["recovery_code"].as_str().unwrap());
    refused(&room, &recover, 3, "the vault does not open with this recovery code");
    secret(&code, changed["recovery_code"].as_str().unwrap());
    said(&room, &recover);
    refused(&room, &login, 3, &wrong("new"));
    place.settle(&room, "newer");
    said(&room, &login);
    // An agent that is given the wrong one says so and ends, instead of trying it over and over.
    place.settle(&room, "new");
    refused(&room, &["participant", "--config", "settings.toml"], 3, &wrong("new"));
}

/// Neither end's death between two writes leaves a site with a password that opens nothing.
#[test]
fn a_change_of_password_can_be_killed_on_either_side() {
    let mut place = place();
    let room = place.house.room("site");
    let [old, new, code] = ["old", "new", "code"].map(|name| room.join(name));
    secret(&old, PASSWORD);
    secret(&new, "another one for the test");
    place.settle(&room, "old");
    let enrol = ["participant", "enrol", "--config", "settings.toml", "--invitation", &place.invitation(&[])];
    let enrolled = said(&room, &enrol);
    let login = ["participant", "login", "--config", "settings.toml"];
    let change = ["participant", "password", "--config", "settings.toml", "--new", "new"];

    // The site, when its vault is ready and the coordinator knows of nothing.
    let (doomed, mut logged) = place.house.overheard(&room, &change, Some("vault:both"));
    logged.stopped("vault:both");
    place.house.children.kill(doomed.id);
    assert_eq!(said(&room, &login)["account"], enrolled["account"]);
    place.settle(&room, "new");
    refused(&room, &login, 3, "wrong password");
    place.settle(&room, "old");

    // The coordinator, when it has the new password and has not said so.
    place.house.children.kill(place.daemons[0].id);
    let line = ["coordinator", "--config", "settings.toml"];
    let (mut doomed, mut logged) = place.house.overheard(&place.coordinator, &line, Some("enrolled"));
    assert_eq!(doomed.next()["role"], "coordinator");
    let site = std::thread::spawn({
        let room = room.clone();
        move || super::cli::at(&room, &change)
    });
    logged.stopped("enrolled");
    place.house.children.kill(doomed.id);
    let output = site.join().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let settings = fs::read_to_string(place.coordinator.join("settings.toml")).unwrap();
    place.daemons[0] = place.house.daemon(&place.coordinator, "coordinator", &settings).0;
    refused(&room, &login, 3, "wrong password");
    place.settle(&room, "new");
    assert_eq!(said(&room, &login)["account"], enrolled["account"]);
    // The code that was printed is still the one.
    secret(&code, enrolled["recovery_code"].as_str().unwrap());
    said(&room, &["participant", "recover", "--config", "settings.toml", "--code", "code", "--new", "old"]);
}

/// Wherever a site is killed while it enrols, it goes on by enrolling again, with another invitation; once the certificate
/// is there, by logging in.
#[test]
fn an_enrolment_can_be_killed_after_each_step() {
    let running = Running::start();
    let room = running.newcomer();
    let login = ["participant", "login", "--config", "settings.toml"];
    let doomed = |point: &str| {
        let enrol = ["participant", "enrol", "--config", "settings.toml", "--invitation", &running.invitation()];
        let (doomed, mut logged) = running.house.overheard(&room, &enrol, Some(point));
        logged.stopped(point);
        running.house.children.kill(doomed.id);
    };
    let [key, certificate] = ["tls/certificate.key", "tls/certificate.pem"].map(|file| room.join(file));

    // The coordinator has the password; the vault is not in its place.
    doomed("enrol:registered");
    assert!(key.exists() && !certificate.exists() && !room.join("site.key").exists());
    let written = fs::read_to_string(&key).unwrap();

    // Nobody was told the recovery code, and the certificate is lost.
    doomed("enrol:vault");
    let account = said(&room, &login)["account"].clone();
    assert!(!certificate.exists());
    doomed("enrol:vault");
    assert_eq!(said(&room, &login)["account"], account);

    let enrol = ["participant", "enrol", "--config", "settings.toml", "--invitation", &running.invitation()];
    let enrolled = said(&room, &enrol);
    assert_eq!(enrolled["account"], account);
    assert!(room.join(enrolled["certificate_file"].as_str().unwrap()) == certificate && certificate.exists());
    assert_eq!(fs::read_to_string(&key).unwrap(), written);
    let code = room.join("code");
    secret(&code, enrolled["recovery_code"].as_str().unwrap());
    said(&room, &["participant", "recover", "--config", "settings.toml", "--code", "code", "--new", "password"]);
    refused(&room, &enrol, 3, "is a vault: this site is enrolled");

    // From here on nothing is lacking but what a login does.
    for point in ["enrol:certificate", "enrol:sealed"] {
        fs::remove_file(&certificate).unwrap();
        doomed(point);
        assert!(certificate.exists(), "{point}");
        assert_eq!(said(&room, &login)["account"], account, "{point}");
    }
}
