//! What a researcher orders.

use crate::{FieldError, MAX_INITIAL, wire};

use super::field::{Amount, Fields};

const MAX_SPEC: usize = 64 << 10;
const MAX_ROUNDS: u32 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// The federation file as the researcher wrote it.
    pub spec: String,
    /// Fixed-point parameters of the first model; empty: all zero.
    pub initial: Vec<i32>,
}

impl TryFrom<wire::CreateRequest> for CreateRequest {
    type Error = FieldError;

    fn try_from(wire: wire::CreateRequest) -> Result<Self, FieldError> {
        let fields = Fields("CreateRequest");
        fields.at_most("initial", wire.initial.len(), MAX_INITIAL)?;
        let (words, rest) = wire.initial.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(fields.error("initial", "not a whole number of 4-byte words"));
        }
        let initial = words.iter().map(|word| i32::from_be_bytes(*word)).collect();
        Ok(Self { spec: fields.text("spec", wire.spec, MAX_SPEC)?, initial })
    }
}

impl From<CreateRequest> for wire::CreateRequest {
    fn from(request: CreateRequest) -> Self {
        let initial: Vec<u8> = request.initial.iter().flat_map(|word| word.to_be_bytes()).collect();
        Self { spec: request.spec, initial: initial.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateReply {
    pub federation: u64,
}

impl TryFrom<wire::CreateReply> for CreateReply {
    type Error = FieldError;

    fn try_from(wire: wire::CreateReply) -> Result<Self, FieldError> {
        Ok(Self { federation: wire.federation })
    }
}

impl From<CreateReply> for wire::CreateReply {
    fn from(reply: CreateReply) -> Self {
        Self { federation: reply.federation }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundRequest {
    pub federation: u64,
    pub amount: Amount,
}

impl TryFrom<wire::FundRequest> for FundRequest {
    type Error = FieldError;

    fn try_from(wire: wire::FundRequest) -> Result<Self, FieldError> {
        let amount = Fields("FundRequest").amount("amount", wire.amount)?;
        Ok(Self { federation: wire.federation, amount })
    }
}

impl From<FundRequest> for wire::FundRequest {
    fn from(request: FundRequest) -> Self {
        Self { federation: request.federation, amount: request.amount.to_string() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    pub federation: u64,
    /// `None`: what is left of those that the file plans.
    pub rounds: Option<u32>,
}

impl TryFrom<wire::LaunchRequest> for LaunchRequest {
    type Error = FieldError;

    fn try_from(wire: wire::LaunchRequest) -> Result<Self, FieldError> {
        let rounds = Fields("LaunchRequest").within("rounds", wire.rounds, 0, MAX_ROUNDS)?;
        Ok(Self { federation: wire.federation, rounds: (rounds > 0).then_some(rounds) })
    }
}

impl From<LaunchRequest> for wire::LaunchRequest {
    fn from(request: LaunchRequest) -> Self {
        Self { federation: request.federation, rounds: request.rounds.unwrap_or_default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRequest {
    pub federation: u64,
}

impl From<wire::StopRequest> for StopRequest {
    fn from(wire: wire::StopRequest) -> Self {
        Self { federation: wire.federation }
    }
}

impl From<StopRequest> for wire::StopRequest {
    fn from(request: StopRequest) -> Self {
        Self { federation: request.federation }
    }
}
