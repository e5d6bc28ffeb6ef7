//! The seam: what every back end offers.

use std::{fmt, path::Path};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use crate::{
    Block, Incoming, StoreError, Whole,
    blocking::blocking,
    dag::{self, Output},
    embedded::Batch,
    error::Place,
    incoming::Held,
    walk::Walk,
};

/// Something that hands out blocks. A [`Block`] yields its bytes only to a caller that names
/// the CID they must match, so a source need not be trusted, nor check anything itself.
#[async_trait]
pub trait BlockSource: Send + Sync + fmt::Debug {
    /// What the source has for an accepted CID.
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError>;

    /// Its name for messages, without credentials.
    fn place(&self) -> Place;
}

/// A content store. Whatever the back end, a CID is computed here, never taken from it, and
/// every block read is hashed against the CID that led to it.
#[async_trait]
pub trait Store: BlockSource {
    /// Stores bytes under the layout `unixfs-v1-2025`. When it returns, the object is as
    /// durable as the back end makes it (see each back end).
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError>;

    /// Stores a file, one chunk in memory at a time.
    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError>;

    /// Stores several objects; back ends may share one flush among them.
    async fn put_all(&self, objects: Vec<Bytes>) -> Result<Vec<Cid>, StoreError> {
        let mut cids = Vec::with_capacity(objects.len());
        for object in objects {
            cids.push(self.put(object).await?);
        }
        Ok(cids)
    }

    /// Begins an object that arrives in pieces.
    fn incoming(&self) -> Incoming {
        Incoming::in_memory()
    }

    /// As [`Self::incoming`], for an object of which is known how long it may get: a store with a quota keeps room for it,
    /// or refuses it before it comes.
    async fn expect(&self, _length: u64) -> Result<Incoming, StoreError> {
        Ok(self.incoming())
    }

    /// Stores objects that arrived, with one flush among them; as durable then as after a `put`.
    async fn keep(&self, objects: Vec<Whole>) -> Result<(), StoreError> {
        let mut batches = Vec::new();
        for object in objects {
            match object.bytes {
                Held::Memory(bytes) => drop(self.put(bytes).await?),
                Held::Disk(batch) => batches.push(batch),
            }
        }
        match batches.is_empty() {
            true => Ok(()),
            false => blocking(move || Batch::finish_all(batches)).await,
        }
    }

    /// Reads a whole file of at most `max` bytes.
    async fn get(&self, cid: &Cid, max: u64) -> Result<Bytes, StoreError> {
        // Grows with verified bytes only, so a lying size reserves nothing.
        let mut out = Vec::new();
        self.get_to(cid, max, &mut out).await?;
        Ok(out.into())
    }

    /// Reads a whole file of at most `max` bytes into `out` and returns its length. Bytes are
    /// written as their blocks are verified: after an error `out` holds a correct prefix, so a
    /// caller that needs all or nothing writes to a temporary name.
    async fn get_to(&self, cid: &Cid, max: u64, out: Output<'_>) -> Result<u64, StoreError> {
        let mut walk = Walk::new(cid, max)?;
        dag::finish(self, &mut walk, out).await
    }

    /// Reads `len` bytes at `offset`, which must lie inside the file; fetches only the blocks
    /// on the way to them.
    async fn range(&self, cid: &Cid, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        dag::range(self, cid, offset, len).await
    }

    /// One block for somebody who will hold it against its CID, as whoever asks a gateway does; `None` if it is not
    /// here. It is verified; a store that has done so since it was opened may leave it at that.
    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        dag::block(self, cid).await
    }
}
