//! Why an event changed nothing, and whose doing that is.

use alloy_primitives::{Address, B256};

use super::State;
use crate::Error;
use crate::types::Stage;

/// Who has to act on a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer sent something it must not send. The same message will never pass.
    Peer,
    /// Nobody is wrong: the same message may pass later.
    Retry,
    /// One of our own parts (a worker, the store, the follower of the chain) contradicts this round, or another
    /// account posted what we would not have.
    Bug,
}

/// A refused event. The round is exactly what it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("{account}: {field} belongs to another round")]
    OtherRound { account: Address, field: &'static str },
    #[error("{account} is not in the {list} list of this round")]
    Stranger { account: Address, list: &'static str },
    #[error("{account}: signature of {field} refused: {reason}")]
    Signature { account: Address, field: &'static str, reason: String },
    #[error("{account}: {field} refused: {reason}")]
    Malformed { account: Address, field: &'static str, reason: String },
    #[error("{account}: {field} comes too early, the round is {state}")]
    TooEarly { account: Address, field: &'static str, state: State },
    #[error("{account}: {field} comes too late, the round is {state}")]
    TooLate { account: Address, field: &'static str, state: State },
    #[error("{account}: {field} differs from the one it gave before; both are signed")]
    Equivocation { account: Address, field: &'static str },
    #[error("{account}: the bytes of {field} are not in the store yet")]
    NotStored { account: Address, field: &'static str },
    #[error("{account}: {field} waits for acknowledgements of stage {stage}: {have} of {need}")]
    AcksMissing { account: Address, field: &'static str, stage: Stage, have: usize, need: usize },
    #[error("{account} acknowledges another transcript at stage {stage}: {theirs}, ours is {ours}")]
    OtherTranscript { account: Address, stage: Stage, ours: B256, theirs: B256 },

    #[error("the chain posted stage {posted}, we are at {expected}: earlier events are missing")]
    ChainAhead { posted: Stage, expected: Stage },
    #[error("the chain has {field} {posted} at stage {stage}, ours is {ours}")]
    ForeignPost { stage: Stage, field: &'static str, posted: B256, ours: B256 },
    #[error("the chain reports {reported}, but the round is {state}")]
    ChainDisagrees { reported: &'static str, state: State },

    #[error("result of {job} refused: {reason}")]
    Result { job: &'static str, reason: String },
    #[error("{0}")]
    Rule(#[from] Error),
}

impl Rejection {
    pub fn blame(&self) -> Blame {
        match self {
            Self::OtherRound { .. }
            | Self::Stranger { .. }
            | Self::Signature { .. }
            | Self::Malformed { .. }
            | Self::TooLate { .. }
            | Self::Equivocation { .. }
            | Self::OtherTranscript { .. } => Blame::Peer,
            Self::TooEarly { .. } | Self::NotStored { .. } | Self::AcksMissing { .. } | Self::ChainAhead { .. } => {
                Blame::Retry
            }
            Self::ForeignPost { .. } | Self::ChainDisagrees { .. } | Self::Result { .. } | Self::Rule(_) => Blame::Bug,
        }
    }

    /// The account that sent what was refused; the chain and our own workers have none.
    pub fn account(&self) -> Option<Address> {
        match self {
            Self::OtherRound { account, .. }
            | Self::Stranger { account, .. }
            | Self::Signature { account, .. }
            | Self::Malformed { account, .. }
            | Self::TooEarly { account, .. }
            | Self::TooLate { account, .. }
            | Self::Equivocation { account, .. }
            | Self::NotStored { account, .. }
            | Self::AcksMissing { account, .. }
            | Self::OtherTranscript { account, .. } => Some(*account),
            Self::ChainAhead { .. }
            | Self::ForeignPost { .. }
            | Self::ChainDisagrees { .. }
            | Self::Result { .. }
            | Self::Rule(_) => None,
        }
    }

    pub(super) fn malformed(account: Address, field: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed { account, field, reason: reason.into() }
    }

    pub(super) fn result(job: &'static str, reason: impl Into<String>) -> Self {
        Self::Result { job, reason: reason.into() }
    }
}
