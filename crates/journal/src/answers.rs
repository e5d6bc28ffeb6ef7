//! One answer per (federation, base model, stage), for ever.
//!
//! A committee member that answers one stage with two different sets helps to open two sums, whose difference is a
//! single update. So the answer's digest is written down before the answer leaves, and a different one is refused.
//! Keyed by the base model and not by the round: a round that is retried from the same base model is the same question.

use rusqlite::OptionalExtension;

use crate::{Journal, JournalError};

/// Whether an answer may be sent: both say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Logged now, durable before this returned.
    First,
    /// Logged before, with the same digest: sending it again tells nothing new.
    Same,
}

impl Journal {
    /// Logs the digest of an answer about to be sent, or refuses because another one was logged.
    pub fn answer_once(
        &self,
        federation: &str,
        base_root: [u8; 32],
        stage: u8,
        digest: [u8; 32],
    ) -> Result<Answered, JournalError> {
        if let Some(logged) = self.answer(federation, base_root, stage)? {
            return if logged == digest {
                Ok(Answered::Same)
            } else {
                Err(JournalError::AnswerConflict { federation: federation.to_owned(), stage, logged, asked: digest })
            };
        }
        // The primary key decides if two threads come here together: the later one fails instead of overwriting.
        let name = || format!("once:{}:{stage}", federation.split('/').nth(1).unwrap_or(federation));
        self.write(name, |tx| {
            tx.execute(
                "INSERT INTO answer (federation, base_root, stage, digest) VALUES (?1, ?2, ?3, ?4)",
                (federation, base_root, stage, digest),
            )?;
            Ok(Answered::First)
        })
    }

    /// The digest logged for a stage, if any.
    pub fn answer(&self, federation: &str, base_root: [u8; 32], stage: u8) -> Result<Option<[u8; 32]>, JournalError> {
        Ok(self
            .conn()
            .query_row(
                "SELECT digest FROM answer WHERE federation = ?1 AND base_root = ?2 AND stage = ?3",
                (federation, base_root, stage),
                |row| row.get(0),
            )
            .optional()?)
    }
}
