//! Writing blocks: temporary file, sync, rename, and one sync of the directory at the end.

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cid::Cid;

use super::{Inner, disk, read_block, sync_dir};
use crate::{
    Layout, StoreError,
    ids::{self, Digest32},
    layout,
};

/// Files written before they are synced: the kernel may flush them together, and the number of
/// open files stays small.
const UNSYNCED: usize = 16;

/// Makes temporary names unique in this process; its folder does so among processes.
static COUNTER: AtomicU64 = AtomicU64::new(0);

struct Pending {
    /// Open until it is synced.
    file: Option<File>,
    tmp: PathBuf,
    digest: Digest32,
}

/// The blocks of one or more objects on their way to the disk. None is in its place before all of
/// them are whole; dropped before that, nothing of them remains.
pub(crate) struct Batch {
    inner: Arc<Inner>,
    pending: Vec<Pending>,
    open: usize,
    /// Digests in `pending`: equal chunks of one object are written once.
    names: HashSet<Digest32>,
}

impl Batch {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, pending: Vec::new(), open: 0, names: HashSet::new() }
    }

    pub(super) fn object(&mut self, bytes: &Bytes) -> Result<Cid, StoreError> {
        layout::build(bytes, Layout::V1_2025, &mut |cid, block| self.block(&cid, &block))
    }

    pub(crate) fn block(&mut self, cid: &Cid, block: &[u8]) -> Result<(), StoreError> {
        let digest = ids::digest(cid)?;
        self.inner.need(&digest);
        if self.names.contains(&digest) || self.is_stored(&digest)? {
            return Ok(());
        }
        if self.open == UNSYNCED {
            self.sync()?;
        }
        let (mut file, tmp) = self.temporary()?;
        let written = file.write_all(block);
        // Pending before the error is looked at, so that a failed write is swept as well.
        self.pending.push(Pending { file: Some(file), tmp: tmp.clone(), digest });
        self.open += 1;
        self.names.insert(digest);
        written.map_err(disk("writing", &tmp))
    }

    /// Present and undamaged; a damaged file is written anew.
    fn is_stored(&self, digest: &Digest32) -> Result<bool, StoreError> {
        let block = read_block(&self.inner.dirs.block(digest))?;
        Ok(block.is_some_and(|bytes| ids::sha256(&bytes) == *digest))
    }

    fn temporary(&self) -> Result<(File, PathBuf), StoreError> {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = self.inner.dirs.tmp.join(n.to_string());
        let file = File::options().write(true).create_new(true).open(&path).map_err(disk("creating", &path))?;
        Ok((file, path))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        for pending in &mut self.pending {
            if let Some(file) = &pending.file {
                file.sync_all().map_err(disk("syncing", &pending.tmp))?;
            }
            pending.file = None;
        }
        self.open = 0;
        Ok(())
    }

    /// Syncs what is still open and puts every block into its place.
    fn place(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        for pending in self.pending.drain(..) {
            let path = self.inner.dirs.block(&pending.digest);
            fs::rename(&pending.tmp, &path).map_err(disk("renaming", &path))?;
        }
        Ok(())
    }

    /// Always syncs the directory: a block found in place may be another writer's whose own
    /// sync is still to come.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        self.place()?;
        sync_dir(&self.inner.dirs.blocks)
    }

    /// Several at once, with one sync of the directory of each store among them.
    pub(crate) fn finish_all(batches: Vec<Self>) -> Result<(), StoreError> {
        let mut stores: Vec<Arc<Inner>> = Vec::new();
        for mut batch in batches {
            batch.place()?;
            if !stores.iter().any(|known| Arc::ptr_eq(known, &batch.inner)) {
                stores.push(batch.inner.clone());
            }
        }
        stores.iter().try_for_each(|inner| sync_dir(&inner.dirs.blocks))?;
        almoner_failpoint::reached(|| "store".into());
        Ok(())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for pending in &self.pending {
            // What cannot be removed now is swept at the next opening.
            let _ = fs::remove_file(&pending.tmp);
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} blocks)", self.pending.len())
    }
}
