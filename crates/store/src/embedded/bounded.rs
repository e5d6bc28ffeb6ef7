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
        if let Some(room) = room {
            room.used();
        }
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
mod tests;
