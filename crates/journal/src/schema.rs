//! The tables, in one place. A change of shape is a new version with a step that leads to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::JournalError;

const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE event (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE answer (
    federation TEXT NOT NULL,
    base_root  BLOB NOT NULL,
    stage      INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    PRIMARY KEY (federation, base_root, stage)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    account BLOB NOT NULL,
    nonce   INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    raw     BLOB NOT NULL,
    status  INTEGER NOT NULL,
    PRIMARY KEY (account, nonce, hash)
) STRICT, WITHOUT ROWID;
";

/// Sets the durability, and creates the tables where there are none.
pub(crate) fn prepare(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    // Readers do not hold writers up, save for moments when they open.
    conn.busy_timeout(Duration::from_secs(5))?;
    // Before anything is changed.
    if version(conn, path)? != 0 {
        check(conn, path)?;
    }
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(|e| in_use(e, path))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch("BEGIN EXCLUSIVE").map_err(|e| in_use(e, path))?;
    if version(conn, path)? == 0 {
        conn.execute_batch(TABLES)?;
        conn.pragma_update(None, "user_version", VERSION)?;
    }
    conn.execute_batch("COMMIT")?;
    Ok(())
}

/// Refuses a file of another version, which is left as it is.
pub(crate) fn check(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    match version(conn, path)? {
        VERSION => Ok(()),
        found => Err(JournalError::Schema { path: path.display().to_string(), found, known: VERSION }),
    }
}

fn version(conn: &Connection, path: &Path) -> Result<i64, JournalError> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| not_a_journal(error, path))
}

fn not_a_journal(error: rusqlite::Error, path: &Path) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => JournalError::NotAJournal { path: path.display().to_string() },
        _ => JournalError::Sqlite(error),
    }
}

fn in_use(error: rusqlite::Error, path: &Path) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            JournalError::InUse { path: path.display().to_string() }
        }
        _ => not_a_journal(error, path),
    }
}
