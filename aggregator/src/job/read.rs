//! One look at every upload: is what its CIDs locate there and well-formed, what subtree root does its range have, what are
//! its inner products with the directions, and what do all of them add up to? Each byte is read and hashed once.
//!
//! The coordinator joins the subtrees of all ranges and compares with the manifest; the check file is compared here. An
//! upload that was examined as it arrived has the words and roots of its manifest, as its CID says: only whether it is
//! still there is open.

use std::sync::Arc;

use almoner_crypto::encrypt::{DATA_BLOCK_BYTES, DATA_WORD, check_data_block};
use almoner_crypto::ring::{N, add};
use almoner_crypto::score::inner_partial;
use almoner_crypto::sum::{CheckSum, SumBlock, validate_check_file};
use almoner_crypto::tree::{self, kind};
use almoner_proto::{Job, JobUpload, range_leaves, words_to_bytes};
use almoner_protocol::AuditVerdict as Verdict;
use almoner_store::{StoreError, cid_from_bytes};
use bytes::{BufMut, Bytes, BytesMut};

use super::{RangeReader, compute, directions};
use crate::AggregatorError;

/// Leaves of one block.
const BLOCK_LEAVES: u64 = (DATA_BLOCK_BYTES / DATA_WORD / tree::LEAF_WORDS) as u64;

pub(super) async fn read(job: &Job, reader: &RangeReader<'_>) -> Result<Bytes, AggregatorError> {
    let directions = match &job.directions {
        Some(cid) => directions::entries(job, reader.store(), &cid_from_bytes(cid)?).await?,
        None => Vec::new(),
    };
    let columns = directions.len();
    let mut seen = Seen::nothing(job, directions);
    let mut rows = BytesMut::with_capacity(job.uploads.len() * (33 + 8 * columns));
    for upload in &job.uploads {
        let verdict = match files(job, reader, upload).await? {
            Ok(files) => {
                let upload = upload.clone();
                let looked;
                (looked, seen) = compute(move || {
                    let participant = upload.participant;
                    let looked = seen.look(&upload, &files);
                    Ok((looked.map_err(|source| AggregatorError::Upload { participant, source })?, seen))
                })
                .await?;
                looked
            }
            Err(verdict) => Err(verdict),
        };
        match verdict {
            Ok(Row { root, products }) => {
                rows.put_u8(Verdict::Held.number());
                rows.put_slice(&root);
                products.into_iter().for_each(|word| rows.put_u64(word));
            }
            Err(verdict) => {
                rows.put_u8(verdict.number());
                rows.put_bytes(0, 32 + 8 * columns);
            }
        }
    }
    Ok(seen.behind(rows))
}

/// An upload's part of the range, and of the first range the check file.
struct Files {
    data: Bytes,
    check: Option<Bytes>,
}

async fn files(
    job: &Job,
    reader: &RangeReader<'_>,
    upload: &JobUpload,
) -> Result<Result<Files, Verdict>, AggregatorError> {
    let data = match judge(reader.data(upload).await)? {
        Ok(data) => data,
        Err(verdict) => return Ok(Err(verdict)),
    };
    if job.first_block > 0 {
        return Ok(Ok(Files { data, check: None }));
    }
    let check = judge(reader.check(upload).await)?;
    Ok(check.map(|check| Files { data, check: Some(check) }))
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

/// What there is to say of an upload that is held.
struct Row {
    root: tree::Hash,
    products: Vec<u64>,
}

/// The sums of what was seen so far, and what the rest is looked at with.
struct Seen {
    directions: Arc<[Vec<i8>]>,
    first_leaf: u64,
    leaves: u64,
    blocks: Vec<SumBlock>,
    checks: Option<CheckSum>,
}

impl Seen {
    fn nothing(job: &Job, directions: Vec<Vec<i8>>) -> Self {
        Self {
            directions: directions.into(),
            first_leaf: u64::from(job.first_block) * BLOCK_LEAVES,
            leaves: range_leaves(job.parameters),
            blocks: vec![SumBlock::new(); job.blocks as usize],
            checks: (job.first_block == 0).then(CheckSum::new),
        }
    }

    /// An error is a word out of range in an upload that was examined, or a range out of place.
    fn look(&mut self, upload: &JobUpload, files: &Files) -> almoner_crypto::Result<Result<Row, Verdict>> {
        let root = match upload.examined {
            true => [0; 32],
            false => match self.examine(upload, files)? {
                Ok(root) => root,
                Err(verdict) => return Ok(Err(verdict)),
            },
        };
        let mut products = vec![0; self.directions.len()];
        for (j, (sum, block)) in self.blocks.iter_mut().zip(files.data.chunks(DATA_BLOCK_BYTES)).enumerate() {
            for (product, entries) in products.iter_mut().zip(self.directions.iter()) {
                *product = add(*product, inner_partial(block, &entries[j * N..(j + 1) * N])?);
            }
            sum.add(block, upload.weight)?;
        }
        if let (Some(sum), Some(check)) = (&mut self.checks, &files.check) {
            sum.add(check, upload.weight)?;
        }
        Ok(Ok(Row { root, products }))
    }

    /// Nothing is added of an upload that is not well-formed throughout.
    fn examine(&self, upload: &JobUpload, files: &Files) -> almoner_crypto::Result<Result<tree::Hash, Verdict>> {
        if files.data.chunks(DATA_BLOCK_BYTES).any(|block| check_data_block(block).is_err()) {
            return Ok(Err(Verdict::Malformed));
        }
        if let Some(check) = &files.check {
            if validate_check_file(check).is_err() {
                return Ok(Err(Verdict::Malformed));
            }
            if tree::vector_root(kind::CHECK, 8, check) != upload.check_root.0 {
                return Ok(Err(Verdict::CheckRoot));
            }
        }
        // A range out of place is the job's fault, and nobody's verdict.
        tree::vector_subtree_root(kind::CIPHERTEXT, DATA_WORD, self.first_leaf, self.leaves, &files.data).map(Ok)
    }

    /// The rows, and the sums behind them.
    fn behind(self, mut rows: BytesMut) -> Bytes {
        rows.reserve((self.blocks.len() + 4) * N * 8);
        self.blocks.iter().for_each(|block| rows.put(words_to_bytes(block.words())));
        if let Some(checks) = self.checks {
            rows.put(words_to_bytes(checks.words()));
        }
        rows.freeze()
    }
}
