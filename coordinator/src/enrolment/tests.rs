use std::sync::atomic::{AtomicU64, Ordering};

use almoner_chain::SigningKey;
use almoner_identity::{ExportKey, IdentityError, LoggingIn, Password, Registering, Stretch};
use almoner_proto::{ErrorKind, Kinded};

use super::*;

const NOW: u64 = 1_800_000_000;
const TOKEN: [u8; 16] = [7; 16];
const WEAK: Stretch = Stretch::INSECURE;
/// The certificate on the line of every login here.
const LINE: Option<B256> = Some(B256::repeat_byte(5));

#[derive(Debug)]
struct Stamp;

impl Issuer for Stamp {
    fn issue(&self, account: Address, role: &str, csr: &str) -> Result<String, String> {
        match csr {
            "bad" => Err("no request".into()),
            csr => Ok(format!("{role} {account} {csr}")),
        }
    }
}

struct Scene {
    desk: Desk,
    journal: Journal,
    now: Arc<AtomicU64>,
    rng: ChaCha20Rng,
}

fn scene() -> Scene {
    let (journal, now) = (Journal::memory().unwrap(), Arc::new(AtomicU64::new(NOW)));
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let clock = now.clone();
    let enrolment = Enrolment { server: Server::generate(&mut rng), seed: [2; 32], issuer: Some(Arc::new(Stamp)) };
    let desk = Desk::open(enrolment, journal.clone(), Arc::new(move || clock.load(Ordering::Relaxed))).unwrap();
    Scene { desk, journal, now, rng }
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned().into())
}

fn refused<T: fmt::Debug>(result: Result<T, CoordinatorError>) -> EnrolmentError {
    match result.unwrap_err() {
        CoordinatorError::Enrolment(error) => error,
        other => panic!("{other}"),
    }
}

impl Scene {
    fn invite(&self, account: Option<Address>) {
        self.invite_as("site", account, TOKEN);
    }

    fn invite_as(&self, role: &str, account: Option<Address>, token: [u8; 16]) {
        let account = account.map(Address::into_array);
        let invitation = Invitation { role: role.into(), account, expires: NOW + 100, used: None };
        self.journal.invite(fingerprint(&token), &invitation).unwrap();
    }

    fn start(
        &mut self,
        account: &SigningKey,
        text: &str,
        admission: impl FnOnce(&[u8; 32]) -> Admission,
    ) -> Result<(Registering, RegisterStartReply), CoordinatorError> {
        let (client, request) = Registering::start(password(text), &mut self.rng).unwrap();
        let (account, admission) = (account.address(), admission(&request));
        let reply = self.desk.register_start(RegisterStartRequest { account, request, admission })?;
        Ok((client, reply))
    }

    fn finish(
        &mut self,
        (client, reply): (Registering, RegisterStartReply),
        account: &SigningKey,
        signer: &SigningKey,
        csr: Option<&str>,
    ) -> Result<(RegisterFinishReply, ExportKey), CoordinatorError> {
        let own = account.address();
        let (record, export) = client.finish(own.as_ref(), &reply.response, WEAK, &mut self.rng).unwrap();
        let digest = registers(own.as_ref(), &reply.credential, &record);
        let signature = signer.sign_hash(digest.into()).unwrap();
        let csr = csr.map(ToOwned::to_owned);
        let request = RegisterFinishRequest { credential: reply.credential, record, signature, csr };
        Ok((self.desk.register_finish(request)?, export))
    }

    fn enrol(&mut self, account: &SigningKey, text: &str) -> Result<RegisterFinishReply, CoordinatorError> {
        let begun = self.start(account, text, |_| Admission::Invitation(TOKEN))?;
        Ok(self.finish(begun, account, account, Some("csr"))?.0)
    }

    /// `Err` of the outer kind is the coordinator's, of the inner kind the client's own finding.
    fn login(&mut self, account: Address, text: &str) -> Result<Result<ExportKey, IdentityError>, CoordinatorError> {
        let (client, request) = LoggingIn::start(password(text), &mut self.rng).unwrap();
        let reply = self.desk.login_start(LoginStartRequest { account, request }, LINE)?;
        match client.finish(account.as_ref(), channel(LINE.as_ref()), &reply.response, WEAK, &mut self.rng) {
            Ok((proof, export)) => {
                self.desk.login_finish(LoginFinishRequest { login: reply.login, proof })?;
                Ok(Ok(export))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

#[test]
fn an_invitation_enrols_once() {
    let mut scene = scene();
    assert!(matches!(refused(scene.enrol(&key(1), "a")), EnrolmentError::NoInvitation));
    scene.invite(None);
    let reply = scene.enrol(&key(1), "a").unwrap();
    assert_eq!(reply.certificate.unwrap(), format!("site {} csr", key(1).address()));
    assert!(scene.login(key(1).address(), "a").unwrap().is_ok());
    assert!(matches!(refused(scene.enrol(&key(2), "a")), EnrolmentError::Used));
}

/// Told at the start, so that whoever holds another one than it thinks leaves it unused; and in the certificate.
#[test]
fn an_invitation_says_what_its_holder_will_be() {
    let mut scene = scene();
    for (byte, role) in [(1, "researcher"), (2, "auditor"), (3, "site")] {
        let token = [byte; 16];
        scene.invite_as(role, None, token);
        let begun = scene.start(&key(byte), "a", |_| Admission::Invitation(token)).unwrap();
        assert_eq!(begun.1.role, role);
        let (reply, _) = scene.finish(begun, &key(byte), &key(byte), Some("csr")).unwrap();
        assert_eq!(reply.certificate.unwrap(), format!("{role} {} csr", key(byte).address()));
        assert_eq!(scene.journal.credential(key(byte).address().into_array()).unwrap().unwrap().role, role);
    }
    // A site does not become a researcher by the way, and keeps its password.
    scene.invite_as("researcher", None, [4; 16]);
    let error = refused(scene.start(&key(3), "b", |_| Admission::Invitation([4; 16])));
    assert!(
        matches!(&error, EnrolmentError::Another { account, role } if *account == key(3).address() && role == "site")
    );
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(scene.login(key(3).address(), "a").unwrap().is_ok());
    // A new password changes nothing else.
    let by = |request: &[u8; 32]| {
        let digest = may_register_again(key(1).address().as_ref(), request);
        Admission::Signature(key(1).sign_hash(digest.into()).unwrap())
    };
    // A key alone brings no certificate: a revoked account would have one again.
    let begun = scene.start(&key(1), "b", by).unwrap();
    assert!(matches!(refused(scene.finish(begun, &key(1), &key(1), Some("csr"))), EnrolmentError::Uninvited));
    let begun = scene.start(&key(1), "b", by).unwrap();
    assert_eq!(begun.1.role, "researcher");
    scene.finish(begun, &key(1), &key(1), None).unwrap();
    assert_eq!(scene.journal.credential(key(1).address().into_array()).unwrap().unwrap().role, "researcher");
}

#[test]
fn two_that_began_with_one_invitation_do_not_both_finish() {
    let mut scene = scene();
    scene.invite(None);
    let [first, second] = [1, 2].map(|byte| scene.start(&key(byte), "a", |_| Admission::Invitation(TOKEN)).unwrap());
    scene.finish(first, &key(1), &key(1), None).unwrap();
    assert!(matches!(refused(scene.finish(second, &key(2), &key(2), None)), EnrolmentError::Used));
}

#[test]
fn an_account_that_began_twice_has_the_role_that_it_finished_first() {
    let mut scene = scene();
    let tokens = [[5; 16], [6; 16]];
    let begun = [("site", tokens[0]), ("researcher", tokens[1])].map(|(role, token)| {
        scene.invite_as(role, None, token);
        scene.start(&key(1), "a", |_| Admission::Invitation(token)).unwrap()
    });
    let [site, researcher] = begun;
    scene.finish(site, &key(1), &key(1), Some("csr")).unwrap();
    let error = refused(scene.finish(researcher, &key(1), &key(1), Some("csr")));
    assert!(matches!(error, EnrolmentError::Another { role, .. } if role == "site"));
    assert_eq!(scene.journal.credential(key(1).address().into_array()).unwrap().unwrap().role, "site");
    // Whoever it is given to may still use it.
    scene.start(&key(2), "a", |_| Admission::Invitation(tokens[1])).unwrap();
}

#[test]
fn an_invitation_expires_and_may_be_for_one_account() {
    let mut scene = scene();
    scene.invite(Some(key(1).address()));
    let error = refused(scene.enrol(&key(2), "a"));
    assert!(matches!(error, EnrolmentError::ForAnother(account) if account == key(1).address()));
    scene.now.store(NOW + 100, Ordering::Relaxed);
    let error = refused(scene.enrol(&key(1), "a"));
    assert!(matches!(error, EnrolmentError::Expired) && error.kind() == ErrorKind::Conflict);
}

#[test]
fn nobody_registers_for_somebody_else() {
    let mut scene = scene();
    scene.invite(None);
    let begun = scene.start(&key(1), "a", |_| Admission::Invitation(TOKEN)).unwrap();
    let error = refused(scene.finish(begun, &key(1), &key(2), None));
    assert!(matches!(error, EnrolmentError::Signature(account) if account == key(1).address()));
    // A request that no certificate is issued for uses nothing up.
    let begun = scene.start(&key(1), "a", |_| Admission::Invitation(TOKEN)).unwrap();
    assert!(matches!(refused(scene.finish(begun, &key(1), &key(1), Some("bad"))), EnrolmentError::Certificate(_)));
    scene.enrol(&key(1), "a").unwrap();
    let by = |signer: SigningKey| {
        move |request: &[u8; 32]| {
            let digest = may_register_again(key(1).address().as_ref(), request);
            Admission::Signature(signer.sign_hash(digest.into()).unwrap())
        }
    };
    assert!(matches!(refused(scene.start(&key(1), "b", by(key(2)))), EnrolmentError::Signature(_)));
    let error = refused(scene.start(&key(2), "b", |request| {
        let digest = may_register_again(key(2).address().as_ref(), request);
        Admission::Signature(key(2).sign_hash(digest.into()).unwrap())
    }));
    assert!(matches!(error, EnrolmentError::NotEnrolled(_)));
    // The account itself may, and then the old password is none.
    let begun = scene.start(&key(1), "b", by(key(1))).unwrap();
    scene.finish(begun, &key(1), &key(1), None).unwrap();
    let account = key(1).address();
    assert!(matches!(scene.login(account, "a").unwrap(), Err(IdentityError::WrongPassword)));
    assert!(scene.login(account, "b").unwrap().is_ok());
}

#[test]
fn every_registration_has_a_credential_of_its_own() {
    let mut scene = scene();
    scene.invite(None);
    let (client, request) = Registering::start(password("a"), &mut scene.rng).unwrap();
    drop(client);
    let ask = || {
        let admission = Admission::Invitation(TOKEN);
        scene.desk.register_start(RegisterStartRequest { account: key(1).address(), request, admission }).unwrap()
    };
    let (first, second) = (ask(), ask());
    assert_ne!(first.credential, second.credential);
    assert_ne!(first.response[..32], second.response[..32], "one request, two evaluations");
}

/// Known and unknown accounts are counted alike; a success is forgotten, and another process goes on counting.
#[test]
fn attempts_are_counted_for_everybody() {
    let mut scene = scene();
    scene.invite(None);
    scene.enrol(&key(1), "a").unwrap();
    for account in [key(1).address(), key(9).address()] {
        for _ in 0..5 {
            assert!(matches!(scene.login(account, "guess").unwrap(), Err(IdentityError::WrongPassword)));
        }
        let error = refused(scene.login(account, "a"));
        assert_eq!(error.to_string(), "too many attempts: the next one in 60 s");
        assert_eq!(error.kind(), ErrorKind::NotNow(std::time::Duration::from_secs(60)));
    }
    let clock = scene.now.clone();
    let bytes = scene.desk.server.to_bytes();
    let server = || Server::from_bytes(&bytes).unwrap();
    let again = Enrolment { server: server(), seed: [3; 32], issuer: None };
    let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
    scene.desk = Desk::open(again, scene.journal.clone(), clock.clone()).unwrap();
    assert!(matches!(refused(scene.login(key(1).address(), "a")), EnrolmentError::LockedOut(_)));
    scene.now.store(NOW + 60, Ordering::Relaxed);
    assert!(scene.login(key(1).address(), "a").unwrap().is_ok());
    assert!(scene.login(key(1).address(), "a").unwrap().is_ok(), "what was counted is forgotten");
    // Other secrets would make every record useless: noticed at the start and not at the next login.
    let other = Server::generate(&mut scene.rng);
    let other = Enrolment { server: other, seed: [3; 32], issuer: None };
    assert!(matches!(refused(Desk::open(other, scene.journal.clone(), clock)), EnrolmentError::OtherSecrets));
}

/// Whoever filled the places of unknown accounts would know an enrolled one by its being answered.
#[test]
fn an_enrolled_account_is_refused_by_what_was_tried_at_its_place_as_an_unknown_one_is() {
    let mut scene = scene();
    scene.invite(None);
    scene.enrol(&key(1), "a").unwrap();
    let known = key(1).address();
    let beside = (0_u64..).map(|n| Address::left_padding_from(&n.to_be_bytes()));
    let same = |other: &Address| scene.desk.place(other.as_ref()).unwrap() == scene.desk.place(known.as_ref()).unwrap();
    let beside = beside.into_iter().find(same).unwrap();
    let refusals = [known, beside].map(|account| {
        scene.desk.forget_attempts(known.as_ref()).unwrap();
        for _ in 0..5 {
            assert!(matches!(scene.login(beside, "guess").unwrap(), Err(IdentityError::WrongPassword)));
        }
        refused(scene.login(account, "a")).to_string()
    });
    assert_eq!(refusals, ["too many attempts: the next one in 60 s"; 2]);
    // What was counted of the account itself is not forgotten with its place, which a neighbour may have cleared.
    scene.desk.forget_attempts(known.as_ref()).unwrap();
    for _ in 0..5 {
        assert!(matches!(scene.login(known, "guess").unwrap(), Err(IdentityError::WrongPassword)));
    }
    scene.journal.keep_attempts(&scene.desk.place(known.as_ref()).unwrap(), 0, 0).unwrap();
    assert!(matches!(refused(scene.login(known, "a")), EnrolmentError::LockedOut(_)));
    // The owner's own success clears both.
    scene.now.store(NOW + 60, Ordering::Relaxed);
    assert!(scene.login(known, "a").unwrap().is_ok());
    assert!(scene.login(beside, "guess").unwrap().is_err());
}

#[test]
fn a_login_is_finished_once_and_soon() {
    let mut scene = scene();
    scene.invite(None);
    scene.enrol(&key(1), "a").unwrap();
    let account = key(1).address();
    let started = |scene: &mut Scene| {
        let (client, request) = LoggingIn::start(password("a"), &mut scene.rng).unwrap();
        let reply = scene.desk.login_start(LoginStartRequest { account, request }, LINE).unwrap();
        let (proof, _) =
            client.finish(account.as_ref(), channel(LINE.as_ref()), &reply.response, WEAK, &mut scene.rng).unwrap();
        LoginFinishRequest { login: reply.login, proof }
    };
    let first = started(&mut scene);
    scene.desk.login_finish(first.clone()).unwrap();
    assert!(matches!(refused(scene.desk.login_finish(first)), EnrolmentError::Late));
    let mut second = started(&mut scene);
    second.proof[0] ^= 1;
    assert!(matches!(refused(scene.desk.login_finish(second)), EnrolmentError::Identity(IdentityError::NotProven)));
    let third = started(&mut scene);
    scene.now.store(NOW + PATIENCE_S, Ordering::Relaxed);
    assert!(matches!(refused(scene.desk.login_finish(third)), EnrolmentError::Late));
}

#[test]
fn a_certificate_is_renewed_late_in_its_life_by_who_issued_it_and_not_for_ever() {
    let scene = scene();
    let account = key(1).address();
    let late = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let holder = Peer { named: Some((almoner_tls::Role::Operator, account)), fingerprint: B256::ZERO, late };
    assert!(matches!(refused(scene.desk.renew(&holder, "csr")), EnrolmentError::Early));
    scene.now.store(NOW + 1, Ordering::Relaxed);
    let others = Peer { named: None, ..holder.clone() };
    assert!(matches!(refused(scene.desk.renew(&others, "csr")), EnrolmentError::NotOurs));
    assert!(matches!(refused(scene.desk.renew(&holder, "bad")), EnrolmentError::Certificate(_)));
    for _ in 0..MAX_RENEWALS {
        // For whom the old one was, whatever the request says.
        assert_eq!(scene.desk.renew(&holder, "csr").unwrap().certificate, format!("operator {account} csr"));
    }
    assert!(matches!(refused(scene.desk.renew(&holder, "csr")), EnrolmentError::Often));
    let another = Peer { fingerprint: B256::repeat_byte(1), ..holder };
    scene.desk.renew(&another, "csr").unwrap();
}
