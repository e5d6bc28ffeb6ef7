//! Audit: is what the CIDs locate well-formed, and what subtree root does its range have?
//!
//! The coordinator joins the subtrees of all ranges and compares with the manifest; the check file is compared here.

use almoner_crypto::encrypt::{DATA_BLOCK_BYTES, DATA_WORD, check_data_block};
use almoner_crypto::sum::validate_check_file;
use almoner_crypto::tree::{self, kind};
use almoner_proto::{Job, JobUpload, range_leaves};
use almoner_store::StoreError;
use bytes::{BufMut, Bytes, BytesMut};

use super::{RangeReader, compute};
use crate::AggregatorError;

/// Leaves of one block.
const BLOCK_LEAVES: u64 = (DATA_BLOCK_BYTES / DATA_WORD / tree::LEAF_WORDS) as u64;

/// The verdicts of PROTOCOL.md §7 that one range can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    Held = 0,
    Unavailable = 1,
    Malformed = 2,
    CheckRoot = 4,
}

pub(super) async fn audit(job: &Job, reader: &RangeReader<'_>) -> Result<Bytes, AggregatorError> {
    let mut out = BytesMut::with_capacity(job.uploads.len() * 33);
    for upload in &job.uploads {
        let (verdict, root) = examine(job, reader, upload).await?;
        out.put_u8(verdict as u8);
        out.put_slice(&root);
    }
    Ok(out.freeze())
}

/// A verdict of one upload, and the range's subtree root (zero where there is none).
async fn examine(
    job: &Job,
    reader: &RangeReader<'_>,
    upload: &JobUpload,
) -> Result<(Verdict, tree::Hash), AggregatorError> {
    let none = [0; 32];
    let data = match judge(reader.data(upload).await)? {
        Ok(data) => data,
        Err(verdict) => return Ok((verdict, none)),
    };
    let check = if job.first_block == 0 {
        match judge(reader.check(upload).await)? {
            Ok(check) => Some(check),
            Err(verdict) => return Ok((verdict, none)),
        }
    } else {
        None
    };
    let first = u64::from(job.first_block) * BLOCK_LEAVES;
    let (size, check_root) = (range_leaves(job.parameters), upload.check_root);
    compute(move || {
        if data.chunks(DATA_BLOCK_BYTES).any(|block| check_data_block(block).is_err()) {
            return Ok((Verdict::Malformed, none));
        }
        if let Some(check) = check {
            if validate_check_file(&check).is_err() {
                return Ok((Verdict::Malformed, none));
            }
            if tree::vector_root(kind::CHECK, 8, &check) != check_root.0 {
                return Ok((Verdict::CheckRoot, none));
            }
        }
        let root = tree::vector_subtree_root(kind::CIPHERTEXT, DATA_WORD, first, size, &data)
            .map_err(|_| AggregatorError::Job("its range is not aligned"))?;
        Ok((Verdict::Held, root))
    })
    .await
}

/// What a failed read says about the upload. Only what is nobody else's fault does: a gateway that lies or is down
/// must not cost a hospital its round, so such a read fails the job, which is then leased again.
fn judge(read: Result<Bytes, StoreError>) -> Result<Result<Bytes, Verdict>, StoreError> {
    match read {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) if error.is_missing() => Ok(Err(Verdict::Unavailable)),
        // Verified blocks that make no file, or too short a one: the publisher of the CID made them so.
        Err(StoreError::BadCid { .. } | StoreError::OutOfRange { .. } | StoreError::Malformed { .. }) => {
            Ok(Err(Verdict::Malformed))
        }
        Err(error) => Err(error),
    }
}
