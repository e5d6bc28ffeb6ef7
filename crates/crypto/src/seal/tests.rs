use subtle::ConstantTimeEq;

use super::*;
use crate::share::deal;
use crate::testing::{rng, secret};

struct Sent {
    key: MemberKey,
    aad: ShareAad,
    share: ShareVec,
    sealed: Vec<u8>,
}

const CTX: [u8; 32] = [7; 32];
const SALT: [u8; 32] = [8; 32];

fn sent() -> Sent {
    let mut rng = rng(5);
    let key = MemberKey::generate(&mut rng);
    let share = deal(&secret(1), 4, 3, &mut rng).unwrap().remove(2);
    let aad = ShareAad {
        round: 12,
        participant: [3; 20],
        member: 2,
        ciphertext_root: [4; 32],
        check_root: [5; 32],
        share_root: [6; 32],
    };
    let sealed = seal_share(&key.public(), &CTX, &aad, &SALT, &share, &mut rng).unwrap();
    Sent { key, aad, share, sealed }
}

#[test]
fn a_sealed_share_opens_for_its_member() {
    let s = sent();
    assert_eq!(s.sealed.len(), SEALED_BYTES);
    let restored = MemberKey::from_seed(&s.key.to_seed());
    for key in [s.key, restored] {
        let (salt, share) = open_share(&key, &CTX, &s.aad, &s.sealed).unwrap();
        assert_eq!(*salt, SALT);
        assert!(bool::from(share.ct_eq(&s.share)));
        assert_eq!(format!("{key:?}"), "MemberKey(redacted)");
    }
}

#[test]
fn another_round_sender_member_or_root_is_refused() {
    let s = sent();
    let mut others = [s.aad; 6];
    others[0].round += 1;
    others[1].participant[19] ^= 1;
    others[2].member += 1;
    others[3].ciphertext_root[0] ^= 1;
    others[4].check_root[0] ^= 1;
    others[5].share_root[0] ^= 1;
    for aad in others {
        assert_eq!(open_share(&s.key, &CTX, &aad, &s.sealed).unwrap_err(), CryptoError::Unseal);
    }
    assert_eq!(open_share(&s.key, &[0; 32], &s.aad, &s.sealed).unwrap_err(), CryptoError::Unseal);
    let stranger = MemberKey::generate(&mut rng(6));
    assert_eq!(open_share(&stranger, &CTX, &s.aad, &s.sealed).unwrap_err(), CryptoError::Unseal);
}

#[test]
fn truncated_extended_and_flipped_envelopes_are_refused() {
    let s = sent();
    for n in [0, ENCAPSULATED_BYTES, SEALED_BYTES - 1] {
        let refused = open_share(&s.key, &CTX, &s.aad, &s.sealed[..n]).unwrap_err();
        assert!(matches!(refused, CryptoError::Length { .. }));
    }
    let long = [s.sealed.as_slice(), &[0]].concat();
    assert!(matches!(open_share(&s.key, &CTX, &s.aad, &long), Err(CryptoError::Length { .. })));
    // ML-KEM part, X25519 part, salt, words, tag.
    for at in [0, 1100, ENCAPSULATED_BYTES, 9000, SEALED_BYTES - 1] {
        let mut flipped = s.sealed.clone();
        flipped[at] ^= 1;
        assert_eq!(open_share(&s.key, &CTX, &s.aad, &flipped).unwrap_err(), CryptoError::Unseal, "{at}");
    }
}

#[test]
fn malformed_keys_are_refused() {
    let s = sent();
    let public = s.key.public();
    let seal = |key: &[u8]| seal_share(key, &CTX, &s.aad, &SALT, &s.share, &mut rng(1));
    assert_eq!(seal(&public[1..]).unwrap_err(), CryptoError::Key);
    assert_eq!(seal(&[]).unwrap_err(), CryptoError::Key);
    // ML-KEM coefficients beyond its modulus.
    assert_eq!(seal(&[0xff; PUBLIC_KEY_BYTES]).unwrap_err(), CryptoError::Key);
}
