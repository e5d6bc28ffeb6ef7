//! Writing blocks: temporary file, sync, rename, and one sync of the directory at the end.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use cid::Cid;

use super::{Dirs, disk, read_block, sync_dir};
use crate::{
    Layout, StoreError,
    ids::{self, Digest32},
    layout,
};

/// Files written before they are synced: the kernel may flush them together, and the number of
/// open files stays small.
const UNSYNCED: usize = 64;

/// Makes temporary names unique in this process; the process id does so among processes.
static COUNTER: AtomicU64 = AtomicU64::new(0);

struct Pending {
    file: File,
    tmp: PathBuf,
    digest: Digest32,
}

/// The blocks of one or more objects on their way to the disk.
pub(super) struct Batch<'a> {
    dirs: &'a Dirs,
    pending: Vec<Pending>,
    /// Digests in `pending`: equal chunks of one object are written once.
    names: HashSet<Digest32>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(dirs: &'a Dirs) -> Self {
        Self { dirs, pending: Vec::new(), names: HashSet::new() }
    }

    pub(super) fn object(&mut self, bytes: &Bytes) -> Result<Cid, StoreError> {
        layout::build(bytes, Layout::V1_2025, &mut |cid, block| self.block(&cid, block))
    }

    pub(super) fn block(&mut self, cid: &Cid, block: Bytes) -> Result<(), StoreError> {
        let digest = ids::digest(cid)?;
        if self.names.contains(&digest) || self.is_stored(&digest)? {
            return Ok(());
        }
        if self.pending.len() == UNSYNCED {
            self.settle()?;
        }
        let (mut file, tmp) = self.temporary()?;
        let written = file.write_all(&block);
        // Pending before the error is looked at, so that a failed write is swept as well.
        self.pending.push(Pending { file, tmp: tmp.clone(), digest });
        self.names.insert(digest);
        written.map_err(disk("writing", &tmp))
    }

    /// Present and undamaged; a damaged file is written anew.
    fn is_stored(&self, digest: &Digest32) -> Result<bool, StoreError> {
        let block = read_block(&self.dirs.block(digest))?;
        Ok(block.is_some_and(|bytes| ids::sha256(&bytes) == *digest))
    }

    fn temporary(&self) -> Result<(File, PathBuf), StoreError> {
        loop {
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = self.dirs.tmp.join(format!("{}-{n}", std::process::id()));
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((file, path)),
                // Process ids repeat across containers that share a volume: take the next name.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(disk("creating", &path)(e)),
            }
        }
    }

    /// Syncs what is pending and renames it into place.
    fn settle(&mut self) -> Result<(), StoreError> {
        for pending in &self.pending {
            pending.file.sync_all().map_err(disk("syncing", &pending.tmp))?;
        }
        for pending in self.pending.drain(..) {
            let path = self.dirs.block(&pending.digest);
            fs::rename(&pending.tmp, &path).map_err(disk("renaming", &path))?;
        }
        self.names.clear();
        Ok(())
    }

    /// Always syncs the directory: a block found in place may be another writer's whose own
    /// sync is still to come.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        self.settle()?;
        sync_dir(&self.dirs.blocks)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for pending in &self.pending {
            // What cannot be removed now is swept at the next opening.
            let _ = fs::remove_file(&pending.tmp);
        }
    }
}
