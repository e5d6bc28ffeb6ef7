use thiserror::Error;

/// Why the journal could not do as it was told.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process holds the file. Two processes of one role would answer twice.
    #[error("{path} is in use by another process")]
    InUse { path: String },
    /// The file was written by another version of this program. It is left as it is.
    #[error(
        "{path} has schema version {found}, this program knows {known}: run the version that wrote it, or a newer one"
    )]
    Schema { path: String, found: i64, known: i64 },
    /// Its role has not been started since this program was installed.
    #[error("{path} is of an earlier version: start its role once, then ask again")]
    Older { path: String },
    #[error("{path} is not a journal")]
    NotAJournal { path: String },
    #[error("{path}: there is no such journal")]
    Missing { path: String },
    /// A copy takes nobody's place.
    #[error("{path} exists: move it away, or choose another name")]
    Exists { path: String },
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    /// Nothing of what was to be written is.
    #[error("{path}: the disk is full; make room, nothing that was acknowledged is lost")]
    Full { path: String },
    /// This stage was already answered with something else: sending both could open two sums.
    #[error("stage {stage} of federation {federation} was already answered differently for this base model")]
    AnswerConflict { federation: String, stage: u8, logged: [u8; 32], asked: [u8; 32] },
    #[error("an event of {len} bytes is longer than {max}")]
    TooLong { len: usize, max: usize },
    /// A number does not fit, or a row does not read back as what was written.
    #[error("the journal holds a row that cannot be read: {0}")]
    Corrupt(&'static str),
    #[error("journal: {0}")]
    Sqlite(#[from] rusqlite::Error),
}
