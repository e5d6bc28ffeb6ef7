//! A coordinator's records of who may enrol, who has, and how often a password was tried. Codes and passwords are not
//! in here, only what names or checks them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::{Journal, JournalError, schema};

/// Leave to enrol, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub role: String,
    /// The only account it is for, if it is for one.
    pub account: Option<[u8; 20]>,
    /// Unix seconds.
    pub expires: u64,
    /// When it was used.
    pub used: Option<u64>,
}

/// What one account's logins are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub role: String,
    pub identifier: [u8; 32],
    pub record: Vec<u8>,
}

/// Adds an invitation to a journal that a coordinator may have open: whoever may write the file may invite. It changes
/// nothing that is there.
pub fn invite(path: impl AsRef<Path>, hash: [u8; 32], invitation: &Invitation) -> Result<(), JournalError> {
    let path = path.as_ref();
    if !path.is_file() {
        return Err(JournalError::Missing { path: path.display().to_string() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    schema::check_current(&conn, path)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    insert(&conn, hash, invitation)
}

fn insert(conn: &Connection, hash: [u8; 32], invitation: &Invitation) -> Result<(), JournalError> {
    conn.execute(
        "INSERT INTO invitation (hash, role, account, expires) VALUES (?1, ?2, ?3, ?4)",
        (hash, &invitation.role, invitation.account, signed(invitation.expires)),
    )?;
    Ok(())
}

impl Journal {
    /// Adds an invitation; [`invite`] does it from another process.
    pub fn invite(&self, hash: [u8; 32], invitation: &Invitation) -> Result<(), JournalError> {
        self.write(|| "invited".into(), |tx| insert(tx, hash, invitation))
    }

    pub fn invitation(&self, hash: [u8; 32]) -> Result<Option<Invitation>, JournalError> {
        let conn = self.conn();
        let mut rows = conn.prepare_cached("SELECT role, account, expires, used FROM invitation WHERE hash = ?1")?;
        let found = rows.query_row([hash], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get::<_, Option<i64>>(3)?))
        });
        let Some((role, account, expires, used)) = found.optional()? else { return Ok(None) };
        Ok(Some(Invitation { role, account, expires: unsigned(expires)?, used: used.map(unsigned).transpose()? }))
    }

    /// Keeps a credential in place of the account's earlier one. With an invitation both happen or neither: false, and
    /// nothing kept, if it was used meanwhile, or the account enrolled as another role.
    pub fn enrol(
        &self,
        account: [u8; 20],
        credential: &Credential,
        invitation: Option<[u8; 32]>,
        now: u64,
    ) -> Result<bool, JournalError> {
        self.write(
            || "enrolled".into(),
            |tx| {
                let role = tx.query_row("SELECT role FROM credential WHERE account = ?1", [account], |row| row.get(0));
                if role.optional()?.is_some_and(|role: String| role != credential.role) {
                    return Ok(false);
                }
                if let Some(hash) = invitation {
                    let used = "UPDATE invitation SET used = ?2 WHERE hash = ?1 AND used IS NULL";
                    if tx.execute(used, (hash, signed(now)))? == 0 {
                        return Ok(false);
                    }
                }
                tx.execute(
                    "INSERT INTO credential (account, role, identifier, record) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (account) DO UPDATE
                     SET identifier = excluded.identifier, record = excluded.record",
                    (account, &credential.role, credential.identifier, &credential.record),
                )?;
                Ok(true)
            },
        )
    }

    pub fn credential(&self, account: [u8; 20]) -> Result<Option<Credential>, JournalError> {
        let conn = self.conn();
        let mut rows = conn.prepare_cached("SELECT role, identifier, record FROM credential WHERE account = ?1")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Credential { role: row.get(0)?, identifier: row.get(1)?, record: row.get(2)? })
        };
        Ok(rows.query_row([account], read).optional()?)
    }

    /// Whether anybody has enrolled.
    pub fn has_credentials(&self) -> Result<bool, JournalError> {
        Ok(self.conn().query_row("SELECT EXISTS (SELECT 1 FROM credential)", [], |row| row.get(0))?)
    }

    /// How many attempts are counted for `who`, and up to when no further one is allowed.
    pub fn attempts(&self, who: &[u8]) -> Result<Option<(u32, u64)>, JournalError> {
        let conn = self.conn();
        let mut rows = conn.prepare_cached("SELECT count, until FROM attempt WHERE who = ?1")?;
        let found = rows.query_row([who], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).optional()?;
        found.map(|(count, until)| Ok((count, unsigned(until)?))).transpose()
    }

    /// Counts attempts. A count outlives the process; that a power cut may undo the last one lets nobody guess, and so
    /// a flood of attempts does not make a round wait for the disk.
    pub fn keep_attempts(&self, who: &[u8], count: u32, until: u64) -> Result<(), JournalError> {
        self.write_unsynced(|tx| {
            tx.prepare_cached(
                "INSERT INTO attempt (who, count, until) VALUES (?1, ?2, ?3)
                     ON CONFLICT (who) DO UPDATE SET count = excluded.count, until = excluded.until",
            )?
            .execute((who, count, signed(until)))?;
            Ok(())
        })
    }
}

/// SQLite's numbers are signed. Times of the year 292 billion are all the same to us.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> Result<u64, JournalError> {
    u64::try_from(value).map_err(|_| JournalError::Corrupt("a negative time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: [u8; 20] = [1; 20];

    fn credential(byte: u8) -> Credential {
        Credential { role: "site".into(), identifier: [byte; 32], record: vec![byte; 192] }
    }

    #[test]
    fn an_invitation_is_used_once_while_the_coordinator_has_the_journal_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("coordinator.db");
        let invitation = Invitation { role: "site".into(), account: Some(ACCOUNT), expires: 9, used: None };
        assert!(matches!(invite(&path, [7; 32], &invitation), Err(JournalError::Missing { .. })));
        let journal = Journal::open(&path).unwrap();
        invite(&path, [7; 32], &invitation).unwrap();
        assert!(invite(&path, [7; 32], &invitation).is_err(), "one is never written over another");
        assert_eq!(journal.invitation([7; 32]).unwrap(), Some(invitation));
        assert_eq!(journal.invitation([8; 32]).unwrap(), None);
        assert!(!journal.has_credentials().unwrap());
        assert!(journal.enrol(ACCOUNT, &credential(1), Some([7; 32]), 5).unwrap());
        assert_eq!(journal.invitation([7; 32]).unwrap().unwrap().used, Some(5));
        assert!(!journal.enrol([2; 20], &credential(2), Some([7; 32]), 6).unwrap());
        assert_eq!(journal.credential([2; 20]).unwrap(), None);
        assert_eq!(journal.credential(ACCOUNT).unwrap(), Some(credential(1)));
        // Without one an account replaces its own.
        assert!(journal.enrol(ACCOUNT, &credential(3), None, 7).unwrap());
        assert_eq!(journal.credential(ACCOUNT).unwrap(), Some(credential(3)));
        assert!(journal.has_credentials().unwrap());
    }

    #[test]
    fn attempts_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("coordinator.db");
        {
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.attempts(b"who").unwrap(), None);
            journal.keep_attempts(b"who", 1, u64::MAX).unwrap();
            journal.keep_attempts(b"who", 2, 77).unwrap();
            // What follows waits for the disk again.
            let level: i64 = journal.conn().query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
            assert_eq!(level, 2);
        }
        assert_eq!(Journal::open(&path).unwrap().attempts(b"who").unwrap(), Some((2, 77)));
    }

    #[test]
    fn a_journal_of_before_gains_the_tables_and_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.db");
        schema::first_version(&path);
        let kept = crate::JournalReader::open(&path).unwrap().state_under("").unwrap();
        assert!(matches!(
            invite(&path, [7; 32], &Invitation { role: "site".into(), account: None, expires: 9, used: None }),
            Err(JournalError::Older { .. })
        ));
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.attempts(b"who").unwrap(), None);
        assert_eq!(journal.state_get("f/x").unwrap().as_deref(), Some(b"kept".as_slice()));
        assert_eq!(kept, [("f/x".to_owned(), b"kept".to_vec())]);
    }
}
