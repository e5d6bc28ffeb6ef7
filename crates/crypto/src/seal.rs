//! A share in an envelope that one member opens.
//!
//! Purpose: shares travel through the coordinator's store, which must learn nothing from them, now or later.
//! Steps: HPKE, base mode: KEM X-Wing (0x647a: ML-KEM-768 with X25519), KDF HKDF-SHA256 (0x0001), AEAD
//! ChaCha20-Poly1305 (0x0003). Wire: encapsulated key ‖ ciphertext of salt ‖ words, always [`SEALED_BYTES`] long.
//! Attacks answered: a recorded envelope opened by a later quantum computer (ML-KEM) or by a flaw in ML-KEM (X25519);
//! an envelope replayed into another round (info holds ctx; aad holds the round), passed off as another participant's
//! or another member's, or put beside another ciphertext (aad holds sender, index and all three roots).
//! Not protected: base mode does not prove who sealed; the signed manifest names the envelope's CID. Keys are fresh
//! per round and it is for their owner to erase them.

use core::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::error::{CryptoError, Result, expect_len};
use crate::share::{SALT_BYTES, SHARE_BYTES, ShareVec, salted};
use crate::tree::Hash;

/// Bytes of a member's public key.
pub const PUBLIC_KEY_BYTES: usize = 1216;
/// Bytes of an encapsulated key.
pub const ENCAPSULATED_BYTES: usize = 1120;
/// Bytes of a sealed share: encapsulated key, salt, words, tag.
pub const SEALED_BYTES: usize = ENCAPSULATED_BYTES + SALT_BYTES + SHARE_BYTES + TAG_BYTES;

const TAG_BYTES: usize = 16;
const INFO_LABEL: &[u8] = b"almoner/share/v0";

/// A committee member's key pair of one round. Its 32-byte X-Wing seed is wiped on drop and never printed; what follows
/// from the seed is worked out once, which costs as much as opening an envelope.
pub struct MemberKey(Box<<XWing as Kem>::PrivateKey>);

impl MemberKey {
    /// A fresh key pair.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// The key pair of a stored seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = Deserializable::from_bytes(seed);
        // Cannot fail: any 32 bytes are a seed.
        Self(Box::new(key.expect("32 bytes")))
    }

    /// The seed, for the member's own journal.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        self.0.write_exact(seed.as_mut_slice());
        seed
    }

    /// The public key, as it stands in the committee list.
    pub fn public(&self) -> [u8; PUBLIC_KEY_BYTES] {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        XWing::sk_to_pk(&self.0).write_exact(&mut bytes);
        bytes
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey(redacted)")
    }
}

/// What an envelope is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareAad {
    pub round: u64,
    pub participant: [u8; 20],
    /// Committee index of the member it is for.
    pub member: u16,
    pub ciphertext_root: Hash,
    pub check_root: Hash,
    pub share_root: Hash,
}

impl ShareAad {
    fn to_bytes(self) -> Vec<u8> {
        [
            &self.round.to_be_bytes()[..],
            &self.participant,
            &self.member.to_be_bytes(),
            &self.ciphertext_root,
            &self.check_root,
            &self.share_root,
        ]
        .concat()
    }
}

fn info(ctx: &[u8; 32]) -> Vec<u8> {
    [INFO_LABEL, ctx].concat()
}

/// Seals a share to a member.
pub fn seal_share(
    public_key: &[u8],
    ctx: &[u8; 32],
    aad: &ShareAad,
    salt: &[u8; SALT_BYTES],
    share: &ShareVec,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>> {
    let key = <XWing as Kem>::PublicKey::from_bytes(public_key).map_err(|_| CryptoError::Key)?;
    let mode = OpModeS::Base;
    let (encapsulated, mut context) =
        setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(&mode, &key, &info(ctx), rng)
            .map_err(|_| CryptoError::Key)?;
    let body = context.seal(&salted(salt, share), &aad.to_bytes()).map_err(|_| CryptoError::Key)?;
    let mut out = encapsulated.to_bytes().to_vec();
    out.extend_from_slice(&body);
    Ok(out)
}

/// Opens an envelope: the salt and the share, every word checked.
pub fn open_share(
    key: &MemberKey,
    ctx: &[u8; 32],
    aad: &ShareAad,
    sealed: &[u8],
) -> Result<(Zeroizing<[u8; SALT_BYTES]>, ShareVec)> {
    expect_len("sealed share", sealed.len(), SEALED_BYTES)?;
    let (encapsulated, body) = sealed.split_at(ENCAPSULATED_BYTES);
    let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| CryptoError::Unseal)?;
    let mode = OpModeR::Base;
    let plain = setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&mode, &key.0, &encapsulated, &info(ctx))
        .and_then(|mut context| context.open(body, &aad.to_bytes()))
        .map(Zeroizing::new)
        .map_err(|_| CryptoError::Unseal)?;
    let (head, words) = plain.split_at(SALT_BYTES);
    let mut salt = Zeroizing::new([0; SALT_BYTES]);
    salt.copy_from_slice(head);
    Ok((salt, ShareVec::from_bytes(words)?))
}

#[cfg(test)]
mod tests;
