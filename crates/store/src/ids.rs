//! Which CIDs we accept, and how a block is checked against one.
//!
//! Accepted: CIDv0 and CIDv1, SHA2-256 of 32 bytes, codecs `raw` and `dag-pb`. Everything else
//! is refused at the border, identity hashes too: they carry bytes that no hash protects.

use cid::{Cid, Version};
use multihash::Multihash;
use sha2::{Digest, Sha256};

use crate::StoreError;

pub(crate) const RAW: u64 = 0x55;
pub(crate) const DAG_PB: u64 = 0x70;
const SHA2_256: u64 = 0x12;

/// Longest text form read: CIDv1 in base16 has 73 characters, base2 (never used) is refused.
const MAX_TEXT: usize = 128;

/// The SHA2-256 digest inside an accepted CID: the key under which a block is stored, so that
/// CIDv0 and CIDv1 names share one block.
pub(crate) type Digest32 = [u8; 32];

pub(crate) fn sha256(bytes: &[u8]) -> Digest32 {
    Sha256::digest(bytes).into()
}

pub(crate) fn cid_from_digest(codec: u64, digest: &Digest32) -> Cid {
    let hash = Multihash::wrap(SHA2_256, digest)
        // Cannot fail: 32 bytes fit the 64 that the multihash type holds.
        .expect("a 32-byte digest fits");
    Cid::new_v1(codec, hash)
}

/// The digest of an accepted CID, or the reason for refusing it.
pub(crate) fn digest(cid: &Cid) -> Result<Digest32, StoreError> {
    let bad = |reason| StoreError::BadCid { text: cid.to_string(), reason };
    if cid.version() == Version::V0 && cid.codec() != DAG_PB {
        return Err(bad("cidv0 is always dag-pb"));
    }
    if cid.codec() != RAW && cid.codec() != DAG_PB {
        return Err(bad("its codec is neither raw nor dag-pb"));
    }
    if cid.hash().code() != SHA2_256 {
        return Err(bad("its hash is not sha2-256"));
    }
    cid.hash().digest().try_into().map_err(|_| bad("its digest is not 32 bytes"))
}

/// Reads the binary form that on-chain structs carry: exactly one accepted CID, nothing after
/// it, and only the canonical encoding, so that one file has one byte string.
pub fn cid_from_bytes(bytes: &[u8]) -> Result<Cid, StoreError> {
    let bad = |reason| StoreError::BadCid { text: preview(bytes), reason };
    let cid = Cid::try_from(bytes).map_err(|_| bad("it is not a binary cid"))?;
    digest(&cid)?;
    if cid.to_bytes() != bytes {
        return Err(bad("it is not in canonical form"));
    }
    Ok(cid)
}

/// Reads the text form (a URL path, a flag): one accepted CID.
pub fn cid_from_text(text: &str) -> Result<Cid, StoreError> {
    let bad = |reason| StoreError::BadCid { text: text.chars().take(MAX_TEXT).collect(), reason };
    if text.len() > MAX_TEXT {
        return Err(bad("it is too long"));
    }
    let cid = Cid::try_from(text).map_err(|_| bad("it is not a cid"))?;
    digest(&cid)?;
    Ok(cid)
}

fn preview(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().take(40).map(|b| format!("{b:02x}")).collect();
    if bytes.len() > 40 { format!("0x{hex}… ({} bytes)", bytes.len()) } else { format!("0x{hex}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_form_is_exact() {
        let cid = cid_from_digest(RAW, &sha256(b"x"));
        let bytes = cid.to_bytes();
        assert_eq!(bytes.len(), 36);
        assert_eq!(cid_from_bytes(&bytes).unwrap(), cid);
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(cid_from_bytes(&longer).is_err());
        assert!(cid_from_bytes(&bytes[..35]).is_err());
        assert!(cid_from_bytes(&[]).is_err());
        // A varint with a needless second byte names the same codec: refused.
        let mut padded = vec![1, 0xd5, 0x00];
        padded.extend_from_slice(&bytes[2..]);
        assert!(cid_from_bytes(&padded).is_err());
    }

    #[test]
    fn other_kinds_are_refused() {
        let hash = Multihash::wrap(0x00, b"inline").unwrap();
        assert!(cid_from_bytes(&Cid::new_v1(RAW, hash).to_bytes()).is_err());
        let hash = Multihash::wrap(SHA2_256, &[1; 32]).unwrap();
        assert!(cid_from_bytes(&Cid::new_v1(0x71, hash).to_bytes()).is_err());
        let hash = Multihash::wrap(SHA2_256, &[1; 20]).unwrap();
        assert!(cid_from_bytes(&Cid::new_v1(RAW, hash).to_bytes()).is_err());
        for text in ["", "bafkqaaa", "../../etc/passwd", &"b".repeat(1000)] {
            assert!(cid_from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bad_vectors_are_refused() {
        let json = include_str!("../../../tests/vectors/cid/0/bad_cids.json");
        let cases: Vec<std::collections::HashMap<String, String>> = serde_json::from_str(json).unwrap();
        assert!(cases.len() >= 9);
        for case in cases {
            let hex = &case["hex"];
            let bytes: Vec<u8> =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
            assert!(cid_from_bytes(&bytes).is_err(), "{}", case["why"]);
        }
    }

    #[test]
    fn v0_and_v1_share_a_digest() {
        let v1 = cid_from_digest(DAG_PB, &sha256(b"node"));
        let v0 = Cid::new_v0(*v1.hash()).unwrap();
        assert_eq!(digest(&v0).unwrap(), digest(&v1).unwrap());
    }
}
