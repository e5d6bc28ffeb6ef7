//! Lines between callers and a coordinator.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use alloy_primitives::Address;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::scene::{ACCOUNT, DAYS, Scene, ask, endpoint, replace, serve, who};
use crate::crowd::MOST;
use crate::error::rustls_error;
use crate::line::TRIES;
use crate::{Client, ClientFiles, ConnectError, Door, Refusal, Role, ServerFiles, TlsError, files};

fn refusal(error: &TlsError) -> Refusal {
    let TlsError::Refused { why, .. } = error else { panic!("{error}") };
    *why
}

#[tokio::test]
async fn a_caller_is_known_by_role_account_and_fingerprint() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let said = ask(scene.site("site"), address).await.unwrap();
    assert!(said.starts_with(&format!("site {ACCOUNT:#x} 0x")), "{said}");
    let operator = scene.authority.issue(Role::Operator, ACCOUNT, DAYS).unwrap();
    let said = ask(scene.files("operator", &operator.certificate, &operator.key), address).await.unwrap();
    assert!(said.starts_with("operator "), "{said}");
    // Whoever shows nothing is let in as nobody: there are things that anybody may ask.
    let nobody = ClientFiles { ca: Some(scene.authority.certificate_file()), ..ClientFiles::default() };
    assert_eq!(ask(nobody, address).await.unwrap(), "nobody");
}

#[tokio::test]
async fn a_request_is_signed_for_what_the_operator_says_and_nothing_that_it_asks_for() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wish = rcgen::CertificateParams::new(["elsewhere".to_owned()]).unwrap();
    wish.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let csr = wish.serialize_request(&key).unwrap().pem().unwrap();
    let certificate = scene.authority.issue_from_csr(&csr, Role::Auditor, ACCOUNT, DAYS).unwrap();
    let said = ask(scene.files("auditor", &certificate, &key.serialize_pem()), address).await.unwrap();
    assert!(said.starts_with("auditor "), "{said}");
    let der = files::certificates(&scene.path("auditor").join("certificate.pem")).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der[0]).unwrap();
    assert!(!parsed.is_ca());
    assert_eq!(parsed.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
    // One that its key has not signed is nobody's.
    let (csr, _) = crate::request().unwrap();
    let middle = csr.len() / 2;
    let changed = if csr.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let forged = format!("{}{changed}{}", &csr[..middle], &csr[middle + 1..]);
    assert!(scene.authority.issue_from_csr(&forged, Role::Site, ACCOUNT, DAYS).is_err());
}

#[tokio::test]
async fn authorities_do_not_know_each_others_certificates() {
    let (ours, theirs) = (Scene::new(), Scene::new());
    let address = ours.serve().await;
    // Their certificate, and their file of authorities: the coordinator is a stranger.
    let error = ask(theirs.site("site"), address).await.unwrap_err();
    assert!(matches!(&*error, TlsError::UnknownAuthority { .. }), "{error}");
    assert!(error.to_string().contains("ca.pem"), "{error}");
    // Their certificate, our file of authorities: we are a stranger to the coordinator.
    let mixed = ClientFiles { ca: Some(ours.authority.certificate_file()), ..theirs.site("other") };
    assert_eq!(refusal(&ask(mixed, address).await.unwrap_err()), Refusal::UnknownAuthority);
    // A coordinator's certificate is not a caller's.
    let server = ours.server();
    let posing = ClientFiles {
        ca: Some(ours.authority.certificate_file()),
        certificate: Some(server.certificate),
        key: Some(server.key),
    };
    let error = ask(posing, address).await.unwrap_err();
    assert!(matches!(&*error, TlsError::Refused { .. } | TlsError::Handshake { .. }), "{error}");
}

#[tokio::test]
async fn a_revoked_certificate_is_cut_off_and_stays_out() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let (bad, good) = (scene.site("bad"), scene.site("good"));
    let client = Client::new(bad.clone()).unwrap();
    let mut channel = client.connect(&endpoint(address)).await.unwrap();
    who(&mut channel).await.unwrap();
    let revoked = scene.authority.revoke(bad.certificate.as_ref().unwrap()).unwrap();
    assert_eq!((revoked.listed, revoked.peer.named), (1, Some((Role::Site, ACCOUNT))));
    // The list is looked at whenever somebody calls: whoever is called next gets in, the other does not any more.
    ask(good.clone(), address).await.unwrap();
    assert_eq!(refusal(&ask(bad.clone(), address).await.unwrap_err()), Refusal::Revoked);
    // The connection from before is gone with it.
    who(&mut channel).await.unwrap_err();
    // Twice is once, and the list grows.
    assert_eq!(scene.authority.revoke(bad.certificate.as_ref().unwrap()).unwrap().listed, 1);
    assert_eq!(scene.authority.revoke(good.certificate.as_ref().unwrap()).unwrap().listed, 2);
    assert_eq!(refusal(&ask(good, address).await.unwrap_err()), Refusal::Revoked);
}

/// Somebody who opens lines without end, whatever certificates of one account it shows.
#[tokio::test]
async fn one_holder_has_so_many_lines_and_is_in_nobodys_way() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let (first, second) = (Client::new(scene.site("first")).unwrap(), Client::new(scene.site("second")).unwrap());
    let mut lines = Vec::new();
    for number in 0..MOST {
        let client = if number % 2 == 0 { &first } else { &second };
        let mut line = client.connect(&endpoint(address)).await.unwrap();
        who(&mut line).await.unwrap();
        lines.push(line);
    }
    for client in [&first, &second] {
        // Refused after the handshake, so that the line may seem to be there until it is used.
        if let Ok(mut line) = client.connect(&endpoint(address)).await {
            who(&mut line).await.unwrap_err();
        }
    }
    let other = scene.authority.issue(Role::Site, Address::repeat_byte(2), DAYS).unwrap();
    assert!(ask(scene.files("other", &other.certificate, &other.key), address).await.unwrap().starts_with("site 0x02"));
    for line in &mut lines {
        who(line).await.unwrap();
    }
    // A place is given back with its line, as soon as the server hears that it is closed.
    drop(lines);
    while ask_again(&first, address).await.is_none() {
        tokio::task::yield_now().await;
    }
}

async fn ask_again(client: &Client, address: std::net::SocketAddr) -> Option<String> {
    let mut line = client.connect(&endpoint(address)).await.ok()?;
    who(&mut line).await.ok()
}

#[tokio::test]
async fn an_expired_certificate_is_named_by_its_holder_and_refused_by_the_door() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let past = SystemTime::now() - Duration::from_secs(3600);
    let issued = scene.authority.issue_until(Role::Site, ACCOUNT, past).unwrap();
    let files = scene.files("site", &issued.certificate, &issued.key);
    let error = Client::new(files.clone()).unwrap_err();
    assert!(matches!(&error, TlsError::Expired { file, .. } if Some(file) == files.certificate.as_ref()), "{error}");
    // Whoever shows it all the same.
    let roots = files::roots(files.ca.as_ref().unwrap()).unwrap();
    let chain = files::certificates(files.certificate.as_ref().unwrap()).unwrap();
    let key = files::key(files.key.as_ref().unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    let line = TcpStream::connect(address).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, line).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    let error = TlsError::of_line(rustls_error(&error).unwrap(), "it", "");
    assert_eq!(refusal(&error), Refusal::Expired);
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let soon = SystemTime::now() + Duration::from_secs(2);
    let issued = scene.authority.issue_until(Role::Site, ACCOUNT, soon).unwrap();
    let client = Client::new(scene.files("site", &issued.certificate, &issued.key)).unwrap();
    let mut channel = client.connect(&endpoint(address)).await.unwrap();
    who(&mut channel).await.unwrap();
    // Asked until it is refused; nothing else ends this loop.
    while who(&mut channel).await.is_ok() {}
    assert!(SystemTime::now() >= soon - Duration::from_secs(1));
}

#[tokio::test]
async fn certificates_are_read_again_when_they_change() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let files = scene.site("site");
    let client = Client::new(files.clone()).unwrap();
    let told = async || who(&mut client.connect(&endpoint(address)).await.unwrap()).await.unwrap();
    let before = told().await;
    assert_eq!(told().await, before);
    replace(&files, &scene.site("next"));
    assert_ne!(told().await, before, "another fingerprint");
    // Half a change is none: the old certificate goes on.
    let now = told().await;
    fs::write(files.certificate.as_ref().unwrap(), "-----BEGIN CERT").unwrap();
    assert_eq!(told().await, now);

    // The coordinator's own, too: one for another name is noticed at once.
    let issued = scene.authority.issue_server(&["elsewhere.example".to_owned()], DAYS).unwrap();
    let server = scene.server();
    for (file, text) in [(&server.key, &*issued.key), (&server.certificate, &issued.certificate)] {
        fs::write(file, text).unwrap();
    }
    let nobody = ClientFiles { ca: files.ca.clone(), ..ClientFiles::default() };
    let error = ask(nobody, address).await.unwrap_err();
    assert!(matches!(&*error, TlsError::OtherName { .. }), "{error}");
}

#[tokio::test]
async fn strangers_on_the_port_do_not_hurt_honest_callers() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let site = scene.site("site");
    // More half-open connections than may be in a handshake at once, held open.
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    ask(site.clone(), address).await.unwrap();
    // Garbage, a plain request, and a handshake that breaks off.
    for noise in [&b"\x16\x03\x01\xff\xff\x01\x00"[..], b"GET /rpc HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 4096], b"\x16"] {
        let mut line = TcpStream::connect(address).await.unwrap();
        line.write_all(noise).await.unwrap();
        line.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may be closed or reset; there is nothing but an alert in it.
        let _ = line.read_to_end(&mut answer).await;
        assert!(answer.len() < 16, "{answer:?}");
        ask(site.clone(), address).await.unwrap();
    }
}

/// Closes the first lines that it takes, and passes the others on; counts all of them.
async fn flooded(behind: std::net::SocketAddr, closes: usize) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = taken.clone();
    tokio::spawn(async move {
        while let Ok((mut line, _)) = listener.accept().await {
            if count.fetch_add(1, Ordering::Relaxed) >= closes {
                let mut on = TcpStream::connect(behind).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut line, &mut on).await });
            }
        }
    });
    (address, taken)
}

#[tokio::test]
async fn whoever_is_pushed_out_of_a_handshake_comes_again_and_not_for_ever() {
    let scene = Scene::new();
    let client = Client::new(scene.site("site")).unwrap();
    let (address, _) = flooded(scene.serve().await, 2).await;
    let mut channel = client.connect(&endpoint(address)).await.unwrap();
    assert!(who(&mut channel).await.unwrap().starts_with("site"));
    let (address, taken) = flooded(address, usize::MAX).await;
    assert!(client.connect(&endpoint(address)).await.is_err());
    assert_eq!(taken.load(Ordering::Relaxed), TRIES);
}

#[tokio::test]
async fn a_plain_server_at_an_https_address_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let scene = Scene::new();
    let error = ask(scene.site("site"), address).await.unwrap_err();
    assert!(matches!(&*error, TlsError::NotTls { .. }), "{error}");
}

#[tokio::test]
async fn nothing_leaves_this_machine_in_the_clear() {
    let client = Client::default();
    for address in ["http://10.0.0.1:8547", "http://hospital.example", "http://[2001:db8::1]:1"] {
        let endpoint = tonic::transport::Endpoint::from_static(address);
        let error = client.connect_lazy(&endpoint).unwrap_err();
        assert!(matches!(&error, TlsError::InTheClear { .. }), "{error}");
        assert!(matches!(client.connect(&endpoint).await, Err(ConnectError::Tls(_))));
    }
    for address in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://hospital.example"] {
        client.connect_lazy(&tonic::transport::Endpoint::from_static(address)).unwrap();
    }
}

#[tokio::test]
async fn without_authorities_of_callers_nobody_is_asked() {
    let scene = Scene::new();
    let door = Door::open(ServerFiles { clients_ca: None, revoked: None, ..scene.server() }).unwrap();
    assert!(!door.asks());
    let address = serve(door).await;
    assert_eq!(ask(scene.site("site"), address).await.unwrap(), "nobody");
}
