//! Uploads in block ranges: one range of one upload in memory, however large the model and however many they are.

use std::sync::Arc;

use almoner_crypto::encrypt::{CHECK_BYTES, DATA_BLOCK_BYTES, DATA_WORD, check_data_block};
use almoner_crypto::ring::{N, add};
use almoner_crypto::score::{Direction, finish_inner, inner_partial};
use almoner_crypto::sum::{CheckSum, SumBlock, validate_check_file};
use almoner_crypto::tree::{TreeHasher, kind, vector_root};
use almoner_protocol::AuditVerdict;
use almoner_protocol::types::Contribution;
use almoner_store::{Bytes, Layout, Store, StoreError, cid_from_bytes, cid_of};

use crate::artefacts::unavailable;
use crate::tally::{Checked, Wrong};
use crate::{AuditError, Kind};

/// Blocks looked at together, 3 MiB of ciphertext. The first range in which something is wrong gives the verdict, so
/// this number belongs to the protocol: aggregators lease ranges of the same size.
pub(crate) const RANGE_BLOCKS: u64 = 256;

/// Some of the blocks of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) blocks: u64,
}

pub(crate) fn ranges(blocks: u64) -> impl Iterator<Item = Range> {
    (0..blocks.div_ceil(RANGE_BLOCKS)).map(move |at| {
        let first = at * RANGE_BLOCKS;
        Range { first, blocks: RANGE_BLOCKS.min(blocks - first) }
    })
}

/// Work that keeps a processor busy, away from the threads that wait.
pub(crate) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuditError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AuditError::Task)
}

/// One of the two files of an upload that are recomputed. Sealed shares are nobody's but their member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Data,
    Check,
}

impl File {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Data => Kind::Ciphertext,
            Self::Check => Kind::CheckWords,
        }
    }

    pub(crate) fn cid(self, manifest: &Contribution) -> &[u8] {
        match self {
            Self::Data => &manifest.ciphertextCid,
            Self::Check => &manifest.checkCid,
        }
    }
}

/// What an upload turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Examined {
    Held,
    /// No source has a block of it.
    Unavailable(File, Wrong),
    /// The sources fail in another way, which says nothing about the upload.
    Unreadable(File, Wrong),
    Malformed(File),
    CheckRoot,
    CiphertextRoot,
}

impl Examined {
    /// The verdict that follows; `None` if nothing does.
    pub(crate) fn verdict(&self) -> Option<AuditVerdict> {
        match self {
            Self::Held => Some(AuditVerdict::Held),
            Self::Unavailable(..) => Some(AuditVerdict::Unavailable),
            Self::Unreadable(..) => None,
            Self::Malformed(_) => Some(AuditVerdict::Malformed),
            Self::CheckRoot => Some(AuditVerdict::CheckRoot),
            Self::CiphertextRoot => Some(AuditVerdict::CiphertextRoot),
        }
    }

    /// The file it is about.
    pub(crate) fn file(&self) -> Option<File> {
        match self {
            Self::Held => None,
            Self::Unavailable(file, _) | Self::Unreadable(file, _) | Self::Malformed(file) => Some(*file),
            Self::CheckRoot => Some(File::Check),
            Self::CiphertextRoot => Some(File::Data),
        }
    }
}

/// Part of a file.
async fn read(store: &dyn Store, cid: &[u8], offset: u64, length: u64) -> Result<Bytes, StoreError> {
    store.range(&cid_from_bytes(cid)?, offset, length).await
}

async fn read_data(store: &dyn Store, manifest: &Contribution, range: Range) -> Result<Bytes, StoreError> {
    let block = DATA_BLOCK_BYTES as u64;
    read(store, &manifest.ciphertextCid, range.first * block, range.blocks * block).await
}

async fn read_check(store: &dyn Store, manifest: &Contribution) -> Result<Bytes, StoreError> {
    read(store, &manifest.checkCid, 0, CHECK_BYTES as u64).await
}

/// What a failed read says about the upload.
fn unread(file: File, error: &StoreError) -> Examined {
    match error {
        error if error.is_missing() => Examined::Unavailable(file, unavailable(error)),
        // Verified blocks that make no file, or too short a one: the participant made them so.
        StoreError::BadCid { .. } | StoreError::OutOfRange { .. } | StoreError::Malformed { .. } => {
            Examined::Malformed(file)
        }
        error => Examined::Unreadable(file, unavailable(error)),
    }
}

/// Judges an upload as PROTOCOL.md section 7 says: range by range, in each the data words first, with the first range
/// the check words.
pub(crate) async fn examine(store: &dyn Store, manifest: &Contribution, blocks: u64) -> Result<Examined, AuditError> {
    let mut hasher = TreeHasher::new(kind::CIPHERTEXT);
    for range in ranges(blocks) {
        let data = match read_data(store, manifest, range).await {
            Ok(data) => data,
            Err(error) => return Ok(unread(File::Data, &error)),
        };
        let check = match range.first {
            0 => match read_check(store, manifest).await {
                Ok(check) => Some(check),
                Err(error) => return Ok(unread(File::Check, &error)),
            },
            _ => None,
        };
        let check_root = manifest.checkRoot;
        let judged = compute(move || {
            let fault = judge(&data, check.as_deref(), &check_root.0);
            hasher.extend(DATA_WORD, &data);
            (fault, hasher)
        });
        let fault;
        (fault, hasher) = judged.await?;
        if let Some(fault) = fault {
            return Ok(fault);
        }
    }
    let same = hasher.finish() == manifest.ciphertextRoot.0;
    Ok(if same { Examined::Held } else { Examined::CiphertextRoot })
}

/// The first fault of one range, and of the check file if it comes with it.
fn judge(data: &[u8], check: Option<&[u8]>, check_root: &[u8; 32]) -> Option<Examined> {
    if data.chunks(DATA_BLOCK_BYTES).any(|block| check_data_block(block).is_err()) {
        return Some(Examined::Malformed(File::Data));
    }
    let check = check?;
    if validate_check_file(check).is_err() {
        return Some(Examined::Malformed(File::Check));
    }
    (vector_root(kind::CHECK, 8, check) != *check_root).then_some(Examined::CheckRoot)
}

/// Whether the bytes a source gives for one file of an upload have its CID. Asked only where its content contradicts
/// what is posted about it, to tell wrong bytes from a wrong verdict; holds that one file in memory.
pub(crate) async fn has_its_cid(store: &dyn Store, manifest: &Contribution, blocks: u64, file: File) -> bool {
    let length = match file {
        File::Data => blocks * DATA_BLOCK_BYTES as u64,
        File::Check => CHECK_BYTES as u64,
    };
    let Ok(cid) = cid_from_bytes(file.cid(manifest)) else { return true };
    match store.get(&cid, length).await {
        Ok(bytes) => cid_of(&bytes, Layout::V1_2025) == cid,
        // A file that cannot be read whole was still read by its blocks.
        Err(_) => true,
    }
}

/// `2^b·<c, g_v> + mid mod q` of one upload, for every direction.
pub(crate) async fn inner_products(
    store: &dyn Store,
    manifest: &Contribution,
    blocks: u64,
    directions: &Arc<Vec<Vec<i8>>>,
) -> Result<Checked<Vec<u64>>, AuditError> {
    let mut raw = vec![0; directions.len()];
    for range in ranges(blocks) {
        let data = match read_data(store, manifest, range).await {
            Ok(data) => data,
            Err(error) => return Ok(Err(unavailable(&error))),
        };
        let directions = directions.clone();
        let partial = compute(move || partial_products(&data, &directions, range.first)).await?;
        match partial {
            Ok(partial) => raw.iter_mut().zip(partial).for_each(|(sum, word)| *sum = add(*sum, word)),
            Err(wrong) => return Ok(Err(wrong)),
        }
    }
    let finished = raw.into_iter().zip(directions.iter()).map(|(raw, entries)| finish_inner(raw, &Direction(entries)));
    Ok(Ok(finished.collect()))
}

fn partial_products(data: &[u8], directions: &[Vec<i8>], first: u64) -> Checked<Vec<u64>> {
    // A model has at most 2^26 parameters.
    let from = first as usize * N;
    let product = |entries: &Vec<i8>| {
        let here = entries.get(from..).unwrap_or_default().chunks(N);
        let mut blocks = data.chunks(DATA_BLOCK_BYTES).zip(here);
        blocks.try_fold(0, |sum, (block, entries)| Ok::<_, Wrong>(add(sum, inner_partial(block, entries)?)))
    };
    directions.iter().map(product).collect()
}

/// An admitted upload with its weight.
pub(crate) type Weighted = (Contribution, u16);

/// `Σ w·c` over the data words of one range.
pub(crate) async fn sum_range(
    store: &dyn Store,
    uploads: &[Weighted],
    range: Range,
) -> Result<Checked<Vec<u64>>, AuditError> {
    let mut sums = vec![SumBlock::new(); range.blocks as usize];
    for (manifest, weight) in uploads {
        let data = match read_data(store, manifest, range).await {
            Ok(data) => data,
            Err(error) => return Ok(Err(of(manifest, unavailable(&error)))),
        };
        let weight = *weight;
        let added = compute(move || {
            let mut blocks = sums.iter_mut().zip(data.chunks(DATA_BLOCK_BYTES));
            let added = blocks.try_for_each(|(sum, block)| sum.add(block, weight));
            (sums, added)
        });
        let outcome;
        (sums, outcome) = added.await?;
        if let Err(error) = outcome {
            return Ok(Err(of(manifest, error.into())));
        }
    }
    Ok(Ok(sums.iter().flat_map(|sum| sum.words()).copied().collect()))
}

/// `Σ w·c mod q` over the check words.
pub(crate) async fn sum_checks(store: &dyn Store, uploads: &[Weighted]) -> Checked<Vec<u64>> {
    let mut sum = CheckSum::new();
    for (manifest, weight) in uploads {
        let check = read_check(store, manifest).await.map_err(|error| of(manifest, unavailable(&error)))?;
        sum.add(&check, *weight).map_err(|error| of(manifest, error.into()))?;
    }
    Ok(sum.words().to_vec())
}

fn of(manifest: &Contribution, wrong: Wrong) -> Wrong {
    wrong.about(manifest.participant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_block_once() {
        let all: Vec<_> = ranges(600).map(|range| (range.first, range.blocks)).collect();
        assert_eq!(all, [(0, 256), (256, 256), (512, 88)]);
        assert_eq!(ranges(1).map(|range| range.blocks).collect::<Vec<_>>(), [1]);
        assert_eq!(ranges(0).count(), 0);
    }

    #[test]
    fn the_data_words_are_judged_before_the_check_words() {
        let (mut data, mut check) = (vec![0; DATA_BLOCK_BYTES], vec![0; CHECK_BYTES]);
        let root = vector_root(kind::CHECK, 8, &check);
        assert_eq!(judge(&data, Some(&check), &root), None);
        assert_eq!(judge(&data, Some(&check), &[0; 32]), Some(Examined::CheckRoot));
        check[0] = 0xff;
        assert_eq!(judge(&data, Some(&check), &root), Some(Examined::Malformed(File::Check)));
        assert_eq!(judge(&data, None, &root), None);
        data[..DATA_WORD].fill(0xff);
        assert_eq!(judge(&data, Some(&check), &root), Some(Examined::Malformed(File::Data)));
    }
}
