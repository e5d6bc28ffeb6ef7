//! Why a job or the worker fails.

use almoner_crypto::CryptoError;
use almoner_proto::{ErrorKind, FieldError, Kinded, WireError, is_from_peer};
use almoner_protocol::Address;
use almoner_store::{Blame, StoreError};
use almoner_tls::{CertificateRefused, Client as Tls};

#[derive(Debug, thiserror::Error)]
pub enum AggregatorError {
    #[error("aggregator configuration: {0}")]
    Config(String),
    #[error("coordinator: {0}")]
    Wire(#[from] WireError),
    /// The coordinator is there and does not take our certificate.
    #[error(transparent)]
    Certificate(CertificateRefused),
    /// The coordinator is there, and has no work for who we are.
    #[error("{shown}: {error}; an aggregator's certificate, or its account, is an operator's")]
    NotAllowed { shown: String, error: WireError },
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

impl AggregatorError {
    /// The same, or that the coordinator refuses us, if that is why it gave no answer: another one will not follow before
    /// somebody mends it. `shown` is where our certificate is.
    pub(crate) fn explained(self, tls: &Tls, shown: &str) -> Self {
        match self {
            Self::Wire(error) if error.kind() == ErrorKind::NotAllowed => {
                Self::NotAllowed { shown: shown.to_owned(), error }
            }
            Self::Wire(WireError::Status(status)) if !is_from_peer(&status) => {
                tls.refusal().map_or(Self::Wire(WireError::Status(status)), Self::Certificate)
            }
            other => other,
        }
    }

    pub(crate) fn is_shut_out(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::NotAllowed { .. })
    }
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
            Self::Certificate(_) | Self::NotAllowed { .. } => ErrorKind::NotAllowed,
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
