//! Jobs of the aggregators.

use almoner_protocol::{Address, B256, MAX_PARAMETERS};
use bytes::Bytes;

use super::field::Fields;
use crate::{FieldError, RANGE_BLOCKS, wire};

/// Σw of a sum is at most 65,535 and every class at least 1, so no round has more.
pub const MAX_UPLOADS: usize = 65_535;
/// Directions of one round.
pub const MAX_DIRECTIONS: usize = almoner_crypto::score::FORMS_PER_SECRET_MAX as usize;

const RING: usize = 2048;
const MAX_DROP: u32 = 16;

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

/// A leased block range of uploads: their verdicts, their inner products with the directions, their weighted sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub lease: u64,
    /// Whose uploads they are, for logs and traces; 0 where it is not said.
    pub round: u64,
    pub first_block: u32,
    pub blocks: u32,
    /// d
    pub parameters: u32,
    pub drop_bits: u8,
    pub uploads: Vec<JobUpload>,
    /// None if there are no directions.
    pub directions: Option<Bytes>,
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
            round: wire.round,
            first_block,
            blocks: fields.within("blocks", wire.blocks, expected, expected)?,
            parameters,
            // At most MAX_DROP.
            drop_bits: drop_bits as u8,
            uploads: wire.uploads.into_iter().map(JobUpload::try_from).collect::<Result<_, _>>()?,
            directions: match wire.directions_cid.is_empty() {
                true => None,
                false => Some(fields.cid("directions_cid", wire.directions_cid)?),
            },
        }))
    }
}

impl From<Job> for wire::Job {
    fn from(job: Job) -> Self {
        Self {
            lease: job.lease,
            round: job.round,
            first_block: job.first_block,
            blocks: job.blocks,
            parameters: job.parameters,
            drop_bits: job.drop_bits.into(),
            uploads: job.uploads.into_iter().map(Into::into).collect(),
            directions_cid: job.directions.unwrap_or_default(),
        }
    }
}
