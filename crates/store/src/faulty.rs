//! A store that goes wrong on purpose, the same way for the same seed.
//!
//! Faults are data: a seed and rates decide for every block, by its digest, whether and how its
//! source fails; single blocks can be singled out. Reads of files go through the same checks as
//! with any source and so end in a typed error; [`Store::block`] alone hands the bad bytes out,
//! which makes a gateway over this store a lying gateway.
//!
//! [`FaultyStore::alter`] is for readers that should not have to rely on any of this, and hold
//! what they read against roots of their own: it changes a file behind the checks.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::{
    Block, BlockSource, Incoming, Store, StoreError, Whole, dag,
    error::Place,
    ids::{self, Digest32, sha256},
};

/// How a block's source fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Injected {
    Missing,
    FlippedByte,
    Truncated,
}

/// Which blocks fail: rates in thousandths, drawn from the seed and the block's digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    pub seed: u64,
    pub missing_per_mille: u16,
    pub flipped_per_mille: u16,
    pub truncated_per_mille: u16,
    /// A failing block is right again after this many failed reads; `None`: never.
    pub heals_after: Option<u32>,
}

impl Faults {
    fn draw(&self, digest: &Digest32) -> Option<Injected> {
        let roll = (word(self.seed, digest) % 1000) as u16;
        let missing = self.missing_per_mille;
        let flipped = missing.saturating_add(self.flipped_per_mille);
        let truncated = flipped.saturating_add(self.truncated_per_mille);
        match roll {
            r if r < missing => Some(Injected::Missing),
            r if r < flipped => Some(Injected::FlippedByte),
            r if r < truncated => Some(Injected::Truncated),
            _ => None,
        }
    }
}

/// A number that depends on seed and block alone.
fn word(seed: u64, digest: &Digest32) -> u64 {
    let mut input = seed.to_le_bytes().to_vec();
    input.extend_from_slice(digest);
    let hash = sha256(&input);
    // Eight of 32 bytes.
    u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
}

/// A store whose reads fail as [`Faults`] say. Writes pass through.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    singled_out: HashMap<Digest32, Injected>,
    altered: HashMap<Digest32, u64>,
    failed: HashMap<Digest32, u32>,
}

impl FaultyStore {
    pub fn new(inner: Arc<dyn Store>, faults: Faults) -> Self {
        Self { inner, faults, state: Mutex::default() }
    }

    /// Makes one block fail, whatever the rates say.
    pub fn inject(&self, cid: &Cid, fault: Injected) -> Result<(), StoreError> {
        let digest = ids::digest(cid)?;
        self.lock().singled_out.insert(digest, fault);
        Ok(())
    }

    /// Gives the byte at an offset of a file wrong to [`Store::get`] and [`Store::range`], which then do not notice.
    pub fn alter(&self, cid: &Cid, offset: u64) -> Result<(), StoreError> {
        let digest = ids::digest(cid)?;
        self.lock().altered.insert(digest, offset);
        Ok(())
    }

    /// What a reader gets of a file's bytes from `offset` on.
    fn altered(&self, cid: &Cid, offset: u64, bytes: Bytes) -> Result<Bytes, StoreError> {
        let altered = self.lock().altered.get(&ids::digest(cid)?).copied();
        let Some(at) = altered.and_then(|at| usize::try_from(at.checked_sub(offset)?).ok()) else { return Ok(bytes) };
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        Ok(bytes.into())
    }

    /// How many reads failed so far.
    pub fn failures(&self) -> u64 {
        self.lock().failed.values().map(|n| u64::from(*n)).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault of this read, counted.
    fn next_fault(&self, digest: &Digest32) -> Option<Injected> {
        let mut state = self.lock();
        let fault = match state.singled_out.get(digest) {
            Some(fault) => *fault,
            None => self.faults.draw(digest)?,
        };
        let failed = state.failed.entry(*digest).or_default();
        if self.faults.heals_after.is_some_and(|limit| *failed >= limit) {
            return None;
        }
        *failed = failed.saturating_add(1);
        Some(fault)
    }
}

fn flip(block: &Bytes, word: u64) -> Bytes {
    let mut bytes = block.to_vec();
    // An empty block has no byte to flip: grow one instead.
    if bytes.is_empty() {
        return Bytes::from_static(&[0]);
    }
    let at = (word % bytes.len() as u64) as usize;
    bytes[at] ^= 1 << (word >> 61);
    bytes.into()
}

fn truncate(block: &Bytes, word: u64) -> Bytes {
    if block.is_empty() {
        return flip(block, word);
    }
    // The remainder is below the length.
    block.slice(..(word % block.len() as u64) as usize)
}

#[async_trait]
impl BlockSource for FaultyStore {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let digest = ids::digest(cid)?;
        let block = self.inner.fetch(cid).await?;
        let word = word(self.faults.seed ^ 1, &digest);
        match self.next_fault(&digest) {
            None => Ok(block),
            Some(Injected::Missing) => Err(StoreError::Missing { cid: (*cid).into(), place: self.place() }),
            Some(Injected::FlippedByte) => Ok(flip(&block.into_unchecked(), word).into()),
            Some(Injected::Truncated) => Ok(truncate(&block.into_unchecked(), word).into()),
        }
    }

    fn place(&self) -> Place {
        Place::new(format!("faulty {}", self.inner.place()))
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        self.inner.put(bytes).await
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        self.inner.put_file(path).await
    }

    async fn put_all(&self, objects: Vec<Bytes>) -> Result<Vec<Cid>, StoreError> {
        self.inner.put_all(objects).await
    }

    fn incoming(&self) -> Incoming {
        self.inner.incoming()
    }

    async fn expect(&self, length: u64) -> Result<Incoming, StoreError> {
        self.inner.expect(length).await
    }

    async fn keep(&self, objects: Vec<Whole>) -> Result<(), StoreError> {
        self.inner.keep(objects).await
    }

    async fn get(&self, cid: &Cid, max: u64) -> Result<Bytes, StoreError> {
        let mut out = Vec::new();
        self.get_to(cid, max, &mut out).await?;
        self.altered(cid, 0, out.into())
    }

    async fn range(&self, cid: &Cid, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.altered(cid, offset, dag::range(self, cid, offset, len).await?)
    }

    /// What a lying peer would serve: unverified, unlike in any other store.
    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        match self.fetch(cid).await {
            Err(error) if error.is_missing() => Ok(None),
            other => other.map(|block| Some(block.into_unchecked())),
        }
    }
}

#[cfg(test)]
mod tests;
