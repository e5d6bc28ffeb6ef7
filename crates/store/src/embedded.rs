//! The default store: one directory, one file per block, named by the block's SHA2-256 in hex,
//! so that `sha256sum` alone can check it.
//!
//! ```text
//! blocks/<64 hex digits>   a block; CIDv0 and CIDv1 names share it
//! tmp/<process>-<n>/       blocks being written; locked by the opening whose they are
//! lock                     held while an opening makes its place in `tmp/`: several processes may use one directory
//! ```
//!
//! **Durable when `put` returns:** the whole object. Every block's file is synced before it is
//! renamed into place, which happens once all blocks of the object (for `put_all` and `keep`, of
//! all objects) are written, and `blocks/` is synced once after that. After a crash in between,
//! whole blocks of an object that was never acknowledged may remain; they are correct, and storing
//! the object again uses them.
//! `blocks/` is one flat directory so that one sync covers an object.
//!
//! **Read:** every block is hashed, so damage on the disk is an error, never wrong bytes; one that is passed on
//! ([`Store::block`]) is hashed the first time only, for whoever gets it does the same.
//! Storing an object again replaces its damaged blocks.

mod bounded;
mod room;
mod write;

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use crate::{
    Block, BlockSource, Incoming, Layout, MAX_BLOCK, Store, StoreError,
    blocking::{blocking, open_file},
    error::Place,
    ids::{self, Digest32},
    layout,
};
pub use bounded::BoundedStore;
pub(crate) use room::Room;
pub(crate) use write::Batch;

/// A block store in a directory. Clones share it.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    dirs: Dirs,
    place: Place,
    /// Blocks that were found right when they were passed on.
    passed_on: Mutex<HashSet<Digest32>>,
    /// Blocks that objects consist of which were written, or begun, since somebody last asked to watch; none before. While
    /// it is locked no block is removed.
    since: Mutex<Option<HashSet<Digest32>>>,
    /// Of `dirs.tmp`, held for the store's lifetime: says that what is in there is somebody's.
    _lock: File,
}

impl Inner {
    /// How many are known to have been found right: 2 MiB of digests. With more than that all are forgotten.
    const PASSED_ON: usize = 1 << 16;

    /// Notes that a block is needed, before it is looked whether it is there.
    fn need(&self, digest: &Digest32) {
        if let Some(since) = self.since().as_mut() {
            since.insert(*digest);
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<HashSet<Digest32>>> {
        // Changed by single calls, so a panic elsewhere leaves a usable value.
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, cid: &Cid, digest: &Digest32) -> Result<(Block, PathBuf), StoreError> {
        let path = self.dirs.block(digest);
        match read_block(&path)? {
            Some(bytes) => Ok((bytes.into(), path)),
            None => Err(StoreError::Missing { cid: (*cid).into(), place: self.place.clone() }),
        }
    }

    /// Checked here, because only here is the file known that damage must be blamed on.
    fn verified(&self, cid: &Cid, digest: &Digest32) -> Result<Block, StoreError> {
        let (block, path) = self.read(cid, digest)?;
        block.check(cid, &self.place).map_err(|_| StoreError::Corrupt { cid: (*cid).into(), path })
    }

    fn pass_on(&self, cid: &Cid, digest: &Digest32) -> Result<Bytes, StoreError> {
        // Replaced whole, so a panic elsewhere leaves a usable value.
        let passed_on = || self.passed_on.lock().unwrap_or_else(PoisonError::into_inner);
        if passed_on().contains(digest) {
            return self.read(cid, digest).map(|(block, _)| block.into_unchecked());
        }
        let bytes = self.verified(cid, digest)?.into_unchecked();
        let mut known = passed_on();
        if known.len() >= Self::PASSED_ON {
            known.clear();
        }
        known.insert(*digest);
        Ok(bytes)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Empty then; should it not be, the next opening sweeps it.
        let _ = fs::remove_dir(&self.dirs.tmp);
    }
}

#[derive(Debug)]
struct Dirs {
    blocks: PathBuf,
    tmp: PathBuf,
}

impl Dirs {
    fn block(&self, digest: &Digest32) -> PathBuf {
        let name: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        self.blocks.join(name)
    }
}

impl Dirs {
    /// Somebody may have removed them meanwhile. What was in them is gone; what comes is kept.
    fn make_again(&self) -> Result<(), StoreError> {
        for path in [&self.blocks, &self.tmp].into_iter().filter(|path| !path.is_dir()) {
            tracing::error!(path = %path.display(), "the store's folder was removed; put it back from a copy");
            fs::create_dir_all(path).map_err(disk("creating", path))?;
        }
        Ok(())
    }
}

fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Disk { action, path: path.to_owned(), source }
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    open_file(path)?.sync_all().map_err(disk("syncing", path))
}

impl EmbeddedStore {
    /// Opens the store in `dir`, creating it if need be. Several openings may coexist.
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        blocking(move || Self::open_now(&dir)).await
    }

    fn open_now(dir: &Path) -> Result<Self, StoreError> {
        let (blocks, tmp) = (dir.join("blocks"), dir.join("tmp"));
        for path in [&blocks, &tmp] {
            fs::create_dir_all(path).map_err(disk("creating", path))?;
        }
        let (tmp, lock) = own_place(&dir.join("lock"), &tmp)?;
        let dirs = Dirs { blocks, tmp };
        sync_dir(dir)?;
        let place = Place::new(format!("embedded store {}", dir.display()));
        Ok(Self {
            inner: Arc::new(Inner { dirs, place, passed_on: Mutex::default(), since: Mutex::default(), _lock: lock }),
        })
    }

    async fn with_batch<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Batch) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            inner.dirs.make_again()?;
            let mut batch = Batch::new(inner);
            let result = work(&mut batch)?;
            batch.finish()?;
            almoner_failpoint::reached(|| "store".into());
            Ok(result)
        })
        .await
    }
}

/// Makes a locked folder in `tmp` for this opening, after what a crash left there is swept: folders that nobody holds.
fn own_place(gate: &Path, tmp: &Path) -> Result<(PathBuf, File), StoreError> {
    /// Makes names unique in this process; the process id does so among processes.
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let file = File::options().create(true).truncate(false).write(true).open(gate);
    let file = file.map_err(disk("opening", gate))?;
    // Until it is closed: nobody sweeps between the making of a folder and its lock.
    file.lock().map_err(disk("locking", gate))?;
    for entry in fs::read_dir(tmp).map_err(disk("listing", tmp))? {
        sweep(&entry.map_err(disk("listing", tmp))?.path())?;
    }
    loop {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let own = tmp.join(format!("{}-{n}", std::process::id()));
        match fs::create_dir(&own) {
            Ok(()) => {
                let lock = open_file(&own)?;
                lock.lock().map_err(disk("locking", &own))?;
                return Ok((own, lock));
            }
            // Process ids repeat across containers that share a volume: take the next name.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(disk("creating", &own)(e)),
        }
    }
}

/// Removes what nobody holds.
fn sweep(path: &Path) -> Result<(), StoreError> {
    let removed = match File::open(path) {
        Ok(file) if path.is_dir() => match file.try_lock() {
            Ok(()) => fs::remove_dir_all(path),
            Err(_) => Ok(()),
        },
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        // Whoever closes a store removes its folder without the gate.
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(disk("removing", path)(e)),
        _ => Ok(()),
    }
}

/// The bytes of a block file, `None` if there is none. Bounded whatever is on the disk.
fn read_block(path: &Path) -> Result<Option<Bytes>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(disk("opening", path)(e)),
    };
    let most = MAX_BLOCK as u64 + 1;
    let length = file.metadata().map_err(disk("reading", path))?.len().min(most);
    // In one go, and a byte more: then the end is seen without asking for more room.
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(most).read_to_end(&mut bytes).map_err(disk("reading", path))?;
    Ok(Some(bytes.into()))
}

#[async_trait]
impl BlockSource for EmbeddedStore {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let digest = ids::digest(cid)?;
        let (inner, cid) = (Arc::clone(&self.inner), *cid);
        blocking(move || inner.verified(&cid, &digest)).await
    }

    fn place(&self) -> Place {
        self.inner.place.clone()
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        self.with_batch(move |batch| batch.object(&bytes)).await
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        let path = path.to_owned();
        self.with_batch(move |batch| {
            let mut file = open_file(&path)?;
            let failed = |source| disk("reading", &path)(source);
            layout::build_from(&mut file, Layout::V1_2025, &failed, &mut |cid, block| batch.block(&cid, &block))
        })
        .await
    }

    async fn put_all(&self, objects: Vec<Bytes>) -> Result<Vec<Cid>, StoreError> {
        self.with_batch(move |batch| objects.iter().map(|o| batch.object(o)).collect()).await
    }

    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let digest = ids::digest(cid)?;
        let (inner, cid) = (Arc::clone(&self.inner), *cid);
        match blocking(move || inner.pass_on(&cid, &digest)).await {
            Err(error) if error.is_missing() => Ok(None),
            found => found.map(Some),
        }
    }

    /// What arrived lies in `tmp/`, and is gone when it is dropped or the store is opened anew.
    fn incoming(&self) -> Incoming {
        Incoming::on_disk(Batch::new(Arc::clone(&self.inner)))
    }
}

#[cfg(test)]
mod tests;
