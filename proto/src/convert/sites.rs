//! What sites say as members and validators.

use almoner_protocol::types::{Answer, DirectionPromise, Join, Ready, Reveal, StageAck};
use almoner_protocol::{Address, B256, MAX_COMMITTEE, MAX_PARAMETERS, SolValue, Stage};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::aggregators::{MAX_DIRECTIONS, MAX_UPLOADS};
use super::field::{Fields, Signed, words_to_bytes};
use crate::{FieldError, wire};

/// X-Wing public key.
const KEY_BYTES: usize = 1216;
/// Words of a ring element.
const RING: usize = 2048;
const MAX_BLOB: usize = 1 << 15;
const MAX_ENTRIES: usize = MAX_PARAMETERS as usize / 2;

/// A message that is one signed struct in two fields.
macro_rules! signed_pair {
    ($name:ident, $wire:ident, $inner:ty, $field:ident, $limit:expr) => {
        impl TryFrom<wire::$wire> for Signed<$inner> {
            type Error = FieldError;

            fn try_from(wire: wire::$wire) -> Result<Self, FieldError> {
                let fields = Fields(stringify!($wire));
                let message = fields.abi(stringify!($field), &wire.$field, $limit)?;
                Ok(Self { message, signature: fields.signature(&wire.signature)? })
            }
        }

        impl From<Signed<$inner>> for wire::$wire {
            fn from(signed: Signed<$inner>) -> Self {
                Self {
                    $field: signed.message.abi_encode().into(),
                    signature: Bytes::copy_from_slice(&signed.signature),
                }
            }
        }

        /// The signed struct alone.
        pub type $name = Signed<$inner>;
    };
}

signed_pair!(PromiseRequest, PromiseRequest, DirectionPromise, promise, 256);
signed_pair!(StageAckMessage, StageAckMessage, StageAck, ack, 128);

#[derive(Clone, Debug, PartialEq)]
pub struct JoinRequest {
    pub join: Signed<Join>,
    /// Rows held, from which the operator attests the class.
    pub rows: u32,
}

impl TryFrom<wire::JoinRequest> for JoinRequest {
    type Error = FieldError;

    fn try_from(wire: wire::JoinRequest) -> Result<Self, FieldError> {
        let fields = Fields("JoinRequest");
        let message: Join = fields.abi("join", &wire.join, 256)?;
        fields.within("join.role", message.role, 0, 1)?;
        Ok(Self {
            join: Signed { message, signature: fields.signature(&wire.signature)? },
            rows: fields.within("rows", wire.rows, 1, 1 << 31)?,
        })
    }
}

impl From<JoinRequest> for wire::JoinRequest {
    fn from(request: JoinRequest) -> Self {
        Self {
            join: request.join.message.abi_encode().into(),
            signature: Bytes::copy_from_slice(&request.join.signature),
            rows: request.rows,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReadyRequest {
    pub ready: Signed<Ready>,
    /// X-Wing public key, of which `ready` carries the hash.
    pub key: Bytes,
}

impl TryFrom<wire::ReadyRequest> for ReadyRequest {
    type Error = FieldError;

    fn try_from(wire: wire::ReadyRequest) -> Result<Self, FieldError> {
        let fields = Fields("ReadyRequest");
        let message: Ready = fields.abi("ready", &wire.ready, 256)?;
        fields.within("key", wire.key.len(), KEY_BYTES, KEY_BYTES)?;
        if alloy_primitives::keccak256(&wire.key) != message.keyHash {
            return Err(fields.error("key", "is not the key whose hash was signed"));
        }
        Ok(Self { ready: Signed { message, signature: fields.signature(&wire.signature)? }, key: wire.key })
    }
}

impl From<ReadyRequest> for wire::ReadyRequest {
    fn from(request: ReadyRequest) -> Self {
        Self {
            ready: request.ready.message.abi_encode().into(),
            key: request.key,
            signature: Bytes::copy_from_slice(&request.ready.signature),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct RevealRequest {
    pub reveal: Signed<Reveal>,
    /// d of them, packed.
    pub entries: Bytes,
}

impl TryFrom<wire::RevealRequest> for RevealRequest {
    type Error = FieldError;

    fn try_from(wire: wire::RevealRequest) -> Result<Self, FieldError> {
        let fields = Fields("RevealRequest");
        let message = fields.abi("reveal", &wire.reveal, 256)?;
        fields.within("entries", wire.entries.len(), 1, MAX_ENTRIES)?;
        Ok(Self { reveal: Signed { message, signature: fields.signature(&wire.signature)? }, entries: wire.entries })
    }
}

impl From<RevealRequest> for wire::RevealRequest {
    fn from(request: RevealRequest) -> Self {
        Self {
            reveal: request.reveal.message.abi_encode().into(),
            signature: Bytes::copy_from_slice(&request.reveal.signature),
            entries: request.entries,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcknowledgementsRequest {
    pub ctx: B256,
    pub stage: Stage,
}

impl TryFrom<wire::AcknowledgementsRequest> for AcknowledgementsRequest {
    type Error = FieldError;

    fn try_from(wire: wire::AcknowledgementsRequest) -> Result<Self, FieldError> {
        let fields = Fields("AcknowledgementsRequest");
        Ok(Self { ctx: fields.hash("ctx", &wire.ctx)?, stage: fields.stage("stage", wire.stage)? })
    }
}

impl From<AcknowledgementsRequest> for wire::AcknowledgementsRequest {
    fn from(request: AcknowledgementsRequest) -> Self {
        Self { ctx: Bytes::copy_from_slice(request.ctx.as_slice()), stage: request.stage.number().into() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct AcknowledgementsReply {
    pub acks: Vec<Signed<StageAck>>,
}

impl TryFrom<wire::AcknowledgementsReply> for AcknowledgementsReply {
    type Error = FieldError;

    fn try_from(wire: wire::AcknowledgementsReply) -> Result<Self, FieldError> {
        Fields("AcknowledgementsReply").at_most("acks", wire.acks.len(), MAX_COMMITTEE)?;
        Ok(Self { acks: wire.acks.into_iter().map(Signed::try_from).collect::<Result<_, _>>()? })
    }
}

impl From<AcknowledgementsReply> for wire::AcknowledgementsReply {
    fn from(reply: AcknowledgementsReply) -> Self {
        Self { acks: reply.acks.into_iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSharesRequest {
    pub ctx: B256,
    /// Committee index.
    pub member: u16,
}

/// A committee index of the largest committee.
fn member_index(fields: Fields, field: &'static str, index: u32) -> Result<u16, FieldError> {
    let index = fields.within(field, index, 0, MAX_COMMITTEE as u32 - 1)?;
    // Below MAX_COMMITTEE, which is far below u16.
    Ok(index as u16)
}

impl TryFrom<wire::SealedSharesRequest> for SealedSharesRequest {
    type Error = FieldError;

    fn try_from(wire: wire::SealedSharesRequest) -> Result<Self, FieldError> {
        let fields = Fields("SealedSharesRequest");
        Ok(Self { ctx: fields.hash("ctx", &wire.ctx)?, member: member_index(fields, "member", wire.member)? })
    }
}

impl From<SealedSharesRequest> for wire::SealedSharesRequest {
    fn from(request: SealedSharesRequest) -> Self {
        Self { ctx: Bytes::copy_from_slice(request.ctx.as_slice()), member: request.member.into() }
    }
}

/// One participant's blob for the member that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedShare {
    pub participant: Address,
    pub blob: Bytes,
}

impl TryFrom<wire::SealedShare> for SealedShare {
    type Error = FieldError;

    fn try_from(wire: wire::SealedShare) -> Result<Self, FieldError> {
        let fields = Fields("SealedShare");
        fields.at_most("blob", wire.blob.len(), MAX_BLOB)?;
        Ok(Self { participant: fields.account("participant", &wire.participant)?, blob: wire.blob })
    }
}

impl From<SealedShare> for wire::SealedShare {
    fn from(share: SealedShare) -> Self {
        Self { participant: Bytes::copy_from_slice(share.participant.as_slice()), blob: share.blob }
    }
}

/// A member's answer at a stage, and the words whose hash it signed.
macro_rules! answer {
    ($name:ident, $stage:expr, $least:expr, $most:expr) => {
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            pub answer: Signed<Answer>,
            pub words: Vec<u64>,
        }

        impl TryFrom<wire::$name> for $name {
            type Error = FieldError;

            fn try_from(wire: wire::$name) -> Result<Self, FieldError> {
                let fields = Fields(stringify!($name));
                let message: Answer = fields.abi("answer", &wire.answer, 256)?;
                if message.stage != $stage.number() {
                    return Err(fields.error("answer.stage", format!("is not {}", $stage)));
                }
                member_index(fields, "answer.member", message.member.into())?;
                let words = fields.words("words", &wire.words, $most)?;
                fields.within("words", words.len(), $least, $most)?;
                if Sha256::digest(&wire.words).as_slice() != message.answerHash.as_slice() {
                    return Err(fields.error("words", "are not those whose hash was signed"));
                }
                Ok(Self { answer: Signed { message, signature: fields.signature(&wire.signature)? }, words })
            }
        }

        impl From<$name> for wire::$name {
            fn from(answer: $name) -> Self {
                Self {
                    answer: answer.answer.message.abi_encode().into(),
                    signature: Bytes::copy_from_slice(&answer.answer.signature),
                    words: words_to_bytes(&answer.words),
                }
            }
        }
    };
}

answer!(ScoreAnswer, Stage::Score, 1, MAX_UPLOADS * MAX_DIRECTIONS);
answer!(SumAnswer, Stage::Open, RING, RING);
