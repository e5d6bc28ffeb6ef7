//! Files that are missing, wrong, or open to others.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rcgen::{Issuer, KeyPair};

use super::scene::{ACCOUNT, DAYS, Scene};
use crate::caller::Facts;
use crate::files::certificates;
use crate::{Authority, Client, ClientFiles, Door, Role, ServerFiles, TlsError, revoked};

#[cfg(unix)]
fn chmod(file: &Path, mode: u32) {
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[track_caller]
fn check_client(files: ClientFiles, said: &[&str]) -> TlsError {
    let error = Client::new(files).unwrap_err();
    let text = error.to_string();
    assert!(said.iter().all(|part| text.contains(part)), "{text}");
    error
}

#[track_caller]
fn check_server(files: ServerFiles, said: &[&str]) {
    let text = Door::open(files).unwrap_err().to_string();
    assert!(said.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_callers_files_are_named_with_what_to_do() {
    let scene = Scene::new();
    let (good, other) = (scene.site("site"), scene.site("other"));
    Client::new(good.clone()).unwrap();
    check_client(ClientFiles { key: None, ..good.clone() }, &["certificate.pem", "come together"]);
    check_client(
        ClientFiles { key: other.key.clone(), ..good.clone() },
        &["site/certificate.pem", "other/certificate.key"],
    );
    check_client(ClientFiles { ca: Some(scene.path("no.pem")), ..good.clone() }, &["no.pem"]);
    check_client(
        ClientFiles { ca: good.key.clone(), ..good.clone() },
        &["certificate.key", "a certificate is expected"],
    );
    check_client(ClientFiles { key: good.ca.clone(), ..good.clone() }, &["ca.pem"]);
    #[cfg(unix)]
    {
        chmod(good.key.as_ref().unwrap(), 0o640);
        let error = check_client(good, &["certificate.key", "chmod 600"]);
        assert!(matches!(error, TlsError::OpenKey { .. }));
    }
}

#[test]
fn a_coordinators_files_are_named_with_what_to_do() {
    let (scene, other) = (Scene::new(), Scene::new());
    let good = scene.server();
    Door::open(good.clone()).unwrap();
    let foreign = Some(other.authority.revoked_file());
    check_server(ServerFiles { revoked: foreign, ..good.clone() }, &["revoked.pem", "not signed by an authority"]);
    check_server(ServerFiles { clients_ca: None, ..good.clone() }, &["revoked.pem", "clients_ca"]);
    check_server(ServerFiles { revoked: good.clients_ca.clone(), ..good.clone() }, &["ca.pem", "list of revocations"]);
    check_server(ServerFiles { key: other.server().key, ..good.clone() }, &["does not belong to the key"]);
    #[cfg(unix)]
    {
        chmod(&good.key, 0o604);
        check_server(good, &["certificate.key", "chmod 600"]);
    }
}

/// Two hospitals' authorities are trusted: neither takes back what is the other's.
#[test]
fn a_list_that_carries_another_authoritys_name_is_refused() {
    let (scene, other) = (Scene::new(), Scene::new());
    let both = scene.authority.certificate().to_owned() + other.authority.certificate();
    let [clients_ca, list] = ["both.pem", "list.pem"].map(|name| scene.path(name));
    fs::write(&clients_ca, both).unwrap();
    let open = |signed_by: &Authority, named: &Authority| {
        let key = KeyPair::from_pem(&fs::read_to_string(signed_by.key_file()).unwrap()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(named.certificate(), key).unwrap();
        fs::write(&list, revoked::first(&issuer).unwrap()).unwrap();
        Door::open(ServerFiles { clients_ca: Some(clients_ca.clone()), revoked: Some(list.clone()), ..scene.server() })
    };
    for authority in [&scene.authority, &other.authority] {
        open(authority, authority).unwrap();
    }
    let error = open(&other.authority, &scene.authority).unwrap_err();
    assert!(matches!(&error, TlsError::OtherRevocations { file } if *file == list), "{error}");
}

#[test]
fn an_authority_is_never_overwritten_and_its_key_is_its_owners() {
    let scene = Scene::new();
    let dir = scene.path("authority");
    assert!(matches!(Authority::create(&dir), Err(TlsError::Taken { .. })));
    let key = scene.authority.key_file();
    #[cfg(unix)]
    {
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap()) & 0o077, 0);
        chmod(&key, 0o644);
        assert!(matches!(Authority::open(&dir), Err(TlsError::OpenKey { .. })));
        chmod(&key, 0o600);
    }
    // Opened again it is the same one.
    let again = Authority::open(&dir).unwrap();
    assert_eq!(again.certificate(), scene.authority.certificate());
    let issued = again.issue(Role::Site, ACCOUNT, DAYS).unwrap();
    Client::new(scene.files("site", &issued.certificate, &issued.key)).unwrap();
    // Nor are the files of whoever was given a certificate.
    let taken = again.hand_out(&scene.path("site"), &issued.certificate, None).unwrap_err();
    assert!(matches!(taken, TlsError::Taken { .. }), "{taken}");
}

#[test]
fn the_last_third_of_its_life_is_late() {
    let scene = Scene::new();
    let file = scene.site("site").certificate.unwrap();
    let facts = Facts::read(&certificates(&file).unwrap()[0]).unwrap();
    let in_days = |days: u64| facts.not_after - Duration::from_secs(24 * 3600 * (u64::from(DAYS) - days));
    assert!(!facts.is_late(in_days(0)) && !facts.is_late(in_days(19)));
    assert!(facts.is_late(in_days(21)) && facts.is_late(in_days(30)));
}

#[test]
fn only_its_own_certificates_are_revoked_and_days_are_bounded() {
    let (scene, other) = (Scene::new(), Scene::new());
    let foreign = other.site("site").certificate.unwrap();
    let error = scene.authority.revoke(&foreign).unwrap_err();
    assert!(error.to_string().contains("did not issue it"), "{error}");
    for days in [0, 4000] {
        assert!(scene.authority.issue(Role::Site, ACCOUNT, days).is_err());
    }
    assert!(scene.authority.issue_server(&[], DAYS).is_err());
}

#[test]
fn a_certificate_is_asked_for_with_its_key_on_the_disk_and_again_until_it_is_there() {
    let scene = Scene::new();
    let [certificate, key] = ["new/tls/certificate.pem", "new/keys/certificate.key"].map(|name| scene.path(name));
    let files = ClientFiles {
        ca: Some(scene.authority.certificate_file()),
        certificate: Some(certificate.clone()),
        key: Some(key.clone()),
    };
    assert!(files.wants_certificate());
    let first = files.request().unwrap().unwrap();
    let written = fs::read_to_string(&key).unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap()) & 0o777, 0o600);
    // Stopped here there is a key alone, and the next request is by it: what the first one brings fits, too.
    assert!(files.wants_certificate());
    files.request().unwrap().unwrap();
    assert_eq!(fs::read_to_string(&key).unwrap(), written);
    let issued = scene.authority.issue_from_csr(&first, Role::Site, ACCOUNT, DAYS).unwrap();
    files.keep(&issued).unwrap();
    assert_eq!((fs::read_to_string(&certificate).unwrap(), fs::read_to_string(&key).unwrap()), (issued, written));
    assert!(!files.wants_certificate() && files.request().unwrap().is_none());
    Client::new(files).unwrap();
    for file in [certificate, key] {
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left over");
    }
}

#[test]
fn what_keeps_a_certificate_from_being_kept_is_told_before_it_is_asked_for() {
    let scene = Scene::new();
    fs::write(scene.path("taken"), "a file where a folder should be").unwrap();
    let named = |certificate: &str, key: &str| ClientFiles {
        ca: None,
        certificate: Some(scene.path(certificate)),
        key: Some(scene.path(key)),
    };
    for files in [named("taken/certificate.pem", "tls/certificate.key"), named("certificate.pem", "taken/key")] {
        let error = files.request().unwrap_err().to_string();
        assert!(error.contains("taken: "), "{error}");
    }
    fs::create_dir_all(scene.path("dir/certificate.tmp")).unwrap();
    let error = named("dir/certificate.pem", "dir/certificate.key").request().unwrap_err().to_string();
    assert!(error.contains("dir/certificate.pem: "), "{error}");
    let mine = named("mine/certificate.pem", "mine/certificate.key");
    fs::create_dir(scene.path("mine")).unwrap();
    fs::write(mine.key.as_ref().unwrap(), "no key").unwrap();
    #[cfg(unix)]
    chmod(mine.key.as_ref().unwrap(), 0o600);
    let error = mine.request().unwrap_err().to_string();
    assert!(error.contains("mine/certificate.key"), "{error}");
}
