//! The server's half. It does no password hashing: a login costs it a few group operations.
//!
//! Its secrets are kept apart from the database of records. The records alone let nobody test a guess, because the
//! evaluation key of every password follows from a seed that is not among them.

use std::fmt;

use hkdf::Hkdf;
use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerLogin,
    ServerLoginParameters, ServerRegistration, ServerSetup,
};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::rng::Older;
use crate::suite::{Suite, array, context, identifiers, message};
use crate::{
    Account, Credential, IdentityError, LOGIN_FINISH, LOGIN_REPLY, LOGIN_START, REGISTER_FINISH, REGISTER_REPLY,
    REGISTER_START,
};

/// opaque-ke's own part: seed of the evaluation keys, private key, the public key of accounts that do not exist.
const SETUP: usize = 128;
const NAMES: usize = 32;
/// Of the label-separated values that unknown accounts get.
const UNKNOWN: &[u8] = b"almoner/opaque/unknown/v0";

/// A coordinator's long-term secrets. Whoever loses them locks every site out.
pub struct Server {
    setup: ServerSetup<Suite>,
    /// Gives an unknown account the same credential identifier every time it is asked for.
    names: Zeroizing<[u8; NAMES]>,
}

/// A login that waits for the client's proof.
pub struct LoginState {
    state: ServerLogin<Suite>,
    account: Account,
    context: Vec<u8>,
}

impl Server {
    pub const BYTES: usize = SETUP + NAMES;

    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut names = Zeroizing::new([0; NAMES]);
        rng.fill_bytes(names.as_mut_slice());
        Self { setup: ServerSetup::new(&mut Older(rng)), names }
    }

    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let setup = Zeroizing::new(self.setup.serialize().to_vec());
        Zeroizing::new([setup.as_slice(), self.names.as_slice()].concat())
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let what = "the coordinator's enrolment secrets";
        let (setup, names) = bytes.split_at_checked(SETUP).ok_or(IdentityError::Message(what))?;
        let setup = ServerSetup::deserialize(setup).map_err(message(what))?;
        Ok(Self { setup, names: Zeroizing::new(array(names, what)?) })
    }

    /// Says which secrets these are and nothing else about them: records made with others are of no use.
    pub fn fingerprint(&self) -> [u8; 32] {
        let public = self.setup.keypair().public().serialize();
        Sha256::new().chain_update(b"almoner/opaque/server/v0").chain_update(public).finalize().into()
    }

    /// Answers a registration. `credential` must never have been used before: two answers under one let whoever asked
    /// for the first test guesses against the second.
    pub fn register(
        &self,
        credential: &Credential,
        request: &[u8; REGISTER_START],
    ) -> Result<[u8; REGISTER_REPLY], IdentityError> {
        let request = RegistrationRequest::deserialize(request).map_err(message("register start"))?;
        let started = ServerRegistration::<Suite>::start(&self.setup, request, credential);
        array(&started.map_err(message("register start"))?.message.serialize(), "register reply")
    }

    /// Whether this is a record that can be kept.
    pub fn check_record(record: &[u8; REGISTER_FINISH]) -> Result<(), IdentityError> {
        RegistrationUpload::<Suite>::deserialize(record).map(drop).map_err(message("register finish"))
    }

    /// Answers a login, for an account that is not known as for one that is. `channel` is what the client's line is
    /// known by.
    pub fn login(
        &self,
        account: &Account,
        channel: &[u8],
        known: Option<(&Credential, &[u8])>,
        request: &[u8; LOGIN_START],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(LoginState, [u8; LOGIN_REPLY]), IdentityError> {
        let request = CredentialRequest::deserialize(request).map_err(message("login start"))?;
        let unknown = self.unknown(account, b"credential")?;
        let record = known.map(|(_, record)| ServerRegistration::<Suite>::deserialize(record));
        let record = record.transpose().map_err(message("a kept record"))?;
        let credential = known.map_or(&unknown, |(credential, _)| credential);
        let context = context(channel);
        let params = parameters(account, &context);
        let started = ServerLogin::start(&mut Older(rng), &self.setup, record, request, credential, params);
        let started = started.map_err(message("login start"))?;
        let reply = array(&started.message.serialize(), "login reply")?;
        Ok((LoginState { state: started.state, account: *account, context }, reply))
    }

    /// The place at which attempts on an account are counted, known or not. There are as many as a journal has room for, a
    /// million, whoever asks: to keep half of them refused takes some hundred logins a second, for hours.
    pub fn slot(&self, account: &Account) -> Result<u32, IdentityError> {
        let [a, b, c, ..] = self.unknown(account, b"slot")?;
        Ok(u32::from_be_bytes([0, a & 0x0f, b, c]))
    }

    fn unknown(&self, account: &Account, what: &[u8]) -> Result<[u8; 32], IdentityError> {
        let mut out = [0; 32];
        let expanded = Hkdf::<Sha256>::new(None, self.names.as_slice());
        let expanded = expanded.expand_multi_info(&[UNKNOWN, what, account], &mut out);
        expanded.map_err(|_| IdentityError::Message("a name"))?;
        Ok(out)
    }
}

impl LoginState {
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether the client knew the password.
    pub fn finish(self, proof: &[u8; LOGIN_FINISH]) -> Result<(), IdentityError> {
        let proof = CredentialFinalization::deserialize(proof).map_err(message("login finish"))?;
        let params = parameters(&self.account, &self.context);
        self.state.finish(proof, params).map(drop).map_err(|_| IdentityError::NotProven)
    }
}

fn parameters<'a>(account: &'a Account, context: &'a [u8]) -> ServerLoginParameters<'a, 'a> {
    ServerLoginParameters { context: Some(context), identifiers: identifiers(account) }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server(redacted)")
    }
}

impl fmt::Debug for LoginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginState(redacted)")
    }
}

#[cfg(test)]
mod tests;
