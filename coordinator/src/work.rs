//! What aggregators are asked to look at in a round, and how the results of their block ranges become one answer.

use std::sync::Arc;

use almoner_crypto::encrypt::CHECK_BYTES;
use almoner_crypto::matrix;
use almoner_crypto::ring::{N, Q};
use almoner_crypto::score::{Direction, finish_inner};
use almoner_crypto::tree::{self, Hash};
use almoner_proto::{Job, JobUpload};
use almoner_protocol::round::InnerRow;
use almoner_protocol::types::{LockItem, VerdictItem};
use almoner_protocol::{AuditVerdict, B256, Bytes, unpack_direction};
use serde::{Deserialize, Serialize};

use crate::CoordinatorError;
use crate::jobs::{BlockRange, RANGE_BLOCKS};
use crate::summing::Summing;

/// Leaves of one block of 2048 coefficients.
const BLOCK_LEAVES: u64 = 16;
/// Verdict u8 ‖ subtree root.
const AUDIT_RESULT: usize = 33;

/// What does not change between the jobs of a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RoundFacts {
    pub(crate) round: u64,
    pub(crate) parameters: u32,
    pub(crate) epoch_seed: [u8; 32],
    pub(crate) drop_bits: u8,
}

impl RoundFacts {
    pub(crate) fn blocks(&self) -> u32 {
        self.parameters.div_ceil(N as u32)
    }
}

/// What of the uploads is to be seen.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) uploads: Vec<(LockItem, u16)>,
    /// Their list; none if there are none.
    pub(crate) directions: Option<Bytes>,
    /// Packed, of every direction.
    pub(crate) entries: Vec<Bytes>,
    /// The sum of the uploads, as it comes.
    pub(crate) sum: Arc<Summing>,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) look: Look,
    pub(crate) verdicts: Vec<VerdictItem>,
    /// One per upload, also of those that are not held.
    pub(crate) inners: Vec<InnerRow>,
}

impl Look {
    /// Bytes of an upload's row in a range's result.
    fn row(&self) -> usize {
        AUDIT_RESULT + 8 * self.entries.len()
    }

    /// Bytes of a range's result before its sums.
    pub(crate) fn rows(&self) -> usize {
        self.uploads.len() * self.row()
    }

    pub(crate) fn job(&self, lease: u64, range: BlockRange, facts: &RoundFacts) -> Job {
        Job {
            lease,
            round: facts.round,
            first_block: range.first,
            blocks: range.blocks,
            parameters: facts.parameters,
            drop_bits: facts.drop_bits,
            uploads: self.uploads.iter().map(|(item, weight)| job_upload(item, *weight)).collect(),
            directions: self.directions.clone().map(Into::into),
        }
    }

    /// Bytes of one range's result, exactly.
    pub(crate) fn result_length(&self, range: BlockRange) -> usize {
        self.rows() + 8 * N * range.blocks as usize + if range.first == 0 { CHECK_BYTES } else { 0 }
    }

    /// Puts the rows of the ranges together; their lengths were checked when they came.
    pub(crate) fn finish(
        self,
        results: &[(BlockRange, Bytes)],
        facts: &RoundFacts,
    ) -> Result<Looked, CoordinatorError> {
        let verdicts = verdicts(&self, results, facts)?;
        let inners = inners(&self, results, facts)?;
        Ok(Looked { look: self, verdicts, inners })
    }
}

fn job_upload(item: &LockItem, weight: u16) -> JobUpload {
    let manifest = &item.manifest;
    JobUpload {
        participant: manifest.participant,
        ciphertext_cid: manifest.ciphertextCid.clone().into(),
        check_cid: manifest.checkCid.clone().into(),
        check_root: manifest.checkRoot,
        weight,
        examined: was_examined(item),
    }
}

/// What came by the chain was not seen as it arrived, and has no receipt.
pub(crate) fn was_examined(item: &LockItem) -> bool {
    !item.receipt.is_empty()
}

fn verdicts(
    look: &Look,
    results: &[(BlockRange, Bytes)],
    facts: &RoundFacts,
) -> Result<Vec<VerdictItem>, CoordinatorError> {
    let leaves = u64::from(facts.blocks()) * BLOCK_LEAVES;
    let size = (u64::from(RANGE_BLOCKS) * BLOCK_LEAVES).min(leaves.next_power_of_two());
    let verdict = |(i, (item, _)): (usize, &(LockItem, u16))| {
        let at = i * look.row();
        let rows = results.iter().map(|(_, bytes)| &bytes[at..at + AUDIT_RESULT]);
        let (verdicts, subtrees): (Vec<u8>, Vec<Hash>) = rows.map(audit_row).unzip();
        let verdict = match verdicts.into_iter().find(|verdict| *verdict != 0) {
            Some(verdict) => verdict,
            None if was_examined(item) => 0,
            None => {
                let root = tree::root_from_subtrees(tree::kind::CIPHERTEXT, leaves, size, &subtrees)
                    .map_err(|error| CoordinatorError::Bug(error.to_string()))?;
                if B256::from(root) == item.manifest.ciphertextRoot { 0 } else { AuditVerdict::CiphertextRoot.number() }
            }
        };
        Ok(VerdictItem { participant: item.manifest.participant, verdict })
    };
    look.uploads.iter().enumerate().map(verdict).collect()
}

fn audit_row(row: &[u8]) -> (u8, Hash) {
    let mut root = Hash::default();
    root.copy_from_slice(&row[1..]);
    (row[0], root)
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_be_bytes(word)
}

fn inners(look: &Look, results: &[(BlockRange, Bytes)], facts: &RoundFacts) -> Result<Vec<InnerRow>, CoordinatorError> {
    let unpack = |packed: &Bytes| unpack_direction(packed, facts.parameters);
    let directions: Result<Vec<Vec<i8>>, _> = look.entries.iter().map(unpack).collect();
    let directions = directions.map_err(|error| CoordinatorError::Bug(error.to_string()))?;
    let row = |(i, (item, _)): (usize, &(LockItem, u16))| {
        let columns = directions.iter().enumerate().map(|(v, direction)| {
            let at = i * look.row() + AUDIT_RESULT + 8 * v;
            let sum = results.iter().map(|(_, bytes)| u128::from(word(&bytes[at..at + 8]))).sum::<u128>();
            // The remainder of a division by q is below q.
            finish_inner((sum % u128::from(Q)) as u64, &Direction(direction))
        });
        InnerRow { participant: item.manifest.participant, inner: columns.collect() }
    };
    Ok(look.uploads.iter().enumerate().map(row).collect())
}

/// Root of the epoch's public matrix for this model.
pub(crate) fn matrix_root(seed: [u8; 32], parameters: u32) -> B256 {
    B256::from(matrix::matrix_root(&matrix::EpochSeed(seed), u64::from(parameters.div_ceil(N as u32))))
}
