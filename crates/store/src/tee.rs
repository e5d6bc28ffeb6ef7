//! The embedded store with a Kubo daemon as mirror.
//!
//! The embedded store alone decides whether an object is stored: while the daemon is away,
//! everything keeps working and what it missed is noted on disk. [`Tee::mirror_pending`] sends
//! it later; the owner's loop calls that, since this library spawns no tasks.
//!
//! Reads prefer the embedded store, block by block, and fall back to the daemon for blocks that
//! are missing or damaged here.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use crate::{Block, BlockSource, EmbeddedStore, Incoming, KuboStore, Store, StoreError, Whole, error::Place};

/// Embedded store and mirror in one.
#[derive(Debug)]
pub struct Tee {
    embedded: EmbeddedStore,
    kubo: KuboStore,
    /// The mirror failed last time: puts only take notes until `mirror_pending` succeeds.
    away: AtomicBool,
}

impl Tee {
    pub fn new(embedded: EmbeddedStore, kubo: KuboStore) -> Self {
        Self { embedded, kubo, away: AtomicBool::new(false) }
    }

    /// Objects the mirror has not confirmed.
    pub async fn pending(&self) -> Result<Vec<Cid>, StoreError> {
        self.embedded.unmirrored().await
    }

    /// Sends the mirror everything it has not confirmed; stops at the first failure, with the
    /// rest still noted. Returns how many objects were sent. Safe to repeat at any time.
    pub async fn mirror_pending(&self) -> Result<usize, StoreError> {
        let mut sent = 0;
        for cid in self.pending().await? {
            self.send(&cid).await?;
            sent += 1;
        }
        self.away.store(false, Ordering::Relaxed);
        Ok(sent)
    }

    async fn send(&self, cid: &Cid) -> Result<(), StoreError> {
        self.kubo.import(Arc::new(self.embedded.clone()), cid).await?;
        self.embedded.clear_unmirrored(cid).await
    }

    /// Notes the object first, so that a crash at any later moment still has it mirrored.
    async fn mirror(&self, cid: &Cid) -> Result<(), StoreError> {
        self.embedded.mark_unmirrored(cid).await?;
        if self.away.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Err(error) = self.send(cid).await {
            self.away.store(true, Ordering::Relaxed);
            tracing::warn!(%cid, %error, "the mirror missed an object; it is sent again later");
        }
        Ok(())
    }
}

#[async_trait]
impl BlockSource for Tee {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let local = self.embedded.fetch(cid).await;
        let Err(error) = local else { return local };
        if !error.another_source_may_help() {
            return Err(error);
        }
        if matches!(error, StoreError::Corrupt { .. }) {
            tracing::warn!(%error, "asking the mirror for a damaged block");
        }
        match self.kubo.fetch(cid).await {
            Ok(block) => Ok(block),
            Err(other) => Err(StoreError::Exhausted { cid: (*cid).into(), attempts: vec![error, other] }),
        }
    }

    fn place(&self) -> Place {
        Place::new(format!("{} with {}", self.embedded.place(), self.kubo.place()))
    }
}

#[async_trait]
impl Store for Tee {
    /// Durable in the embedded store when it returns; mirrored then or later.
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        let cid = self.embedded.put(bytes).await?;
        self.mirror(&cid).await?;
        Ok(cid)
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        let cid = self.embedded.put_file(path).await?;
        self.mirror(&cid).await?;
        Ok(cid)
    }

    async fn put_all(&self, objects: Vec<Bytes>) -> Result<Vec<Cid>, StoreError> {
        let cids = self.embedded.put_all(objects).await?;
        for cid in &cids {
            self.mirror(cid).await?;
        }
        Ok(cids)
    }

    fn incoming(&self) -> Incoming {
        self.embedded.incoming()
    }

    async fn keep(&self, objects: Vec<Whole>) -> Result<(), StoreError> {
        let cids: Vec<Cid> = objects.iter().map(|object| *object.cid()).collect();
        self.embedded.keep(objects).await?;
        for cid in &cids {
            self.mirror(cid).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
