//! What the coordinator refuses or fails at, and how that reads to the caller.

use std::time::Duration;

use almoner_chain::LedgerError;
use almoner_journal::JournalError;
use almoner_proto::{ErrorKind, FieldError, Kinded, WireError};
use almoner_protocol::round::{Blame, Rejection};
use almoner_store::{Cid, Place, StoreError};

use crate::EnrolmentError;

#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Rule(#[from] almoner_protocol::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    #[error("store: {0}")]
    Store(StoreError),
    /// A block of ours is not where we put it.
    #[error(
        "store: block {cid} is gone from {place}: put the folder's blocks/ back from a copy; a round that needs what \
         is gone is given up, and the next one goes on"
    )]
    Lost { cid: Box<Cid>, place: Place },
    #[error("chain: {0}")]
    Ledger(#[from] LedgerError),
    /// A transaction for several callers failed; what it says is for the log.
    #[error("chain, claims: {0}")]
    Relay(String),
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// What an earlier life of this process wrote down was written by another version.
    #[error("journal: what was saved under {key} cannot be read, start the version that wrote it: {error}")]
    Saved { key: String, error: String },
    /// What happened since the copy was made cannot be found out, so going on might contradict it.
    #[error("the journal was restored from a copy, and what happened since cannot be taken over: {0}")]
    Restored(String),
    /// A plain copy was put in the journal's place, without the mark that would have it brought up to date.
    #[error(
        "the journal knows federation {federation} up to round {known}, the chain up to round {found}: it is an older \
         copy; move it away and put a copy back by `almoner coordinator restore`"
    )]
    Stale { federation: u64, known: u64, found: u64 },
    /// The chain went back to before the federation, and what was sent again did not bring it back.
    #[error(
        "the chain took federation {federation} back, and sending its creation again did not bring it back: ask who runs \
         the node, or found it anew by another key, journal and deployment"
    )]
    TakenBack { federation: u64 },
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    NotNow(&'static str),
    /// One of our own parts contradicts another.
    #[error("bug: {0}")]
    Bug(String),
    #[error("listener: {0}")]
    Listen(String),
    #[error("the coordinator is shutting down")]
    Stopped,
}

impl From<StoreError> for CoordinatorError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing { cid, place } => Self::Lost { cid, place },
            error => Self::Store(error),
        }
    }
}

impl From<FieldError> for CoordinatorError {
    fn from(error: FieldError) -> Self {
        Self::Wire(error.into())
    }
}

/// While a disk is full: somebody has to make room.
const ROOM: Duration = Duration::from_secs(5);

impl CoordinatorError {
    /// An order for a federation that is not the one here.
    pub(crate) fn not_served(federation: u64, served: Option<u64>) -> Self {
        let instead = match served {
            Some(served) => format!(", federation {served} is"),
            None => ", nor is any yet: almoner federation create FILE".into(),
        };
        Self::NotFound(format!("federation {federation} is not served here{instead}"))
    }

    /// What was asked could not be written down, so it was not done.
    pub(crate) fn is_full_disk(&self) -> bool {
        match self {
            Self::Journal(JournalError::Full { .. })
            | Self::Ledger(LedgerError::Journal(JournalError::Full { .. })) => true,
            Self::Store(error) => error.is_full_disk(),
            _ => false,
        }
    }
}

impl Kinded for CoordinatorError {
    /// Where our files lie is nobody's business.
    fn public_text(&self) -> String {
        match self.kind() {
            _ if self.is_full_disk() => "the coordinator's disk is full; nothing was taken, ask again".into(),
            ErrorKind::Internal => "internal error".into(),
            _ => self.to_string(),
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            _ if self.is_full_disk() => ErrorKind::NotNow(ROOM),
            Self::Rejected(rejection) => match rejection {
                Rejection::Equivocation { .. } => ErrorKind::Conflict,
                other => match other.blame() {
                    Blame::Peer => ErrorKind::Invalid,
                    Blame::Retry => ErrorKind::SOON,
                    Blame::Bug => ErrorKind::Internal,
                },
            },
            Self::Wire(error) => error.kind(),
            Self::Enrolment(error) => error.kind(),
            Self::Rule(_) | Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::NotNow(_) | Self::Stopped => ErrorKind::SOON,
            Self::Store(_)
            | Self::Lost { .. }
            | Self::Ledger(_)
            | Self::Relay(_)
            | Self::Journal(_)
            | Self::Saved { .. }
            | Self::Restored(_)
            | Self::Stale { .. }
            | Self::TakenBack { .. }
            | Self::Bug(_)
            | Self::Listen(_) => ErrorKind::Internal,
        }
    }
}
