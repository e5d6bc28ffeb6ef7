//! One process per journal: a lock on a file beside it. SQLite's own exclusive lock would keep readers out as well, and
//! `status` and `backup` read while the role runs.
//!
//! The file stays when the process ends; the lock does not, however the process ends.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::JournalError;

/// A holder keeps the lock for as long as it lives, so waiting longer would not help; a look at it is over sooner.
const PATIENCE: Duration = Duration::from_millis(200);
const AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the journal at `path`, which need not exist yet.
    pub(crate) fn take(path: &Path) -> Result<Self, JournalError> {
        let beside = beside(path);
        let failed = |source| JournalError::Io { path: beside.display().to_string(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&beside).map_err(failed)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => std::thread::sleep(AGAIN),
                Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { path: path.display().to_string() }),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }

    /// Whether somebody holds it now.
    pub(crate) fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(beside(path)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// The same file for every name of the journal.
fn beside(path: &Path) -> PathBuf {
    let mut name: OsString = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into();
    name.push(".lock");
    name.into()
}
