//! Looking into a journal without holding it: what a role is doing can be asked while it does it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::lock::Lock;
use crate::{JournalError, schema};

/// One answer that was given: for which base model or round, in which stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    pub about: [u8; 32],
    pub stage: u8,
}

/// A journal that can only be read. Every call sees what is committed at that moment.
#[derive(Debug)]
pub struct JournalReader {
    conn: Connection,
    held: bool,
}

impl JournalReader {
    /// Opens a journal that exists, whether its role runs or not.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        if !path.is_file() {
            return Err(JournalError::Missing { path: path.display().to_string() });
        }
        let held = Lock::is_held(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        schema::check(&conn, path)?;
        Ok(Self { conn, held })
    }

    /// Whether a process had it open when this one looked.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Every value whose key begins with `prefix`, by key.
    pub fn state_under(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, JournalError> {
        let mut rows =
            self.conn.prepare("SELECT key, value FROM state WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key")?;
        let values = rows.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(values.collect::<Result<_, _>>()?)
    }

    /// What keys begin with, up to their first slash, each once.
    pub fn owners(&self) -> Result<Vec<String>, JournalError> {
        let first =
            "SELECT DISTINCT substr(key, 1, instr(key, '/') - 1) FROM state WHERE instr(key, '/') > 1 ORDER BY 1";
        let mut rows = self.conn.prepare(first)?;
        let owners = rows.query_map([], |row| row.get(0))?;
        Ok(owners.collect::<Result<_, _>>()?)
    }

    /// The answers logged under a federation's name.
    pub fn answers(&self, federation: &str) -> Result<Vec<Given>, JournalError> {
        let mut rows = self.conn.prepare("SELECT base_root, stage FROM answer WHERE federation = ?1")?;
        let given = rows.query_map([federation], |row| Ok(Given { about: row.get(0)?, stage: row.get(1)? }))?;
        Ok(given.collect::<Result<_, _>>()?)
    }

    /// Reads the whole file and holds it against itself.
    pub fn check(&self) -> Result<(), JournalError> {
        let found: String = self.conn.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(JournalError::Corrupt("a page of the file")) }
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }
}
