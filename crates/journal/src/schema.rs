//! The tables, in one place. A change of shape is a new version with a step that leads to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::JournalError;

/// What leads from each version to the next, an empty file being version 0.
const STEPS: [&str; 3] = [ROUNDS, ENROLMENT, LONG_EVENTS];
const VERSION: i64 = STEPS.len() as i64;

const ROUNDS: &str = "
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

/// Who may enrol, who has, and how often whose password was tried.
const ENROLMENT: &str = "
CREATE TABLE invitation (
    hash    BLOB PRIMARY KEY,
    role    TEXT NOT NULL,
    account BLOB,
    expires INTEGER NOT NULL,
    used    INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE credential (
    account    BLOB PRIMARY KEY,
    role       TEXT NOT NULL,
    identifier BLOB NOT NULL,
    record     BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt (
    who   BLOB PRIMARY KEY,
    count INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// No table changes: from here on an event of a coordinator's may have bytes behind its text, which an earlier program
/// cannot read.
const LONG_EVENTS: &str = "";

/// Sets the durability, and creates the tables where there are none.
pub(crate) fn prepare(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    // Readers do not hold writers up, save for moments when they open.
    conn.busy_timeout(Duration::from_secs(5))?;
    // A short value that is erased is gone from the file, too: seeds of rounds that are over, or that were sealed since.
    conn.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
    // Before anything is changed.
    if version(conn, path)? != 0 {
        check(conn, path)?;
    }
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(|e| in_use(e, path))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch("BEGIN EXCLUSIVE").map_err(|e| in_use(e, path))?;
    let found = usize::try_from(version(conn, path)?).unwrap_or(0);
    for step in STEPS.iter().skip(found) {
        conn.execute_batch(step)?;
    }
    conn.pragma_update(None, "user_version", VERSION)?;
    conn.execute_batch("COMMIT")?;
    Ok(())
}

/// Refuses a file of a later version, which is left as it is. An earlier one has the tables it has.
pub(crate) fn check(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    match version(conn, path)? {
        1..=VERSION => Ok(()),
        found => Err(JournalError::Schema { path: path.display().to_string(), found, known: VERSION }),
    }
}

/// Refuses an earlier version, too: for whoever only visits, and must not change the tables under a running role.
pub(crate) fn check_current(conn: &Connection, path: &Path) -> Result<(), JournalError> {
    check(conn, path)?;
    match version(conn, path)? {
        VERSION => Ok(()),
        _ => Err(JournalError::Older { path: path.display().to_string() }),
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

/// A journal as the first version of this program left it.
#[cfg(test)]
pub(crate) fn first_version(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(ROUNDS).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    conn.execute("INSERT INTO state (key, value) VALUES ('f/x', ?1)", [b"kept"]).unwrap();
}
