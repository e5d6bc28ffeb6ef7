//! Reading a participant's part of the range. Store reads are verified block by block against the CID.

use almoner_crypto::encrypt::{CHECK_BYTES, DATA_BLOCK_BYTES};
use almoner_proto::{Job, JobUpload};
use almoner_store::{Store, StoreError, cid_from_bytes};
use bytes::Bytes;

/// Reads the parts of uploads that a job is about.
#[derive(Debug)]
pub struct RangeReader<'a> {
    store: &'a dyn Store,
    offset: u64,
    length: u64,
}

impl<'a> RangeReader<'a> {
    pub fn new(job: &Job, store: &'a dyn Store) -> Self {
        let bytes = |blocks: u32| u64::from(blocks) * DATA_BLOCK_BYTES as u64;
        Self { store, offset: bytes(job.first_block), length: bytes(job.blocks) }
    }

    pub(super) fn store(&self) -> &'a dyn Store {
        self.store
    }

    /// The data words of the range.
    pub async fn data(&self, upload: &JobUpload) -> Result<Bytes, StoreError> {
        self.store.range(&cid_from_bytes(&upload.ciphertext_cid)?, self.offset, self.length).await
    }

    /// The check file, which no range divides.
    pub async fn check(&self, upload: &JobUpload) -> Result<Bytes, StoreError> {
        self.store.range(&cid_from_bytes(&upload.check_cid)?, 0, CHECK_BYTES as u64).await
    }
}
