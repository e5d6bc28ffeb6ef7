use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::{ExportKey, LoggingIn, Password, Registering, Stretch};

const ACCOUNT: Account = [1; 20];
const CREDENTIAL: Credential = [2; 32];
const WEAK: Stretch = Stretch::INSECURE;
/// What both ends know their line by.
const LINE: &[u8] = &[3; 32];

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.into()))
}

fn registered(server: &Server, text: &str) -> ([u8; REGISTER_FINISH], ExportKey) {
    let mut rng = rng(9);
    let (client, request) = Registering::start(password(text), &mut rng).unwrap();
    let reply = server.register(&CREDENTIAL, &request).unwrap();
    client.finish(&ACCOUNT, &reply, WEAK, &mut rng).unwrap()
}

/// The whole exchange, as seen by the client and by the server.
fn login(
    server: &Server,
    record: Option<&[u8]>,
    text: &str,
    seed: u8,
) -> (Result<ExportKey, IdentityError>, [u8; LOGIN_REPLY]) {
    let mut rng = rng(seed);
    let (client, request) = LoggingIn::start(password(text), &mut rng).unwrap();
    let known = record.map(|record| (&CREDENTIAL, record));
    let (state, reply) = server.login(&ACCOUNT, LINE, known, &request, &mut rng).unwrap();
    let done = client.finish(&ACCOUNT, LINE, &reply, WEAK, &mut rng).map(|(proof, export)| {
        state.finish(&proof).unwrap();
        export
    });
    (done, reply)
}

#[test]
fn the_export_key_is_the_same_at_every_login_and_the_messages_are_not() {
    let server = Server::generate(&mut rng(1));
    let (record, export) = registered(&server, "correct horse");
    Server::check_record(&record).unwrap();
    let (first, one) = login(&server, Some(&record), "correct horse", 3);
    let (second, two) = login(&server, Some(&record), "correct horse", 4);
    assert_eq!(*first.unwrap().0, *export.0);
    assert_eq!(*second.unwrap().0, *export.0);
    assert_ne!(one, two);
}

#[test]
fn a_wrong_password_and_an_unknown_account_look_the_same_to_whoever_asks() {
    let server = Server::generate(&mut rng(1));
    let (record, _) = registered(&server, "correct horse");
    let (wrong, _) = login(&server, Some(&record), "battery staple", 3);
    let (unknown, _) = login(&server, None, "correct horse", 3);
    assert!(matches!(wrong, Err(IdentityError::WrongPassword)));
    assert!(matches!(unknown, Err(IdentityError::WrongPassword)));
    // One account asked twice with one request is evaluated under one key, known or not; another one under another.
    let mut rng = rng(5);
    let (_, request) = LoggingIn::start(password("x"), &mut rng).unwrap();
    let mut evaluated = |account: u8, record| {
        let known = Option::map(record, |record| (&CREDENTIAL, record));
        server.login(&[account; 20], LINE, known, &request, &mut rng).unwrap().1[..32].to_vec()
    };
    assert_eq!(evaluated(7, None), evaluated(7, None));
    assert_eq!(evaluated(1, Some(record.as_slice())), evaluated(1, Some(record.as_slice())));
    assert_ne!(evaluated(7, None), evaluated(8, None));
    let slots: std::collections::BTreeSet<u32> = (0..20).map(|a| server.slot(&[a; 20]).unwrap()).collect();
    assert!(slots.len() > 15 && slots.last().is_some_and(|last| *last < 1 << 20));
}

#[test]
fn a_proof_of_another_login_proves_nothing() {
    let server = Server::generate(&mut rng(1));
    let (record, _) = registered(&server, "correct horse");
    let mut rng = rng(3);
    let mut started = || {
        let (client, request) = LoggingIn::start(password("correct horse"), &mut rng).unwrap();
        let (state, reply) = server.login(&ACCOUNT, LINE, Some((&CREDENTIAL, &record)), &request, &mut rng).unwrap();
        (state, client.finish(&ACCOUNT, LINE, &reply, WEAK, &mut rng).unwrap().0)
    };
    let ((first, _), (second, proof)) = (started(), started());
    assert!(matches!(first.finish(&proof), Err(IdentityError::NotProven)));
    second.finish(&proof).unwrap();
}

#[test]
fn secrets_read_back_and_belong_to_their_records() {
    let server = Server::generate(&mut rng(1));
    let (record, export) = registered(&server, "correct horse");
    let bytes = server.to_bytes();
    assert_eq!(bytes.len(), Server::BYTES);
    let again = Server::from_bytes(&bytes).unwrap();
    assert_eq!(again.fingerprint(), server.fingerprint());
    assert_eq!(*login(&again, Some(&record), "correct horse", 3).0.unwrap().0, *export.0);
    // With the records alone nobody can test a password, right or wrong.
    let other = Server::generate(&mut rng(2));
    assert_ne!(other.fingerprint(), server.fingerprint());
    assert!(login(&other, Some(&record), "correct horse", 3).0.is_err());
    for cut in [0, 1, SETUP, Server::BYTES - 1] {
        assert!(Server::from_bytes(&bytes[..cut]).is_err());
    }
    assert!(!format!("{server:?}").contains("oprf"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("enrolment.key");
    crate::write_server(&path, &server).unwrap();
    assert_eq!(crate::read_server(&path).unwrap().fingerprint(), server.fingerprint());
    crate::write_private(&path, b"0123\n").unwrap();
    assert!(matches!(crate::read_server(&path), Err(IdentityError::NotSecrets { .. })));
}

#[test]
fn garbage_is_refused() {
    let server = Server::generate(&mut rng(1));
    assert!(server.register(&CREDENTIAL, &[0xff; REGISTER_START]).is_err());
    assert!(server.register(&CREDENTIAL, &[0; REGISTER_START]).is_err(), "the identity would give the key away");
    assert!(server.login(&ACCOUNT, LINE, None, &[0xff; LOGIN_START], &mut rng(2)).is_err());
    assert!(Server::check_record(&[0xff; REGISTER_FINISH]).is_err());
    let (client, _) = Registering::start(password("x"), &mut rng(2)).unwrap();
    assert!(client.finish(&ACCOUNT, &[0xff; REGISTER_REPLY], WEAK, &mut rng(2)).is_err());
    let (client, _) = LoggingIn::start(password("x"), &mut rng(2)).unwrap();
    assert!(client.finish(&ACCOUNT, LINE, &[0xff; LOGIN_REPLY], WEAK, &mut rng(2)).is_err());
}

#[test]
fn another_account_or_another_stretch_is_another_password() {
    let server = Server::generate(&mut rng(1));
    let (record, _) = registered(&server, "correct horse");
    let mut rng = rng(3);
    let (client, request) = LoggingIn::start(password("correct horse"), &mut rng).unwrap();
    let (_, reply) = server.login(&[8; 20], LINE, Some((&CREDENTIAL, &record)), &request, &mut rng).unwrap();
    assert!(matches!(client.finish(&[8; 20], LINE, &reply, WEAK, &mut rng), Err(IdentityError::WrongPassword)));
    let (client, request) = LoggingIn::start(password("correct horse"), &mut rng).unwrap();
    let (_, reply) = server.login(&ACCOUNT, LINE, Some((&CREDENTIAL, &record)), &request, &mut rng).unwrap();
    let harder = Stretch::STANDARD;
    assert!(matches!(client.finish(&ACCOUNT, LINE, &reply, harder, &mut rng), Err(IdentityError::WrongPassword)));
}

/// Somebody in between has one line to the client and another to the server, each with a certificate of its own.
#[test]
fn a_login_cannot_be_passed_on_to_another_line() {
    let server = Server::generate(&mut rng(1));
    let (record, _) = registered(&server, "correct horse");
    let mut rng = rng(3);
    for others in [&[4; 32][..], &[]] {
        let (client, request) = LoggingIn::start(password("correct horse"), &mut rng).unwrap();
        let known = Some((&CREDENTIAL, record.as_slice()));
        let (_, reply) = server.login(&ACCOUNT, others, known, &request, &mut rng).unwrap();
        assert!(matches!(client.finish(&ACCOUNT, LINE, &reply, WEAK, &mut rng), Err(IdentityError::WrongPassword)));
    }
}
