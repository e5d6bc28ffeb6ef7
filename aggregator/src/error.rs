//! Why a job or the worker fails.

use almoner_crypto::CryptoError;
use almoner_proto::{ErrorKind, FieldError, Kinded, WireError};
use almoner_protocol::Address;
use almoner_store::{Blame, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum AggregatorError {
    #[error("aggregator configuration: {0}")]
    Config(String),
    #[error("coordinator: {0}")]
    Wire(#[from] WireError),
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The audit excludes such an upload, so a later job that names it contradicts the audit.
    #[error("upload of {participant}: {source}")]
    Upload { participant: Address, source: CryptoError },
    #[error("direction list: {0}")]
    Directions(&'static str),
    #[error("job: {0}")]
    Job(&'static str),
    #[error("a computation was stopped before it finished")]
    Stopped,
}

impl From<FieldError> for AggregatorError {
    fn from(error: FieldError) -> Self {
        Self::Wire(error.into())
    }
}

impl From<tonic::Status> for AggregatorError {
    fn from(status: tonic::Status) -> Self {
        Self::Wire(status.into())
    }
}

impl Kinded for AggregatorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::Invalid,
            Self::Wire(error) => error.kind(),
            Self::Store(error) => match error.blame() {
                Blame::Peer => ErrorKind::PeerFault,
                Blame::Retry => ErrorKind::SOON,
                Blame::Ours => ErrorKind::Internal,
            },
            Self::Upload { .. } | Self::Directions(_) | Self::Job(_) => ErrorKind::PeerFault,
            Self::Stopped => ErrorKind::Internal,
        }
    }
}
