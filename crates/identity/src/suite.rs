//! The OPAQUE suite, its sizes, and what both ends bind an exchange to.

use std::fmt;

use opaque_ke::argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::errors::ProtocolError;
use opaque_ke::{CipherSuite, Identifiers, Ristretto255, TripleDh};
use sha2_opaque::Sha512;
use zeroize::Zeroizing;

use crate::IdentityError;

pub(crate) struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, Sha512>;
    type Ksf = Argon2<'static>;
}

/// An EVM account, under which a site is enrolled.
pub type Account = [u8; 20];
/// Names one registration. Drawn anew for each: the evaluation key of the password follows from it.
pub type Credential = [u8; CREDENTIAL];

pub const CREDENTIAL: usize = 32;
pub const REGISTER_START: usize = 32;
pub const REGISTER_REPLY: usize = 64;
pub const REGISTER_FINISH: usize = 192;
pub const LOGIN_START: usize = 96;
pub const LOGIN_REPLY: usize = 320;
pub const LOGIN_FINISH: usize = 64;

/// Bound into every login; another protocol version is another context.
const CONTEXT: &[u8] = b"almoner/opaque/v0";
const COORDINATOR: &[u8] = b"almoner/coordinator/v0";

/// What both ends bind a login to. `channel` is what they know their line by, nothing where it is in the clear: between
/// two lines that differ in it nobody can pass a login on.
pub(crate) fn context(channel: &[u8]) -> Vec<u8> {
    [CONTEXT, channel].concat()
}

pub(crate) fn identifiers(account: &Account) -> Identifiers<'_> {
    Identifiers { client: Some(account), server: Some(COORDINATOR) }
}

/// What only the password and the coordinator's help give, the same at every login with one credential.
pub struct ExportKey(pub(crate) Zeroizing<[u8; 64]>);

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportKey(redacted)")
    }
}

/// How hard a guess is. The client pays it, the server never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Stretch {
    /// Argon2id, 64 MiB, three passes: four fifths of a second on one core. Part of the vault's version 1: with others
    /// the same password is another one.
    pub const STANDARD: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// For tests of everything else.
    pub const INSECURE: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    pub(crate) fn argon2(self) -> Result<Argon2<'static>, IdentityError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, None);
        let params = params.map_err(|_| IdentityError::Message("argon2 parameters"))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

/// A message of the peer that does not parse, or a value that no honest peer sends.
pub(crate) fn message(what: &'static str) -> impl Fn(ProtocolError) -> IdentityError {
    move |_| IdentityError::Message(what)
}

/// The library's buffers as arrays: their lengths are the suite's, and a test holds them against the constants.
pub(crate) fn array<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], IdentityError> {
    bytes.try_into().map_err(|_| IdentityError::Message(what))
}
