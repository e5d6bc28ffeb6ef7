//! What a site asks to be paid.

use almoner_protocol::{Address, B256};
use bytes::Bytes;

use super::field::{Amount, Fields};
use crate::{FieldError, wire};

/// Siblings of one leaf: enough for any tree that fits in a list.
const MAX_PROOF: usize = 32;
const NODE: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    pub federation: u64,
    pub account: Address,
    /// All that the account has ever earned in the federation.
    pub cumulative: Amount,
    /// From the leaf up.
    pub proof: Vec<B256>,
}

impl TryFrom<wire::ClaimRequest> for ClaimRequest {
    type Error = FieldError;

    fn try_from(wire: wire::ClaimRequest) -> Result<Self, FieldError> {
        let fields = Fields("ClaimRequest");
        fields.at_most("proof", wire.proof.len(), MAX_PROOF * NODE)?;
        let (nodes, rest) = wire.proof.as_chunks::<NODE>();
        if !rest.is_empty() {
            return Err(fields.error("proof", "is no whole number of 32-byte hashes"));
        }
        Ok(Self {
            federation: wire.federation,
            account: fields.account("account", &wire.account)?,
            cumulative: fields.amount("cumulative", wire.cumulative)?,
            proof: nodes.iter().map(B256::from).collect(),
        })
    }
}

impl From<ClaimRequest> for wire::ClaimRequest {
    fn from(request: ClaimRequest) -> Self {
        Self {
            federation: request.federation,
            account: Bytes::copy_from_slice(request.account.as_slice()),
            cumulative: request.cumulative.to_string(),
            proof: request.proof.concat().into(),
        }
    }
}

/// The claim is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimReply {
    /// In this block or an earlier one.
    pub block: u64,
}

impl From<wire::ClaimReply> for ClaimReply {
    fn from(wire: wire::ClaimReply) -> Self {
        Self { block: wire.block }
    }
}

impl From<ClaimReply> for wire::ClaimReply {
    fn from(reply: ClaimReply) -> Self {
        Self { block: reply.block }
    }
}
