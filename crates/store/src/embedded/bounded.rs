//! The store of a folder that its operator has set bounds to: it takes no more than so many bytes, and gives room back
//! when it is told what nobody needs any more.
//!
//! What is used is counted as it is written, and nothing is written that there might be no room for: what comes in pieces
//! has its room from the beginning, where its length is known then. Objects that are there already count again, so before
//! anything is refused the folder is looked at.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::room::{Books, Room};
use super::{Dirs, EmbeddedStore, Inner, disk, read_block, sync_dir};
use crate::blocking::blocking;
use crate::ids::Digest32;
use crate::pb::Child;
use crate::walk::{Step, open};
use crate::{Block, BlockSource, Incoming, Store, StoreError, Whole, error::Place, ids};

#[derive(Debug)]
pub struct BoundedStore {
    store: EmbeddedStore,
    /// Bytes; none: as many as there is room for.
    most: Option<u64>,
    books: Books,
}

impl BoundedStore {
    pub async fn open(dir: impl Into<PathBuf>, most: Option<u64>) -> Result<Self, StoreError> {
        let bounded = Self { store: EmbeddedStore::open(dir).await?, most, books: Books::default() };
        if most.is_some() {
            bounded.look().await?;
        }
        Ok(bounded)
    }

    /// From now on nothing is forgotten that is stored, or turns out to be stored already: nobody who decides what is
    /// still needed can know of it yet. What was watched before is let go.
    pub fn watch(&self) {
        *self.store.inner.since() = Some(HashSet::new());
    }

    /// Removes objects but for those blocks that `kept` ones consist of, too, and those that came since
    /// [`Self::watch`]. Returns how many bytes that gave back. Of what is kept no leaf is read.
    pub async fn forget(&self, gone: Vec<Cid>, kept: Vec<Cid>) -> Result<u64, StoreError> {
        let inner = self.store.inner.clone();
        let freed = blocking(move || {
            let mut needed = HashSet::new();
            kept.iter().try_for_each(|cid| need(&inner.dirs, cid, &mut needed))?;
            let mut freed = 0;
            for cid in &gone {
                freed += forget(&inner, cid, &needed)?;
            }
            sync_dir(&inner.dirs.blocks)?;
            Ok(freed)
        })
        .await?;
        // It was counted when it was written, if this store has seen that.
        self.books.freed(freed);
        Ok(freed)
    }

    async fn look(&self) -> Result<(), StoreError> {
        let inner = self.store.inner.clone();
        self.books.counted(blocking(move || weigh(&inner.dirs.blocks)).await?);
        Ok(())
    }

    /// None is needed where there is no quota.
    async fn room_for(&self, length: u64) -> Result<Option<Room>, StoreError> {
        let Some(most) = self.most else { return Ok(None) };
        if let Some(room) = self.books.reserve(length, most) {
            return Ok(Some(room));
        }
        self.look().await?;
        if let Some(room) = self.books.reserve(length, most) {
            return Ok(Some(room));
        }
        let text = format!("the quota of {} MiB is reached", most >> 20);
        let source = io::Error::new(io::ErrorKind::QuotaExceeded, text);
        Err(disk("writing", &self.store.inner.dirs.blocks)(source))
    }

    /// Writes what there is room for.
    async fn within<T>(
        &self,
        length: u64,
        write: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let room = self.room_for(length).await?;
        let written = write.await?;
        room.map(Room::used);
        Ok(written)
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

/// What an object consists of. What is not here is not needed either, and what is damaged leads nobody on.
fn need(dirs: &Dirs, cid: &Cid, needed: &mut HashSet<Digest32>) -> Result<(), StoreError> {
    let digest = ids::digest(cid)?;
    if !needed.insert(digest) || cid.codec() == ids::RAW {
        return Ok(());
    }
    let Some(bytes) = read_block(&dirs.block(&digest))? else { return Ok(()) };
    children(cid, &bytes, &digest).iter().try_for_each(|child| need(dirs, &child.cid, needed))
}

/// None of a damaged block.
fn children(cid: &Cid, bytes: &Bytes, digest: &Digest32) -> Vec<Child> {
    match ids::sha256(bytes) == *digest {
        true => open(cid, bytes).map_or_else(|_| Vec::new(), Step::into_children),
        false => Vec::new(),
    }
}

/// Leaves first: what is stopped in between can be told again.
fn forget(inner: &Inner, cid: &Cid, needed: &HashSet<Digest32>) -> Result<u64, StoreError> {
    let digest = ids::digest(cid)?;
    let path = inner.dirs.block(&digest);
    // Whoever needs a block needs all that is below it.
    if needed.contains(&digest) {
        return Ok(0);
    }
    let Some(bytes) = read_block(&path)? else { return Ok(0) };
    let mut freed = 0;
    // A damaged block leads nowhere, and goes as well.
    for child in children(cid, &bytes, &digest) {
        freed += forget(inner, &child.cid, needed)?;
    }
    let since = inner.since();
    if since.as_ref().is_some_and(|since| since.contains(&digest)) {
        return Ok(freed);
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("removing", &path)(error)),
        _ => Ok(freed + bytes.len() as u64),
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
        self.within(bytes.len() as u64, self.store.put(bytes)).await
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        let length = fs::metadata(path).map_err(disk("reading", path))?.len();
        self.within(length, self.store.put_file(path)).await
    }

    async fn put_all(&self, objects: Vec<Bytes>) -> Result<Vec<Cid>, StoreError> {
        let length = objects.iter().map(|object| object.len() as u64).sum();
        self.within(length, self.store.put_all(objects)).await
    }

    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.store.block(cid).await
    }

    fn incoming(&self) -> Incoming {
        self.store.incoming()
    }

    async fn expect(&self, length: u64) -> Result<Incoming, StoreError> {
        let room = self.room_for(length).await?;
        Ok(self.incoming().with_room(room))
    }

    /// What has no room yet gets it now; refused then, it is gone.
    async fn keep(&self, mut objects: Vec<Whole>) -> Result<(), StoreError> {
        let rooms: Vec<Room> = objects.iter_mut().filter_map(|object| object.room.take()).collect();
        let expected: u64 = rooms.iter().map(Room::length).sum();
        let all: u64 = objects.iter().map(Whole::length).sum();
        self.within(all.saturating_sub(expected), self.store.keep(objects)).await?;
        rooms.into_iter().for_each(Room::used);
        Ok(())
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

        assert!(store.forget(vec![one], vec![]).await.unwrap() > 3 * MIB as u64, "its leaves and its root");
        assert_eq!(store.forget(vec![one], vec![]).await.unwrap(), 0);
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
    async fn what_is_on_its_way_has_its_room_until_it_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = BoundedStore::open(dir.path(), Some(5 << 20)).await.unwrap();
        let length = 2 * MIB as u64;
        let (mut first, second) = (store.expect(length).await.unwrap(), store.expect(length).await.unwrap());
        let error = store.expect(length).await.unwrap_err();
        assert!(error.is_full_disk() && error.to_string().contains("the quota of 5 MiB"), "{error}");
        assert!(store.put(noise(1, 2 * MIB)).await.unwrap_err().is_full_disk(), "what is put counts alike");
        drop(second);
        let mut third = store.expect(length).await.unwrap();
        let bytes = [noise(1, 2 * MIB), noise(2, 2 * MIB)];
        first.write(&bytes[0]).unwrap();
        third.write(&bytes[1]).unwrap();
        let whole = [first, third].map(|incoming| incoming.finish().unwrap());
        store.keep(whole.into()).await.unwrap();
        assert!(store.expect(length).await.unwrap_err().is_full_disk());
        store.expect(MIB as u64 / 2).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_kept_stays_whole_though_it_shares_blocks_with_what_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = BoundedStore::open(dir.path(), None).await.unwrap();
        let [first, second, third] = [1, 2, 3].map(|seed| noise(seed, MIB));
        let joined =
            |parts: &[&Bytes]| Bytes::from(parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<_>>());
        let (old, later) = (joined(&[&first, &second]), joined(&[&third, &second]));
        let gone = store.put(old.clone()).await.unwrap();
        let kept = store.put(later.clone()).await.unwrap();

        assert_eq!(store.forget(vec![gone], vec![gone, kept]).await.unwrap(), 0, "the same file was sent again");
        assert_eq!(store.get(&gone, u64::MAX).await.unwrap(), old);
        let freed = store.forget(vec![gone], vec![kept]).await.unwrap();
        assert!((MIB as u64..2 * MIB as u64).contains(&freed), "a leaf and the root: {freed}");
        assert_eq!(store.get(&kept, u64::MAX).await.unwrap(), later);
        // A leaf that is a file of its own.
        let leaf = store.put(third).await.unwrap();
        store.forget(vec![kept], vec![leaf]).await.unwrap();
        assert!(store.get(&leaf, u64::MAX).await.is_ok() && store.get(&kept, u64::MAX).await.is_err());
    }

    #[tokio::test]
    async fn what_comes_while_it_is_decided_what_is_kept_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = BoundedStore::open(dir.path(), None).await.unwrap();
        let bytes = noise(1, 2 * MIB);
        let cid = store.put(bytes.clone()).await.unwrap();
        store.watch();
        // Nothing of it has to be written.
        let mut incoming = store.incoming();
        incoming.write(&bytes).unwrap();
        let whole = incoming.finish().unwrap();
        assert_eq!(store.forget(vec![cid], vec![]).await.unwrap(), 0);
        store.keep(vec![whole]).await.unwrap();
        assert_eq!(store.get(&cid, u64::MAX).await.unwrap(), bytes);
        store.watch();
        assert!(store.forget(vec![cid], vec![]).await.unwrap() > 0);
    }

    #[tokio::test]
    async fn without_a_bound_it_takes_what_there_is_room_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = BoundedStore::open(dir.path(), None).await.unwrap();
        let cid = store.put(noise(1, 10)).await.unwrap();
        assert_eq!(store.forget(vec![cid], vec![]).await.unwrap(), 10);
    }
}
