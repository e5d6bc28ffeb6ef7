//! What a site is told of a round, and what it uploads.

use almoner_protocol::types::{Contribution, Descriptor, OpenCids, Receipt};
use almoner_protocol::{B256, MAX_COMMITTEE, MAX_PARAMETERS, SolValue, Stage};
use bytes::Bytes;

use super::field::{Fields, Signed};
use crate::{FieldError, wire};

/// Bytes of one data block: 2048 words of 6 bytes.
const BLOCK_BYTES: u64 = 2048 * 6;
/// The check file of every upload: 4 blocks of 2048 words of 8 bytes.
const CHECK_BYTES: u64 = 4 * 2048 * 8;
const MAX_BLOCKS: u32 = MAX_PARAMETERS.div_ceil(2048);
/// A list of sealed blobs, one per member, each at most 32 KiB.
const MAX_SHARES: u64 = 16 + (MAX_COMMITTEE as u64) * ((1 << 15) + 4);
const MAX_STAGES: usize = Stage::ALL.len();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    pub federation: u64,
}

impl From<wire::WatchRequest> for WatchRequest {
    fn from(wire: wire::WatchRequest) -> Self {
        Self { federation: wire.federation }
    }
}

impl From<WatchRequest> for wire::WatchRequest {
    fn from(request: WatchRequest) -> Self {
        Self { federation: request.federation }
    }
}

/// Something changed. It wakes; it proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundNotice {
    pub federation: u64,
    /// 0: no round yet.
    pub round: u64,
    pub state: String,
    /// 0, or the round for which readiness is asked now.
    pub next_round: u64,
    pub reason: String,
    /// Newest block the coordinator has seen: whoever has read it need not ask the chain; 0: unknown.
    pub block: u64,
}

impl TryFrom<wire::RoundNotice> for RoundNotice {
    type Error = FieldError;

    fn try_from(wire: wire::RoundNotice) -> Result<Self, FieldError> {
        let fields = Fields("RoundNotice");
        Ok(Self {
            federation: wire.federation,
            round: wire.round,
            state: fields.text("state", wire.state, 32)?,
            next_round: wire.next_round,
            reason: fields.text("reason", wire.reason, 256)?,
            block: wire.block,
        })
    }
}

impl From<RoundNotice> for wire::RoundNotice {
    fn from(notice: RoundNotice) -> Self {
        let RoundNotice { federation, round, state, next_round, mut reason, block } = notice;
        // Our own error texts may be longer than the field; what is cut off is in our log.
        reason.truncate(reason.floor_char_boundary(256));
        Self { federation, round, state, next_round, reason, block }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRequest {
    pub federation: u64,
    pub round: u64,
}

impl From<wire::TaskRequest> for TaskRequest {
    fn from(wire: wire::TaskRequest) -> Self {
        Self { federation: wire.federation, round: wire.round }
    }
}

impl From<TaskRequest> for wire::TaskRequest {
    fn from(request: TaskRequest) -> Self {
        Self { federation: request.federation, round: request.round }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageArtefact {
    pub stage: Stage,
    pub root: B256,
    /// Empty where the stage has no artefact of its own.
    pub cid: Bytes,
}

impl TryFrom<wire::StageArtefact> for StageArtefact {
    type Error = FieldError;

    fn try_from(wire: wire::StageArtefact) -> Result<Self, FieldError> {
        let fields = Fields("StageArtefact");
        Ok(Self {
            stage: fields.stage("stage", wire.stage)?,
            root: fields.hash("root", &wire.root)?,
            cid: fields.optional_cid("cid", wire.cid)?,
        })
    }
}

impl From<StageArtefact> for wire::StageArtefact {
    fn from(artefact: StageArtefact) -> Self {
        Self {
            stage: artefact.stage.number().into(),
            root: Bytes::copy_from_slice(artefact.root.as_slice()),
            cid: artefact.cid,
        }
    }
}

/// What a round asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub ctx: B256,
    pub descriptor: Descriptor,
    pub cids: OpenCids,
    pub stages: Vec<StageArtefact>,
}

impl TryFrom<wire::Task> for Task {
    type Error = FieldError;

    fn try_from(wire: wire::Task) -> Result<Self, FieldError> {
        let fields = Fields("Task");
        fields.at_most("stages", wire.stages.len(), MAX_STAGES)?;
        let stages = wire.stages.into_iter().map(StageArtefact::try_from).collect::<Result<Vec<_>, _>>()?;
        if stages.windows(2).any(|pair| pair[0].stage >= pair[1].stage) {
            return Err(fields.error("stages", "not ascending"));
        }
        Ok(Self {
            ctx: fields.hash("ctx", &wire.ctx)?,
            descriptor: fields.abi("descriptor", &wire.descriptor, 2048)?,
            cids: fields.abi("cids", &wire.cids, 1024)?,
            stages,
        })
    }
}

impl From<Task> for wire::Task {
    fn from(task: Task) -> Self {
        Self {
            ctx: Bytes::copy_from_slice(task.ctx.as_slice()),
            descriptor: task.descriptor.abi_encode().into(),
            cids: task.cids.abi_encode().into(),
            stages: task.stages.into_iter().map(Into::into).collect(),
        }
    }
}

/// Announces an upload: the signed manifest, and how long each of its three files is.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadHeader {
    pub contribution: Signed<Contribution>,
    pub ciphertext_bytes: u64,
    pub check_bytes: u64,
    pub shares_bytes: u64,
    /// Bytes of the three files, one after the other, that are not sent again.
    pub offset: u64,
}

impl UploadHeader {
    /// Bytes of the three files together.
    pub fn total(&self) -> u64 {
        // Each term is bounded by the conversion, far below u64.
        self.ciphertext_bytes.saturating_add(self.check_bytes).saturating_add(self.shares_bytes)
    }
}

impl TryFrom<wire::UploadHeader> for UploadHeader {
    type Error = FieldError;

    fn try_from(wire: wire::UploadHeader) -> Result<Self, FieldError> {
        let fields = Fields("UploadHeader");
        let message: Contribution = fields.abi("contribution", &wire.contribution, 1024)?;
        fields.within("contribution.blocks", message.blocks, 1, MAX_BLOCKS)?;
        let data = u64::from(message.blocks) * BLOCK_BYTES;
        let header = Self {
            contribution: Signed { message, signature: fields.signature(&wire.signature)? },
            ciphertext_bytes: fields.within("ciphertext_bytes", wire.ciphertext_bytes, data, data)?,
            check_bytes: fields.within("check_bytes", wire.check_bytes, CHECK_BYTES, CHECK_BYTES)?,
            shares_bytes: fields.within("shares_bytes", wire.shares_bytes, 1, MAX_SHARES)?,
            offset: wire.offset,
        };
        fields.within("offset", header.offset, 0, header.total())?;
        Ok(header)
    }
}

impl From<UploadHeader> for wire::UploadHeader {
    fn from(header: UploadHeader) -> Self {
        Self {
            contribution: header.contribution.message.abi_encode().into(),
            signature: Bytes::copy_from_slice(&header.contribution.signature),
            ciphertext_bytes: header.ciphertext_bytes,
            check_bytes: header.check_bytes,
            shares_bytes: header.shares_bytes,
            offset: header.offset,
        }
    }
}

/// How much of an upload a coordinator has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOffsetReply {
    pub offset: u64,
}

impl From<wire::UploadOffsetReply> for UploadOffsetReply {
    fn from(wire: wire::UploadOffsetReply) -> Self {
        Self { offset: wire.offset }
    }
}

impl From<UploadOffsetReply> for wire::UploadOffsetReply {
    fn from(reply: UploadOffsetReply) -> Self {
        Self { offset: reply.offset }
    }
}

/// The coordinator's countersignature.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadReceipt(pub Signed<Receipt>);

impl TryFrom<wire::UploadReceipt> for UploadReceipt {
    type Error = FieldError;

    fn try_from(wire: wire::UploadReceipt) -> Result<Self, FieldError> {
        let fields = Fields("UploadReceipt");
        let message = fields.abi("receipt", &wire.receipt, 256)?;
        Ok(Self(Signed { message, signature: fields.signature(&wire.signature)? }))
    }
}

impl From<UploadReceipt> for wire::UploadReceipt {
    fn from(UploadReceipt(signed): UploadReceipt) -> Self {
        Self { receipt: signed.message.abi_encode().into(), signature: Bytes::copy_from_slice(&signed.signature) }
    }
}
