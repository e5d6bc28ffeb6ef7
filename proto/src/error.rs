//! Why a message is refused.

use tonic::Status;

use crate::status::{ErrorKind, Kinded};

/// A field of a peer's message that breaks its bound or does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field}: {reason}")]
pub struct FieldError {
    pub message: &'static str,
    pub field: &'static str,
    pub reason: String,
}

impl FieldError {
    pub fn new(message: &'static str, field: &'static str, reason: impl Into<String>) -> Self {
        Self { message, field, reason: reason.into() }
    }
}

/// A message or stream that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("{stream} stream: {reason}")]
    Stream { stream: &'static str, reason: &'static str },
    /// The transport, or the peer's own refusal.
    #[error("{}", .0.message())]
    Status(Box<Status>),
}

impl From<Status> for WireError {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl Kinded for FieldError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl Kinded for WireError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Field(_) | Self::Stream { .. } => ErrorKind::Invalid,
            Self::Status(status) => crate::status::kind_of(status),
        }
    }
}
