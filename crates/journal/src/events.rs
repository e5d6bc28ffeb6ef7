//! The log of accepted messages since the last state that holds them: opaque to this crate, replayed in order.

use rusqlite::Transaction;

use crate::{Journal, JournalError};

/// Longest event: a direction of the largest model, in hexadecimal. Other bulk data lives in the content store.
pub const MAX_EVENT_BYTES: usize = (2 << 26) + (1 << 20);

impl Journal {
    /// Shows every event, in the order it was appended, one at a time.
    pub fn replay<E: From<JournalError>>(&self, mut see: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let conn = self.conn();
        let mut query = conn.prepare_cached("SELECT body FROM event ORDER BY seq").map_err(JournalError::from)?;
        let mut rows = query.query(()).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let body = row.get_ref(0).map_err(JournalError::from)?;
            see(body.as_blob().map_err(|_| JournalError::Corrupt("an event that is no blob"))?)?;
        }
        Ok(())
    }
}

pub(crate) fn insert(tx: &Transaction<'_>, body: &[u8]) -> Result<(), JournalError> {
    if body.len() > MAX_EVENT_BYTES {
        return Err(JournalError::TooLong { len: body.len(), max: MAX_EVENT_BYTES });
    }
    tx.prepare_cached("INSERT INTO event (body) VALUES (?1)")?.execute([body])?;
    Ok(())
}

pub(crate) fn forget(tx: &Transaction<'_>) -> Result<(), JournalError> {
    tx.prepare_cached("DELETE FROM event")?.execute(())?;
    Ok(())
}
