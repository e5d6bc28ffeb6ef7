//! XChaCha20-Poly1305 under keys that HKDF-SHA256 derives for one use each. Nonces are random: 24 bytes leave room for
//! all that a site ever seals.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::IdentityError;

const NONCE: usize = 24;

pub(crate) type Key = Zeroizing<[u8; 32]>;

/// The key for one use of a secret.
pub(crate) fn derive(secret: &[u8], label: &[u8], about: &[u8]) -> Key {
    let mut key = Zeroizing::new([0; 32]);
    // 32 bytes are far below the 8,160 that HKDF-SHA256 gives at most, so this cannot fail.
    let _ = Hkdf::<Sha256>::new(None, secret).expand_multi_info(&[label, about], key.as_mut_slice());
    key
}

/// nonce ‖ ciphertext ‖ tag.
pub(crate) fn seal(
    key: &Key,
    bound: &[u8],
    plain: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, IdentityError> {
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    let cipher = XChaCha20Poly1305::new(key.as_slice().try_into().map_err(|_| broken())?);
    let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: bound }).map_err(|_| broken())?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Nothing where it was not sealed with this key for this purpose.
pub(crate) fn open(key: &Key, bound: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let cipher = XChaCha20Poly1305::new(key.as_slice().try_into().ok()?);
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound }).map(Zeroizing::new).ok()
}

/// Only for what is longer than 256 GiB.
fn broken() -> IdentityError {
    IdentityError::Damaged { what: "what was to be sealed" }
}

/// In front of every sealed value of a journal: no seed begins with it but by a chance of 2^-64.
const MARK: &[u8; 8] = b"\xffsealed0";

/// Seals what a site's journal must not show.
#[derive(Clone)]
pub struct StateKey(pub(crate) Key);

impl StateKey {
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Seals a value under its name: it opens under no other.
    pub fn seal(
        &self,
        name: &str,
        value: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, IdentityError> {
        Ok([MARK.as_slice(), &seal(&self.0, name.as_bytes(), value, rng)?].concat())
    }

    pub fn open(&self, name: &str, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        let Some(sealed) = value.strip_prefix(MARK) else {
            // Taken as it is it would let whoever writes to the disk choose the site's seeds.
            return Err(IdentityError::Unsealed { what: name.to_owned() });
        };
        open(&self.0, name.as_bytes(), sealed).ok_or(IdentityError::Damaged { what: "a value of the journal" })
    }

    /// Whether a value looks sealed.
    pub fn is_sealed(value: &[u8]) -> bool {
        value.starts_with(MARK)
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_value_opens_under_its_own_name_only() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let key = StateKey(Zeroizing::new([7; 32]));
        let sealed = key.seal("a/seed", b"secret", &mut rng).unwrap();
        assert!(StateKey::is_sealed(&sealed) && !sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(key.open("a/seed", &sealed).unwrap().as_slice(), b"secret");
        assert!(matches!(key.open("b/seed", &sealed), Err(IdentityError::Damaged { .. })));
        assert!(matches!(key.open("a/seed", b"secret"), Err(IdentityError::Unsealed { .. })));
        assert!(StateKey(Zeroizing::new([8; 32])).open("a/seed", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(key.open("a/seed", &sealed[..cut]).is_err());
        }
    }
}
