//! A block on its way from a source to its reader, and the one place where blocks are hashed.
//!
//! Hashing is most of the work of reading, so it is done once: a [`Block`] remembers the digest
//! that it was checked against, and only this file can make it remember one.

use bytes::Bytes;
use cid::Cid;

use crate::{
    MAX_BLOCK, Refusal, StoreError,
    error::Place,
    ids::{self, Digest32},
};

/// Bytes that claim to be a block. They can be had only by naming the CID they must match.
#[derive(Clone, Debug)]
pub struct Block {
    bytes: Bytes,
    checked: Option<Digest32>,
}

impl From<Bytes> for Block {
    /// Bytes that nobody has looked at.
    fn from(bytes: Bytes) -> Self {
        Self { bytes, checked: None }
    }
}

impl Block {
    /// Size first, hash second: nothing else looks at the bytes before both hold.
    pub(crate) fn check(mut self, cid: &Cid, place: &Place) -> Result<Self, StoreError> {
        let refused = |reason| StoreError::Refused { cid: (*cid).into(), place: place.clone(), reason };
        let digest = ids::digest(cid)?;
        if self.checked == Some(digest) {
            return Ok(self);
        }
        if self.bytes.len() > MAX_BLOCK {
            return Err(refused(Refusal::Oversize));
        }
        if ids::sha256(&self.bytes) != digest {
            return Err(refused(Refusal::WrongHash));
        }
        self.checked = Some(digest);
        Ok(self)
    }

    /// The bytes, if they are what `cid` says; `place` is blamed if not.
    pub fn open(self, cid: &Cid, place: &Place) -> Result<Bytes, StoreError> {
        self.check(cid, place).map(|block| block.bytes)
    }

    /// The same bytes; what they keep is dropped with the last of them.
    pub(crate) fn keeping<T: Send + 'static>(self, kept: T) -> Self {
        Self { bytes: Bytes::from_owner(Keeping { bytes: self.bytes, _kept: kept }), checked: self.checked }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes whatever they are: for whoever passes them on, or makes them wrong on purpose.
    pub(crate) fn into_unchecked(self) -> Bytes {
        self.bytes
    }
}

struct Keeping<T> {
    bytes: Bytes,
    _kept: T,
}

impl<T> AsRef<[u8]> for Keeping<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_counts_for_its_own_cid_only() {
        let place = Place::new("test");
        let (one, two) = (crate::cid_of(b"1", crate::Layout::V1_2025), b"2");
        let two_cid = crate::cid_of(two, crate::Layout::V1_2025);
        let block = Block::from(Bytes::from_static(b"1")).check(&one, &place).unwrap();
        assert!(block.clone().open(&one, &place).is_ok());
        assert!(block.open(&two_cid, &place).is_err());
        let large = Bytes::from(vec![0; MAX_BLOCK + 1]);
        let cid = ids::cid_from_digest(ids::RAW, &ids::sha256(&large));
        let error = Block::from(large).open(&cid, &place).unwrap_err();
        assert!(matches!(error, StoreError::Refused { reason: Refusal::Oversize, .. }));
    }
}
