//! The vault: a site's EVM key, under a random secret that is wrapped once for each thing that may open it.
//!
//! A change of password or recovery code wraps the secret anew and touches nothing else; what was sealed stays sealed.
//! Nothing in the file can be guessed at: the export key and the codes have at least 128 bits each.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::seal::{Key, derive, open, seal};
use crate::{Account, ExportKey, IdentityError, RecoveryCode, StateKey, UnlockSecret};

pub(crate) const VERSION: u64 = 1;

const PASSWORD: &[u8] = b"almoner/vault/password/v1";
const RECOVERY: &[u8] = b"almoner/vault/recovery/v1";
const UNLOCK: &[u8] = b"almoner/vault/unlock/v1";
const EVM_KEY: &[u8] = b"almoner/vault/evm-key/v1";
const STATE: &[u8] = b"almoner/vault/state/v1";

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    pub(crate) almoner_vault: u64,
    #[serde(with = "crate::file::hexadecimal")]
    account: Vec<u8>,
    /// One, or more while a password is being changed: which of them holds is the coordinator's to say.
    password: Vec<Wrapped>,
    recovery: Wrapped,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unlock: Option<Wrapped>,
    key: Wrapped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wrapped(#[serde(with = "crate::file::hexadecimal")] Vec<u8>);

/// What a vault is opened with.
#[derive(Debug)]
pub enum Opener<'a> {
    Password(&'a ExportKey),
    Recovery(&'a RecoveryCode),
    Unlock(&'a UnlockSecret),
}

/// An open vault: the secret that everything else is under.
pub struct OpenVault {
    secret: Key,
    account: Account,
    evm_key: Key,
}

impl Opener<'_> {
    fn secret_and_label(&self) -> (&[u8], &'static [u8]) {
        match self {
            Self::Password(export) => (export.0.as_slice(), PASSWORD),
            Self::Recovery(code) => (code.secret(), RECOVERY),
            Self::Unlock(secret) => (secret.secret(), UNLOCK),
        }
    }

    fn wrap(
        &self,
        account: &Account,
        secret: &Key,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Wrapped, IdentityError> {
        let (own, label) = self.secret_and_label();
        seal(&derive(own, label, account), label, secret.as_slice(), rng).map(Wrapped)
    }

    fn unwrap(&self, account: &Account, wrapped: &Wrapped) -> Option<Key> {
        let (own, label) = self.secret_and_label();
        key_of(&open(&derive(own, label, account), label, &wrapped.0)?)
    }
}

impl Vault {
    /// A vault for this key, which a password and a recovery code open.
    pub fn create(
        account: Account,
        evm_key: &[u8; 32],
        password: &ExportKey,
        recovery: &RecoveryCode,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, IdentityError> {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        let key = seal(&derive(secret.as_slice(), EVM_KEY, &account), EVM_KEY, evm_key, rng)?;
        Ok(Self {
            almoner_vault: VERSION,
            account: account.to_vec(),
            password: vec![Opener::Password(password).wrap(&account, &secret, rng)?],
            recovery: Opener::Recovery(recovery).wrap(&account, &secret, rng)?,
            unlock: None,
            key: Wrapped(key),
        })
    }

    /// The account whose key is inside. Known without opening it, and bound to all that is in it.
    pub fn account(&self) -> Result<Account, IdentityError> {
        self.account.as_slice().try_into().map_err(|_| IdentityError::Damaged { what: "the vault's account" })
    }

    pub fn open(&self, opener: &Opener<'_>) -> Result<OpenVault, IdentityError> {
        let account = self.account()?;
        let (wraps, refused) = match opener {
            Opener::Password(_) => (self.password.as_slice(), IdentityError::OlderVault),
            Opener::Recovery(_) => (std::slice::from_ref(&self.recovery), IdentityError::WrongOpener("recovery code")),
            Opener::Unlock(_) => (self.unlock.as_slice(), IdentityError::WrongOpener("unlock secret")),
        };
        let secret = wraps.iter().find_map(|wrapped| opener.unwrap(&account, wrapped)).ok_or(refused)?;
        let key = open(&derive(secret.as_slice(), EVM_KEY, &account), EVM_KEY, &self.key.0);
        let evm_key =
            key.and_then(|key| key_of(&key)).ok_or(IdentityError::Damaged { what: "the key in the vault" })?;
        Ok(OpenVault { secret, account, evm_key })
    }

    /// The vault with a further password, while it is not known which of them the coordinator will hold.
    pub fn and_password(
        mut self,
        open: &OpenVault,
        password: &ExportKey,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, IdentityError> {
        self.password.push(Opener::Password(password).wrap(&open.account, &open.secret, rng)?);
        Ok(self)
    }

    /// The vault with this password and this recovery code, and no earlier ones.
    pub fn with_password(
        mut self,
        open: &OpenVault,
        password: &ExportKey,
        recovery: &RecoveryCode,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, IdentityError> {
        self.password = vec![Opener::Password(password).wrap(&open.account, &open.secret, rng)?];
        self.recovery = Opener::Recovery(recovery).wrap(&open.account, &open.secret, rng)?;
        Ok(self)
    }

    /// The vault with this unlock secret in place of an earlier one.
    pub fn with_unlock(
        mut self,
        open: &OpenVault,
        unlock: &UnlockSecret,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, IdentityError> {
        self.unlock = Some(Opener::Unlock(unlock).wrap(&open.account, &open.secret, rng)?);
        Ok(self)
    }
}

impl OpenVault {
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The site's secp256k1 secret.
    pub fn evm_key(&self) -> &[u8; 32] {
        &self.evm_key
    }

    pub fn state_key(&self) -> StateKey {
        StateKey(derive(self.secret.as_slice(), STATE, &self.account))
    }
}

fn key_of(bytes: &[u8]) -> Option<Key> {
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return None;
    }
    key.copy_from_slice(bytes);
    Some(key)
}

impl std::fmt::Debug for OpenVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenVault(redacted)")
    }
}

#[cfg(test)]
mod tests;
