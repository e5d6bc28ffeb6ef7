//! The desk at which sites, researchers and auditors enrol and log in. It belongs to no round, so it is beside the loop
//! and not in it.
//!
//! What it never has: a password, or the key that a password opens. What it keeps: records that are of no use without
//! the secrets in [`Enrolment`], which are a file of their own, and how often each account was tried.

mod error;
mod pending;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use almoner_identity::{Attempts, LoginState, Server, fingerprint, may_register_again, registers};
use almoner_journal::{Credential, Invitation, Journal};
use almoner_proto::{
    Admission, LoginFinishRequest, LoginStartReply, LoginStartRequest, RegisterFinishReply, RegisterFinishRequest,
    RegisterStartReply, RegisterStartRequest, RenewReply, Signature,
};
use almoner_protocol::types::recover;
use almoner_protocol::{Address, B256};
use almoner_tls::Peer;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

pub use self::error::EnrolmentError;
use self::error::MAX_RENEWALS;
use self::pending::Pending;
use crate::CoordinatorError;
use crate::run::Clock;

/// Key of the fingerprint of the secrets that this journal's records were made with.
const SECRETS: &str = "enrolment-secrets";
/// A client stretches its password between two messages.
const PATIENCE_S: u64 = 60;
/// Where an unknown account is counted beside its place, so that it costs what a known one does.
const NOBODY: &[u8] = b"nobody";
/// Begun and not finished, of each kind. Further ones take the place of the oldest.
const MAX_PENDING: usize = 1024;

/// Signs certificates for accounts that enrol.
pub trait Issuer: Send + Sync + fmt::Debug {
    /// A certificate in PEM for who asks by `csr`, in PEM too; or why there is none, for the caller to read.
    fn issue(&self, account: Address, role: &str, csr: &str) -> Result<String, String>;
}

/// What a coordinator needs to enrol anybody.
#[derive(Debug)]
pub struct Enrolment {
    pub server: Server,
    /// Where all that is drawn here comes from.
    pub seed: [u8; 32],
    /// None: certificates come from somewhere else.
    pub issuer: Option<Arc<dyn Issuer>>,
}

/// A registration that waits for its record.
#[derive(Debug)]
struct Registration {
    account: Address,
    role: String,
    invitation: Option<[u8; 32]>,
}

#[derive(Debug)]
struct Inner {
    rng: ChaCha20Rng,
    registrations: Pending<[u8; 32], Registration>,
    logins: Pending<[u8; 16], LoginState>,
    /// How often a certificate was renewed, by its fingerprint.
    renewals: BTreeMap<B256, u8>,
}

/// Answers one request at a time: attempts are counted one after another, and a flood has one core at most.
pub struct Desk {
    server: Server,
    issuer: Option<Arc<dyn Issuer>>,
    journal: Journal,
    clock: Clock,
    inner: Mutex<Inner>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Desk {
    /// Refuses secrets that are not those of the records in the journal.
    pub fn open(enrolment: Enrolment, journal: Journal, clock: Clock) -> Result<Self, CoordinatorError> {
        let Enrolment { server, seed, issuer } = enrolment;
        let own = server.fingerprint();
        match journal.state_get(SECRETS)? {
            Some(kept) if kept == own => {}
            Some(_) if journal.has_credentials()? => return Err(EnrolmentError::OtherSecrets.into()),
            _ => journal.state_put(SECRETS, &own)?,
        }
        let inner = Inner {
            rng: ChaCha20Rng::from_seed(seed),
            registrations: Pending::new(MAX_PENDING, PATIENCE_S),
            logins: Pending::new(MAX_PENDING, PATIENCE_S),
            renewals: BTreeMap::new(),
        };
        Ok(Self { server, issuer, journal, clock, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves at worst an unfinished registration or login behind, which expires.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn register_start(&self, request: RegisterStartRequest) -> Result<RegisterStartReply, CoordinatorError> {
        let now = (self.clock)();
        let RegisterStartRequest { account, request, admission } = request;
        let registration = match admission {
            Admission::Invitation(secret) => self.invited(account, fingerprint(&secret), now)?,
            Admission::Signature(signature) => {
                signed(account, may_register_again(account.as_ref(), &request), &signature)?;
                let known = self.journal.credential(account.into_array())?;
                let role = known.ok_or(EnrolmentError::NotEnrolled(account))?.role;
                Registration { account, role, invitation: None }
            }
        };
        let role = registration.role.clone();
        let mut inner = self.inner();
        // Fresh each time: under one that is used again, every start would test a guess at whatever was kept under it.
        let mut credential = [0; 32];
        inner.rng.fill_bytes(&mut credential);
        let response = self.server.register(&credential, &request).map_err(EnrolmentError::from)?;
        inner.registrations.put(credential, registration, now);
        Ok(RegisterStartReply { credential, response, role })
    }

    fn invited(&self, account: Address, hash: [u8; 32], now: u64) -> Result<Registration, CoordinatorError> {
        let found = self.journal.invitation(hash)?;
        let Invitation { role, account: only, expires, used } = found.ok_or(EnrolmentError::NoInvitation)?;
        if used.is_some() {
            return Err(EnrolmentError::Used.into());
        }
        if expires <= now {
            return Err(EnrolmentError::Expired.into());
        }
        if let Some(only) = only.map(Address::from).filter(|only| *only != account) {
            return Err(EnrolmentError::ForAnother(only).into());
        }
        match self.journal.credential(account.into_array())? {
            Some(known) if known.role != role => Err(EnrolmentError::Another { account, role: known.role }.into()),
            _ => Ok(Registration { account, role, invitation: Some(hash) }),
        }
    }

    pub fn register_finish(&self, request: RegisterFinishRequest) -> Result<RegisterFinishReply, CoordinatorError> {
        let now = (self.clock)();
        let RegisterFinishRequest { credential, record, signature, csr } = request;
        let begun = self.inner().registrations.take(&credential, now);
        let Registration { account, role, invitation } = begun.ok_or(EnrolmentError::Late)?;
        signed(account, registers(account.as_ref(), &credential, &record), &signature)?;
        Server::check_record(&record).map_err(EnrolmentError::from)?;
        let certificate = match (&self.issuer, csr) {
            // Else whoever has the key alone would have a certificate, or have one again after it was revoked.
            (_, Some(_)) if invitation.is_none() => return Err(EnrolmentError::Uninvited.into()),
            (Some(issuer), Some(csr)) => Some(issuer.issue(account, &role, &csr).map_err(EnrolmentError::Certificate)?),
            _ => None,
        };
        let kept = Credential { role, identifier: credential, record: record.to_vec() };
        if !self.journal.enrol(account.into_array(), &kept, invitation, now)? {
            let meanwhile = invitation.map(|hash| self.invited(account, hash, now));
            return Err(meanwhile.and_then(Result::err).unwrap_or(EnrolmentError::Used.into()));
        }
        // Whoever signed this is the account, whatever others have tried.
        self.forget_attempts(&account.into_array())?;
        tracing::info!(%account, role = kept.role, "enrolled");
        Ok(RegisterFinishReply { certificate })
    }

    /// The same for an account that is enrolled and for one that is not: one look, one count, one answer. The login
    /// holds on lines where we show this certificate only.
    pub fn login_start(
        &self,
        request: LoginStartRequest,
        line: Option<B256>,
    ) -> Result<LoginStartReply, CoordinatorError> {
        let now = (self.clock)();
        let account: &[u8; 20] = request.account.as_ref();
        let known = self.journal.credential(*account)?;
        let mut inner = self.inner();
        let inner = &mut *inner;
        self.count(account, known.is_some(), now)?;
        let record = known.as_ref().map(|kept| (&kept.identifier, kept.record.as_slice()));
        let started = self.server.login(account, channel(line.as_ref()), record, &request.request, &mut inner.rng);
        let (state, response) = started.map_err(EnrolmentError::from)?;
        let mut login = [0; 16];
        inner.rng.fill_bytes(&mut login);
        inner.logins.put(login, state, now);
        Ok(LoginStartReply { login, response })
    }

    /// All accounts share a bounded number of places, and are refused alike by what others did at theirs: else whoever
    /// filled them all would learn who has another one. One that is enrolled is counted by itself as well, so that nobody
    /// who shares its place, and logs in there, gives others more attempts at it.
    fn count(&self, account: &[u8; 20], known: bool, now: u64) -> Result<(), CoordinatorError> {
        let place = self.place(account)?;
        let own = if known { account.as_slice() } else { NOBODY };
        let counted = |who: &[u8]| -> Result<_, CoordinatorError> {
            let (count, until) = self.journal.attempts(who)?.unwrap_or_default();
            Ok(Attempts { count, until }.attempt(now))
        };
        let (at_place, of_own) = (counted(&place)?, counted(own)?);
        let at_place = at_place.map_err(EnrolmentError::LockedOut)?;
        let of_own = if known { of_own.map_err(EnrolmentError::LockedOut)? } else { Attempts::default() };
        self.journal.keep_attempts(&place, at_place.count, at_place.until)?;
        Ok(self.journal.keep_attempts(own, of_own.count, of_own.until)?)
    }

    fn place(&self, account: &[u8; 20]) -> Result<[u8; 4], CoordinatorError> {
        Ok(self.server.slot(account).map_err(EnrolmentError::from)?.to_be_bytes())
    }

    fn forget_attempts(&self, account: &[u8; 20]) -> Result<(), CoordinatorError> {
        self.journal.keep_attempts(&self.place(account)?, 0, 0)?;
        Ok(self.journal.keep_attempts(account, 0, 0)?)
    }

    pub fn login_finish(&self, request: LoginFinishRequest) -> Result<(), CoordinatorError> {
        let now = (self.clock)();
        let begun = self.inner().logins.take(&request.login, now).ok_or(EnrolmentError::Late)?;
        let account = *begun.account();
        begun.finish(&request.proof).map_err(EnrolmentError::from)?;
        self.forget_attempts(&account)
    }

    /// A certificate in the place of the one that `holder` showed, for its account and role. An answer may be lost, so
    /// one may be renewed more than once; but whoever stole it does not get as many as it likes.
    pub fn renew(&self, holder: &Peer, csr: &str) -> Result<RenewReply, CoordinatorError> {
        let (role, account) = holder.named.ok_or(EnrolmentError::NotOurs)?;
        let issuer = self.issuer.as_ref().ok_or(EnrolmentError::NoAuthority)?;
        if SystemTime::UNIX_EPOCH + Duration::from_secs((self.clock)()) <= holder.late {
            return Err(EnrolmentError::Early.into());
        }
        let mut inner = self.inner();
        let renewed = inner.renewals.entry(holder.fingerprint).or_default();
        if *renewed >= MAX_RENEWALS {
            return Err(EnrolmentError::Often.into());
        }
        let certificate = issuer.issue(account, role.word(), csr).map_err(EnrolmentError::Certificate)?;
        *renewed += 1;
        tracing::info!(%account, %role, fingerprint = %holder.fingerprint, "a certificate was renewed");
        Ok(RenewReply { certificate })
    }
}

/// What a login is bound to, beside its account: see `almoner_identity`.
fn channel(line: Option<&B256>) -> &[u8] {
    line.map_or(&[], B256::as_slice)
}

fn signed(account: Address, digest: [u8; 32], signature: &Signature) -> Result<(), EnrolmentError> {
    match recover(B256::from(digest), signature) {
        Ok(signer) if signer == account => Ok(()),
        _ => Err(EnrolmentError::Signature(account)),
    }
}

#[cfg(test)]
mod tests;
