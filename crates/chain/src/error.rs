use alloy::primitives::{Address, B256};
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use almoner_journal::JournalError;
use thiserror::Error;

use crate::Revert;
use crate::transport::TooLong;

/// What can go wrong between us and the chain.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The contracts refuse the call. Nothing was sent.
    #[error("refused by the contracts: {0}")]
    Reverted(Box<Revert>),
    /// The transaction is in a block, but something came before it that made it fail.
    #[error("transaction {hash} failed in its block: {}", reason(.revert))]
    Failed { hash: B256, revert: Option<Box<Revert>> },
    #[error("the call needs {needed} gas, more than the {ceiling} allowed for one transaction")]
    GasCeiling { needed: u64, ceiling: u64 },
    #[error("a unit of gas costs {base_fee} wei, more than the {ceiling} we may pay")]
    FeeCeiling { base_fee: u128, ceiling: u128 },
    /// The node understood and said no.
    #[error("the node refused: {message} (code {code})")]
    Refused { code: i64, message: String },
    /// Still in the outbox: it is broadcast again when the sender starts again.
    #[error("transaction {hash} is not in a block after {seconds} s")]
    NotMined { hash: B256, seconds: u64 },
    /// Somebody else used our key: the nonce went to another transaction.
    #[error("nonce {nonce} was used by a transaction that is not ours")]
    Displaced { nonce: u64 },
    #[error("the node cannot be reached: {0}")]
    Transport(TransportError),
    /// It sends more than is held of an answer.
    #[error(
        "the node at {node} answers with more than {most} bytes, which no question of ours needs: name another node (rpc)"
    )]
    TooLong { node: String, most: usize },
    #[error("the node serves chain {found}, expected {expected}")]
    WrongChain { expected: u64, found: u64 },
    #[error("the code at {address} is not that of {contract}")]
    WrongCode { contract: &'static str, address: Address },
    #[error("{contract} at {address} is not wired to this deployment")]
    WrongWiring { contract: &'static str, address: Address },
    /// The chain contradicts itself, or the node lies.
    #[error("round {round} of federation {federation}: {what}")]
    Inconsistent { federation: u64, round: u64, what: &'static str },
    #[error("the node's answer does not decode: {0}")]
    Decode(String),
    #[error("key: {0}")]
    Key(String),
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// A bug in us.
    #[error("internal: {0}")]
    Internal(String),
}

impl LedgerError {
    /// Whether the same call may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::NotMined { .. } | Self::Displaced { .. } | Self::FeeCeiling { .. })
    }

    /// The custom error the contracts reverted with, if that is what happened.
    pub fn revert(&self) -> Option<&Revert> {
        match self {
            Self::Reverted(revert) => Some(revert),
            Self::Failed { revert, .. } => revert.as_deref(),
            _ => None,
        }
    }
}

impl From<TransportError> for LedgerError {
    fn from(error: TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => match payload.as_revert_data() {
                Some(data) => Self::Reverted(Box::new(Revert::decode(data))),
                None if payload.message.contains("revert") => {
                    Self::Reverted(Box::new(Revert::decode(Default::default())))
                }
                None => Self::Refused { code: payload.code, message: payload.message.into_owned() },
            },
            RpcError::Transport(TransportErrorKind::NonRetryable(source)) => match source.downcast::<TooLong>() {
                Ok(long) => Self::TooLong { node: long.node, most: long.most },
                Err(source) => Self::Transport(RpcError::Transport(TransportErrorKind::NonRetryable(source))),
            },
            other => Self::Transport(other),
        }
    }
}

impl From<tokio::task::JoinError> for LedgerError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Internal(error.to_string())
    }
}

fn reason(revert: &Option<Box<Revert>>) -> String {
    revert.as_ref().map_or_else(|| "no reason given".to_owned(), ToString::to_string)
}
