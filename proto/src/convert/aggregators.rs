//! Jobs of the aggregators.

use almoner_protocol::{Address, B256, MAX_PARAMETERS};
use bytes::Bytes;

use super::field::{Fields, words_to_bytes};
use crate::{FieldError, RANGE_BLOCKS, wire};

/// Σw of a sum is at most 65,535 and every class at least 1, so no round has more.
pub const MAX_UPLOADS: usize = 65_535;
/// Directions of one round.
pub const MAX_DIRECTIONS: usize = almoner_crypto::score::FORMS_PER_SECRET_MAX as usize;

const RING: usize = 2048;
const MAX_DROP: u32 = 16;
const MAX_DELTA: u64 = 1 << 49;
const MAX_UPDATE: u32 = 32_767;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// A name for the log.
    pub worker: String,
}

impl TryFrom<wire::LeaseRequest> for LeaseRequest {
    type Error = FieldError;

    fn try_from(wire: wire::LeaseRequest) -> Result<Self, FieldError> {
        Ok(Self { worker: Fields("LeaseRequest").text("worker", wire.worker, 64)? })
    }
}

impl From<LeaseRequest> for wire::LeaseRequest {
    fn from(request: LeaseRequest) -> Self {
        Self { worker: request.worker }
    }
}

/// What to do with the range.
#[derive(Clone, PartialEq, Eq)]
pub enum JobKind {
    /// Verdicts, inner products with the directions, and the weighted sum.
    Read { directions: Option<Bytes> },
    /// `secret` opens the sum and nothing else; it becomes public with the open list.
    Open { sum: Bytes, secret: Vec<u64>, update_max: u16 },
}

impl std::fmt::Debug for JobKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read { .. } => "Read",
            Self::Open { .. } => "Open",
        })
    }
}

/// One participant's files, as a job sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobUpload {
    pub participant: Address,
    pub ciphertext_cid: Bytes,
    pub check_cid: Bytes,
    pub check_root: B256,
    /// The attested class.
    pub weight: u16,
    /// Words and roots were held against the manifest as it arrived.
    pub examined: bool,
}

impl TryFrom<wire::JobUpload> for JobUpload {
    type Error = FieldError;

    fn try_from(wire: wire::JobUpload) -> Result<Self, FieldError> {
        let fields = Fields("JobUpload");
        let weight = fields.within("weight", wire.weight, 1, u16::MAX.into())?;
        Ok(Self {
            participant: fields.account("participant", &wire.participant)?,
            ciphertext_cid: fields.cid("ciphertext_cid", wire.ciphertext_cid)?,
            check_cid: fields.cid("check_cid", wire.check_cid)?,
            check_root: fields.hash("check_root", &wire.check_root)?,
            // Within u16 by the line above.
            weight: weight as u16,
            examined: wire.examined,
        })
    }
}

impl From<JobUpload> for wire::JobUpload {
    fn from(upload: JobUpload) -> Self {
        Self {
            participant: Bytes::copy_from_slice(upload.participant.as_slice()),
            ciphertext_cid: upload.ciphertext_cid,
            check_cid: upload.check_cid,
            check_root: Bytes::copy_from_slice(upload.check_root.as_slice()),
            weight: upload.weight.into(),
            examined: upload.examined,
        }
    }
}

/// A leased block range and what to compute over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub lease: u64,
    pub kind: JobKind,
    pub first_block: u32,
    pub blocks: u32,
    /// d
    pub parameters: u32,
    pub epoch_seed: [u8; 32],
    pub delta: u64,
    pub drop_bits: u8,
    pub uploads: Vec<JobUpload>,
}

impl Job {
    /// Reads a lease; `None`: no work at the moment.
    pub fn from_wire(wire: wire::Job) -> Result<Option<Self>, FieldError> {
        let fields = Fields("Job");
        if wire.lease == 0 {
            return Ok(None);
        }
        let parameters = fields.within("parameters", wire.parameters, 1, MAX_PARAMETERS)?;
        let all = parameters.div_ceil(RING as u32);
        let first_block = fields.within("first_block", wire.first_block, 0, all - 1)?;
        if !first_block.is_multiple_of(RANGE_BLOCKS) {
            return Err(fields.error("first_block", format!("not a multiple of {RANGE_BLOCKS}")));
        }
        let expected = RANGE_BLOCKS.min(all - first_block);
        fields.at_most("uploads", wire.uploads.len(), MAX_UPLOADS)?;
        let drop_bits = fields.within("drop_bits", wire.drop_bits, 0, MAX_DROP)?;
        Ok(Some(Self {
            lease: wire.lease,
            kind: job_kind(fields, &wire)?,
            first_block,
            blocks: fields.within("blocks", wire.blocks, expected, expected)?,
            parameters,
            epoch_seed: fields.exactly("epoch_seed", &wire.epoch_seed)?,
            delta: fields.within("delta", wire.delta, 1, MAX_DELTA)?,
            // At most MAX_DROP.
            drop_bits: drop_bits as u8,
            uploads: wire.uploads.into_iter().map(JobUpload::try_from).collect::<Result<_, _>>()?,
        }))
    }
}

fn job_kind(fields: Fields, wire: &wire::Job) -> Result<JobKind, FieldError> {
    let kind = wire::JobKind::try_from(wire.kind).map_err(|_| fields.error("kind", "unknown"))?;
    match kind {
        wire::JobKind::None => Err(fields.error("kind", "missing")),
        wire::JobKind::Read => {
            let cid = || fields.cid("directions_cid", wire.directions_cid.clone());
            Ok(JobKind::Read { directions: (!wire.directions_cid.is_empty()).then(cid).transpose()? })
        }
        wire::JobKind::Open => {
            let secret = fields.words("secret", &wire.secret, RING)?;
            fields.within("secret", secret.len(), RING, RING)?;
            let update_max = fields.within("update_max", wire.update_max, 1, MAX_UPDATE)?;
            // At most MAX_UPDATE.
            let update_max = update_max as u16;
            Ok(JobKind::Open { sum: fields.cid("sum_cid", wire.sum_cid.clone())?, secret, update_max })
        }
    }
}

impl From<Job> for wire::Job {
    fn from(job: Job) -> Self {
        let mut wire = Self {
            lease: job.lease,
            kind: wire::JobKind::Read.into(),
            first_block: job.first_block,
            blocks: job.blocks,
            parameters: job.parameters,
            epoch_seed: Bytes::copy_from_slice(&job.epoch_seed),
            delta: job.delta,
            drop_bits: job.drop_bits.into(),
            uploads: job.uploads.into_iter().map(Into::into).collect(),
            ..Self::default()
        };
        match job.kind {
            JobKind::Read { directions } => wire.directions_cid = directions.unwrap_or_default(),
            JobKind::Open { sum, secret, update_max } => {
                wire.set_kind(wire::JobKind::Open);
                wire.sum_cid = sum;
                wire.secret = words_to_bytes(&secret);
                wire.update_max = update_max.into();
            }
        }
        wire
    }
}
