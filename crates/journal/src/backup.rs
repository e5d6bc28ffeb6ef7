//! Copies of a journal, made while its role runs, and putting one back.
//!
//! A copy does not know what was said after it was made. So it carries a mark: its generation is one above that of the
//! journal it was made of. Whoever opens a journal of a generation above 0 must find out first what may have been said
//! in the meantime, and say nothing that could contradict it. Copying puts the mark there, so that a copy that an
//! operator moves into place by hand has it too; putting a copy back marks it once more.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use crate::lock::Lock;
use crate::{Journal, JournalError, JournalReader, journal};

/// Key of the mark: u64 big-endian.
const GENERATION: &str = "generation";

impl Journal {
    /// How many times this journal was copied since the first one; 0 for a journal that was never a copy.
    pub fn generation(&self) -> Result<u64, JournalError> {
        generation(&self.conn())
    }
}

impl JournalReader {
    /// As [`Journal::generation`].
    pub fn generation(&self) -> Result<u64, JournalError> {
        generation(self.conn())
    }

    /// Writes a marked copy of what is committed now, into a file that must not exist. The role may go on meanwhile.
    pub fn copy_to(&self, path: impl AsRef<Path>) -> Result<u64, JournalError> {
        let path = path.as_ref();
        refuse_existing(path)?;
        let next = self.generation()?.checked_add(1).ok_or(JournalError::Corrupt("generation"))?;
        let unfinished = with_ending(path, ".tmp");
        let failed = |source| JournalError::Io { path: path.display().to_string(), source };
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        journal::create_private(&unfinished)?;
        let name = unfinished.to_str().ok_or(JournalError::Corrupt("a path that is not UTF-8"))?;
        self.conn().execute("VACUUM INTO ?1", [name])?;
        mark(&unfinished, next)?;
        File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&unfinished, path).map_err(failed)?;
        journal::sync_folder(path).map_err(failed)?;
        Ok(next)
    }
}

/// Puts the copy at `from` where a role will open it. There must be no journal, not even an unfinished one.
pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64, JournalError> {
    let to = to.as_ref();
    let copy = JournalReader::open(from)?;
    copy.check()?;
    let _held = Lock::take(to)?;
    // What a lost file left of its log belongs to another history.
    for ending in ["-wal", "-shm"] {
        refuse_existing(&with_ending(to, ending))?;
    }
    copy.copy_to(to)
}

fn refuse_existing(path: &Path) -> Result<(), JournalError> {
    match path.exists() {
        true => Err(JournalError::Exists { path: path.display().to_string() }),
        false => Ok(()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn generation(conn: &Connection) -> Result<u64, JournalError> {
    let mark: Option<Vec<u8>> =
        conn.query_row("SELECT value FROM state WHERE key = ?1", [GENERATION], |row| row.get(0)).optional()?;
    let Some(mark) = mark else { return Ok(0) };
    let mark = mark.try_into().map_err(|_| JournalError::Corrupt("generation"))?;
    Ok(u64::from_be_bytes(mark))
}

fn mark(path: &Path, generation: u64) -> Result<(), JournalError> {
    let mut conn = Connection::open(path)?;
    // One file, without a log beside it.
    conn.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    let tx = conn.transaction()?;
    journal::put(&tx, GENERATION, &generation.to_be_bytes())?;
    tx.commit()?;
    conn.close().map_err(|(_, error)| error.into())
}
