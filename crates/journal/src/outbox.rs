//! Signed transactions, written before they are broadcast. A nonce may have several: a fee bump replaces one by
//! another, and either may be the one that is mined.

use rusqlite::Row;

use crate::{Journal, JournalError};

/// What became of a transaction, as far as its sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxStatus {
    /// Not seen in a block yet.
    Pending,
    Mined,
    /// Refused by the node, or its nonce was taken by another: it will never be mined.
    Dropped,
}

/// One signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    pub nonce: u64,
    pub hash: [u8; 32],
    pub raw: Vec<u8>,
    pub status: OutboxStatus,
}

impl Journal {
    /// Writes a transaction down as pending. `account` names the key and the chain.
    pub fn outbox_insert(&self, account: &[u8], nonce: u64, hash: [u8; 32], raw: &[u8]) -> Result<(), JournalError> {
        let nonce = sql_nonce(nonce)?;
        self.write(
            || "outbox:insert".into(),
            |tx| {
                tx.execute(
                    "INSERT INTO outbox (account, nonce, hash, raw, status) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET status = excluded.status",
                    (account, nonce, hash, raw, code(OutboxStatus::Pending)),
                )?;
                Ok(())
            },
        )
    }

    /// Settles a nonce: `mined` (if any) is in a block, so whatever else was signed for it never will be. The disk is not
    /// waited for: what is lost of it with the machine's power, the chain says again.
    pub fn outbox_settle(&self, account: &[u8], nonce: u64, mined: Option<[u8; 32]>) -> Result<(), JournalError> {
        let nonce = sql_nonce(nonce)?;
        self.write_unsynced(|tx| {
            tx.execute(
                "UPDATE outbox SET status = ?3 WHERE account = ?1 AND nonce = ?2",
                (account, nonce, code(OutboxStatus::Dropped)),
            )?;
            if let Some(hash) = mined {
                tx.execute(
                    "UPDATE outbox SET status = ?4 WHERE account = ?1 AND nonce = ?2 AND hash = ?3",
                    (account, nonce, hash, code(OutboxStatus::Mined)),
                )?;
            }
            Ok(())
        })?;
        almoner_failpoint::reached(|| "outbox:settle".into());
        Ok(())
    }

    /// Transactions of `account` from `nonce` on that were not dropped, by nonce.
    pub fn outbox_from(&self, account: &[u8], nonce: u64) -> Result<Vec<OutboxEntry>, JournalError> {
        let nonce = sql_nonce(nonce)?;
        let conn = self.conn();
        let mut rows = conn.prepare_cached(
            "SELECT nonce, hash, raw, status FROM outbox
             WHERE account = ?1 AND nonce >= ?2 AND status <> ?3 ORDER BY nonce",
        )?;
        let entries = rows.query_map((account, nonce, code(OutboxStatus::Dropped)), entry)?;
        entries.map(|row| row?).collect()
    }

    /// Pending transactions of `account`, by nonce.
    pub fn outbox_pending(&self, account: &[u8]) -> Result<Vec<OutboxEntry>, JournalError> {
        let conn = self.conn();
        let mut rows = conn.prepare_cached(
            "SELECT nonce, hash, raw, status FROM outbox
             WHERE account = ?1 AND status = ?2 ORDER BY nonce",
        )?;
        let entries = rows.query_map((account, code(OutboxStatus::Pending)), entry)?;
        entries.map(|row| row?).collect()
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Result<OutboxEntry, JournalError>> {
    let nonce: i64 = row.get(0)?;
    let hash = row.get(1)?;
    let raw = row.get(2)?;
    let status: i64 = row.get(3)?;
    Ok(match (u64::try_from(nonce), from_code(status)) {
        (Ok(nonce), Some(status)) => Ok(OutboxEntry { nonce, hash, raw, status }),
        _ => Err(JournalError::Corrupt("outbox row")),
    })
}

fn sql_nonce(nonce: u64) -> Result<i64, JournalError> {
    i64::try_from(nonce).map_err(|_| JournalError::Corrupt("nonce above 2^63"))
}

fn code(status: OutboxStatus) -> i64 {
    match status {
        OutboxStatus::Pending => 0,
        OutboxStatus::Mined => 1,
        OutboxStatus::Dropped => 2,
    }
}

fn from_code(code: i64) -> Option<OutboxStatus> {
    match code {
        0 => Some(OutboxStatus::Pending),
        1 => Some(OutboxStatus::Mined),
        2 => Some(OutboxStatus::Dropped),
        _ => None,
    }
}
