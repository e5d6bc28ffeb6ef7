use std::borrow::Cow;
use std::path::PathBuf;

use alloy::primitives::{B256, Bytes};
use thiserror::Error;

/// Why the chain could not be opened or moved on.
#[derive(Debug, Error)]
pub enum DevnetError {
    #[error("{path} is in use by another process")]
    InUse { path: PathBuf },
    #[error("{path} is not a chain file of this version")]
    Format { path: PathBuf },
    #[error("{path} is damaged at byte {offset}")]
    Corrupt { path: PathBuf, offset: u64 },
    /// The file was begun with other parameters; its history would not re-execute.
    #[error("the chain was begun with another {what}: move its file away, or put the {what} back")]
    Genesis { what: &'static str },
    /// The blocks were made by a program that executed differently.
    #[error("block {number} re-executes to {found}, but was recorded as {recorded}")]
    Diverged { number: u64, recorded: B256, found: B256 },
    #[error("block {number} does not re-execute: {reason}")]
    Replay { number: u64, reason: String },
    #[error("chain file: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Refused(String),
}

/// What a JSON-RPC caller is told.
#[derive(Clone, Debug)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: Cow<'static, str>,
    /// Revert data.
    pub(crate) data: Option<Bytes>,
}

impl RpcError {
    pub(crate) fn params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-32602, message)
    }

    /// The code geth gives to everything that is not the caller's syntax.
    pub(crate) fn server(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-32000, message)
    }

    pub(crate) fn method(name: &str) -> Self {
        Self::new(-32601, format!("the method {name} does not exist/is not available"))
    }

    pub(crate) fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-32005, message)
    }

    pub(crate) fn reverted(message: String, data: Bytes) -> Self {
        Self { data: Some(data), ..Self::new(3, message) }
    }

    pub(crate) fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}
