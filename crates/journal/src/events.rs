//! The log of accepted messages: opaque to this crate, replayed in order.

use rusqlite::Transaction;

use crate::{Journal, JournalError};

/// Longest event. Bulk data lives in the content store; an event holds what names it.
pub const MAX_EVENT_BYTES: usize = 16 << 20;

/// One journalled message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub seq: u64,
    pub body: Vec<u8>,
}

impl Journal {
    /// Writes one event down; durable when this returns. Sequence numbers grow and are never used twice.
    pub fn append(&self, body: &[u8]) -> Result<u64, JournalError> {
        self.write(|| "event".into(), |tx| insert(tx, body))
    }

    /// Every event, in the order it was appended.
    pub fn replay(&self) -> Result<Vec<Event>, JournalError> {
        self.replay_after(0, usize::MAX)
    }

    /// At most `limit` events with a sequence number above `seq`.
    pub fn replay_after(&self, seq: u64, limit: usize) -> Result<Vec<Event>, JournalError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let conn = self.conn();
        let mut rows = conn.prepare_cached("SELECT seq, body FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let events = rows.query_map((seq, limit), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        events
            .map(|row| {
                let (seq, body) = row?;
                let seq = u64::try_from(seq).map_err(|_| JournalError::Corrupt("negative sequence"))?;
                Ok(Event { seq, body })
            })
            .collect()
    }
}

pub(crate) fn insert(tx: &Transaction<'_>, body: &[u8]) -> Result<u64, JournalError> {
    if body.len() > MAX_EVENT_BYTES {
        return Err(JournalError::TooLong { len: body.len(), max: MAX_EVENT_BYTES });
    }
    tx.prepare_cached("INSERT INTO event (body) VALUES (?1)")?.execute([body])?;
    u64::try_from(tx.last_insert_rowid()).map_err(|_| JournalError::Corrupt("negative sequence"))
}
