//! The store of a folder that its operator has set bounds to: it takes no more than so many bytes, and gives room back
//! when it is told what nobody needs any more.
//!
//! What is used is counted as it is written, and nothing is written that there might be no room for. Objects that are
//! there already count again, so before anything is refused the folder is looked at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::{Dirs, EmbeddedStore, disk, read_block, sync_dir};
use crate::blocking::blocking;
use crate::walk::{Step, open};
use crate::{Block, BlockSource, Incoming, Store, StoreError, Whole, error::Place, ids};

#[derive(Debug)]
pub struct BoundedStore {
    store: EmbeddedStore,
    /// Bytes; none: as many as there is room for.
    most: Option<u64>,
    used: AtomicU64,
}

impl BoundedStore {
    pub async fn open(dir: impl Into<PathBuf>, most: Option<u64>) -> Result<Self, StoreError> {
        let bounded = Self { store: EmbeddedStore::open(dir).await?, most, used: AtomicU64::new(0) };
        if most.is_some() {
            bounded.look().await?;
        }
        Ok(bounded)
    }

    /// Removes an object, and returns how many bytes that gave back; none if it is not here. Only for objects that have
    /// no block in common with another one: of ciphertexts that is so.
    pub async fn forget(&self, cid: &Cid) -> Result<u64, StoreError> {
        let (inner, cid) = (self.store.inner.clone(), *cid);
        let freed = blocking(move || {
            let freed = forget(&inner.dirs, &cid)?;
            sync_dir(&inner.dirs.blocks)?;
            Ok(freed)
        })
        .await?;
        // It was counted when it was written, if this store has seen that.
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(freed)));
        Ok(freed)
    }

    async fn look(&self) -> Result<u64, StoreError> {
        let inner = self.store.inner.clone();
        let used = blocking(move || weigh(&inner.dirs.blocks)).await?;
        self.used.store(used, Ordering::Relaxed);
        Ok(used)
    }

    async fn room_for(&self, length: u64) -> Result<(), StoreError> {
        let Some(most) = self.most else { return Ok(()) };
        if self.used.fetch_add(length, Ordering::Relaxed).saturating_add(length) <= most {
            return Ok(());
        }
        if self.look().await?.saturating_add(length) <= most {
            self.used.fetch_add(length, Ordering::Relaxed);
            return Ok(());
        }
        let text = format!("the quota of {} MiB is reached", most >> 20);
        let source = io::Error::new(io::ErrorKind::QuotaExceeded, text);
        Err(disk("writing", &self.store.inner.dirs.blocks)(source))
    }
}

/// What lies in a folder.
fn weigh(dir: &Path) -> Result<u64, StoreError> {
    let mut used = 0_u64;
    for entry in fs::read_dir(dir).map_err(disk("listing", dir))? {
        // What is gone by now weighs nothing.
        let length = entry.map_err(disk("listing", dir))?.metadata().map_or(0, |found| found.len());
        used = used.saturating_add(length);
    }
    Ok(used)
}

/// Leaves first: what is stopped in between can be told again.
fn forget(dirs: &Dirs, cid: &Cid) -> Result<u64, StoreError> {
    let digest = ids::digest(cid)?;
    let path = dirs.block(&digest);
    let Some(bytes) = read_block(&path)? else { return Ok(0) };
    let mut freed = bytes.len() as u64;
    // A damaged block leads nowhere, and goes as well.
    if ids::sha256(&bytes) == digest
        && let Ok(Step::Inner(children, _)) = open(cid, &bytes)
    {
        for child in children {
            freed += forget(dirs, &child.cid)?;
        }
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("removing", &path)(error)),
        _ => Ok(freed),
    }
}

#[async_trait]
impl BlockSource for BoundedStore {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        self.store.fetch(cid).await
    }

    fn place(&self) -> Place {
        self.store.place()
    }
}

#[async_trait]
impl Store for BoundedStore {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        self.room_for(bytes.len() as u64).await?;
        self.store.put(bytes).await
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        let length = fs::metadata(path).map_err(disk("reading", path))?.len();
        self.room_for(length).await?;
        self.store.put_file(path).await
    }

    async fn put_all(&self, objects: Vec<Bytes>) -> Result<Vec<Cid>, StoreError> {
        self.room_for(objects.iter().map(|object| object.len() as u64).sum()).await?;
        self.store.put_all(objects).await
    }

    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.store.block(cid).await
    }

    fn incoming(&self) -> Incoming {
        self.store.incoming()
    }

    /// What arrives is counted once it is whole; refused then, it is gone.
    async fn keep(&self, objects: Vec<Whole>) -> Result<(), StoreError> {
        self.room_for(objects.iter().map(Whole::length).sum()).await?;
        self.store.keep(objects).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// So long that it has a root and leaves, and its like is nowhere.
    fn noise(seed: u8, length: usize) -> Bytes {
        let mut word = u64::from(seed) + 1;
        let mut next = || {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (word >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[tokio::test]
    async fn it_is_full_before_the_disk_is_and_has_room_again_once_something_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = BoundedStore::open(dir.path(), Some(10 << 20)).await.unwrap();
        let (first, second) = (noise(1, 3 * MIB), noise(2, 3 * MIB));
        let (one, two) = (store.put(first.clone()).await.unwrap(), store.put(second.clone()).await.unwrap());
        // What is there is not written again, and leaves as much room as before.
        for _ in 0..3 {
            assert_eq!(store.put(first.clone()).await.unwrap(), one);
        }
        let error = store.put(noise(3, 5 * MIB)).await.unwrap_err();
        assert!(error.is_full_disk() && error.to_string().contains("the quota of 10 MiB"), "{error}");
        // The same for whoever opens the folder next.
        let store = BoundedStore::open(dir.path(), Some(10 << 20)).await.unwrap();
        assert!(store.put_all(vec![noise(3, 3 * MIB), noise(4, 2 * MIB)]).await.unwrap_err().is_full_disk());

        assert!(store.forget(&one).await.unwrap() > 3 * MIB as u64, "its leaves and its root");
        assert_eq!(store.forget(&one).await.unwrap(), 0);
        assert!(store.get(&one, u64::MAX).await.unwrap_err().is_missing());
        assert_eq!(store.get(&two, u64::MAX).await.unwrap(), second);
        let arrived = |seed, length| {
            let mut incoming = store.incoming();
            incoming.write(&noise(seed, length)).unwrap();
            incoming.finish().unwrap()
        };
        assert!(store.keep(vec![arrived(5, 8 * MIB)]).await.unwrap_err().is_full_disk());
        store.keep(vec![arrived(3, 5 * MIB)]).await.unwrap();
        assert_eq!(fs::read_dir(dir.path().join("blocks")).unwrap().count(), 4 + 6, "two roots, three leaves and five");
    }

    #[tokio::test]
    async fn without_a_bound_it_takes_what_there_is_room_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = BoundedStore::open(dir.path(), None).await.unwrap();
        let cid = store.put(noise(1, 10)).await.unwrap();
        assert_eq!(store.forget(&cid).await.unwrap(), 10);
    }
}
