//! An account's key: signs transactions and messages, is wiped from memory, and never shows itself.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use alloy::primitives::{Address, B256, hex};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::LedgerError;

/// A secp256k1 key. The inner signing key wipes itself when dropped.
#[derive(Clone)]
pub struct SigningKey {
    signer: PrivateKeySigner,
}

impl SigningKey {
    /// The key with this secret; refuses zero and what is not below the group order.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, LedgerError> {
        let signer =
            PrivateKeySigner::from_slice(secret).map_err(|_| LedgerError::Key("not a secp256k1 key".into()))?;
        Ok(Self { signer })
    }

    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        loop {
            let mut secret = Zeroizing::new([0; 32]);
            rng.fill_bytes(secret.as_mut());
            // All but one in 2^128 draws are keys.
            if let Ok(key) = Self::from_bytes(&secret) {
                return key;
            }
        }
    }

    /// For whoever puts it away under lock and key.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signer.to_bytes().0)
    }

    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Signs a digest: r, s, v with s in the lower half and v 27 or 28. The same digest gives the same signature.
    pub fn sign_hash(&self, hash: B256) -> Result<[u8; 65], LedgerError> {
        let signature = self.signer.sign_hash_sync(&hash).map_err(|error| LedgerError::Key(error.to_string()))?;
        Ok(signature.as_bytes())
    }

    pub(crate) fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    /// Writes the key as hexadecimal into a new file that only its owner may read.
    pub fn save(&self, path: &Path) -> Result<(), LedgerError> {
        let failed = |error: std::io::Error| LedgerError::Key(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        let secret = self.to_bytes();
        let mut line = Zeroizing::new([b'\n'; 65]);
        hex::encode_to_slice(secret.as_slice(), &mut line[..64])
            .map_err(|error| LedgerError::Key(error.to_string()))?;
        file.write_all(line.as_slice()).map_err(failed)?;
        file.sync_all().map_err(failed)
    }

    /// Reads a key file; refuses one that others may read.
    pub fn load(path: &Path) -> Result<Self, LedgerError> {
        let failed = |error: std::io::Error| LedgerError::Key(format!("{}: {error}", path.display()));
        let length = fs::metadata(path).map_err(failed)?.len();
        if length > 128 {
            return Err(LedgerError::Key(format!("{} is not a key file", path.display())));
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).map_err(failed)?);
            if mode & 0o077 != 0 {
                return Err(LedgerError::Key(format!("{} may be read by others: chmod 600 it", path.display())));
            }
        }
        let text = Zeroizing::new(fs::read(path).map_err(failed)?);
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim_ascii(), secret.as_mut_slice())
            .map_err(|_| LedgerError::Key(format!("{} does not hold 32 bytes in hexadecimal", path.display())))?;
        Self::from_bytes(&secret)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("address", &self.address()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_what_the_protocol_recovers() {
        let key = SigningKey::from_bytes(&[9; 32]).unwrap();
        let hash = B256::repeat_byte(3);
        let signature = key.sign_hash(hash).unwrap();
        assert_eq!(almoner_protocol::types::recover(hash, &signature).unwrap(), key.address());
        assert!(SigningKey::from_bytes(&[0; 32]).is_err());
        assert!(SigningKey::from_bytes(&[0xff; 32]).is_err());
    }

    #[test]
    fn a_key_never_shows_itself() {
        let key = SigningKey::from_bytes(&[9; 32]).unwrap();
        assert!(!format!("{key:?}").contains("0909"));
    }

    #[test]
    #[cfg(unix)]
    fn key_files_are_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = SigningKey::from_bytes(&[9; 32]).unwrap();
        key.save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SigningKey::load(&path).unwrap().address(), key.address());
        assert!(key.save(&path).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(SigningKey::load(&path).unwrap_err().to_string().contains("chmod"));
    }
}
