use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};

use crate::lock::Lock;
use crate::{JournalError, schema};

/// One role's durable memory. Clones share the file.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    conn: Mutex<Connection>,
    commits: AtomicU64,
    commit_nanos: AtomicU64,
    path: PathBuf,
    /// Let go last: until the file is closed nobody else may write.
    lock: Option<Lock>,
}

impl Journal {
    /// Opens or creates the file, for its owner only. Refuses while another process has it open; a
    /// [`JournalReader`](crate::JournalReader) may look into it meanwhile.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let lock = Lock::take(path)?;
        create_private(path)?;
        Self::with(Connection::open(path)?, path, Some(lock))
    }

    /// A journal that is forgotten with the process: for tests, and for keys whose transactions need no memory.
    pub fn memory() -> Result<Self, JournalError> {
        Self::with(Connection::open_in_memory()?, Path::new(":memory:"), None)
    }

    fn with(conn: Connection, path: &Path, lock: Option<Lock>) -> Result<Self, JournalError> {
        schema::prepare(&conn, path)?;
        let conn = Mutex::new(conn);
        let path = path.to_owned();
        let inner = Inner { conn, commits: AtomicU64::new(0), commit_nanos: AtomicU64::new(0), path, lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Transactions committed since opening. Each is one fsync of the write-ahead log; checkpoints add a few.
    pub fn commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Relaxed)
    }

    /// Time spent in [`Self::commits`], nearly all of it waiting for the disk.
    pub fn commit_time(&self) -> Duration {
        Duration::from_nanos(self.inner.commit_nanos.load(Ordering::Relaxed))
    }

    /// The value last put under `key`.
    pub fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.conn().query_row("SELECT value FROM state WHERE key = ?1", [key], |row| row.get(0)).optional()?)
    }

    /// Every key there is, in order.
    pub fn state_keys(&self) -> Result<Vec<String>, JournalError> {
        let conn = self.conn();
        let mut rows = conn.prepare_cached("SELECT key FROM state ORDER BY key")?;
        let keys = rows.query_map([], |row| row.get(0))?;
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// Puts a value under `key`, replacing what was there.
    pub fn state_put(&self, key: &str, value: &[u8]) -> Result<(), JournalError> {
        self.write(|| name_of_state(key), |tx| put(tx, key, value))
    }

    /// The journal's file; `None` for one in memory.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.inner.lock.as_ref().map(|_| self.inner.path.as_path())
    }

    pub(crate) fn conn(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half-made change behind: an unfinished transaction rolls back when dropped.
        self.inner.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` in one transaction; on an error nothing of it remains. `name` is what a test may stop after.
    pub(crate) fn write<T>(
        &self,
        name: impl FnOnce() -> String,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let start = Instant::now();
        let value = self.transact(change).map_err(|error| self.named(error))?;
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.inner.commit_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.inner.commits.fetch_add(1, Ordering::Relaxed);
        almoner_failpoint::reached(name);
        Ok(value)
    }

    /// A write that outlives this process, however it ends, but perhaps not the machine: nothing is waited for.
    pub(crate) fn write_unsynced<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut conn = self.conn();
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        let written = transact(&mut conn, change);
        conn.pragma_update(None, "synchronous", "FULL")?;
        written.map_err(|error| self.named(error))
    }

    fn transact<T>(&self, change: impl FnOnce(&Transaction<'_>) -> Result<T, JournalError>) -> Result<T, JournalError> {
        transact(&mut self.conn(), change)
    }

    fn named(&self, error: JournalError) -> JournalError {
        match error {
            JournalError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                JournalError::Full { path: self.inner.path.display().to_string() }
            }
            error => error,
        }
    }
}

fn transact<T>(
    conn: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = change(&tx)?;
    tx.commit()?;
    Ok(value)
}

/// Makes a new name in the folder of `path` outlive a power cut.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// Seeds of a site's keys are in here. The log beside it takes over who may read.
pub(crate) fn create_private(path: &Path) -> Result<(), JournalError> {
    private(path).map(drop).map_err(|source| JournalError::Io { path: path.display().to_string(), source })
}

/// Opens or makes a file that only its owner reads.
pub(crate) fn private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// `campaign` is one by itself; of `FEDERATION/member-key/3` the middle says what it is.
pub(crate) fn name_of_state(key: &str) -> String {
    format!("state:{}", key.split('/').nth(1).unwrap_or(key))
}

pub(crate) fn put(tx: &Transaction<'_>, key: &str, value: &[u8]) -> Result<(), JournalError> {
    tx.prepare_cached(
        "INSERT INTO state (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute((key, value))?;
    Ok(())
}

#[cfg(test)]
mod tests;
