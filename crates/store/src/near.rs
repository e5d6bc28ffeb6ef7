//! A store on this machine before one elsewhere: what a worker beside the coordinator reads need not cross a socket.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use crate::{Block, BlockSource, EmbeddedStore, Store, StoreError, error::Place};

/// Reads block by block from the folder, and from elsewhere what is missing or damaged there. It stores nothing.
#[derive(Debug)]
pub struct Near {
    near: EmbeddedStore,
    far: Arc<dyn Store>,
}

impl Near {
    pub fn new(near: EmbeddedStore, far: Arc<dyn Store>) -> Self {
        Self { near, far }
    }
}

#[async_trait]
impl BlockSource for Near {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        match self.near.fetch(cid).await {
            Err(error) if error.another_source_may_help() => self.far.fetch(cid).await,
            found => found,
        }
    }

    fn place(&self) -> Place {
        Place::new(format!("{} before {}", self.near.place(), self.far.place()))
    }
}

#[async_trait]
impl Store for Near {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        self.far.put(bytes).await
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        self.far.put_file(path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[tokio::test]
    async fn what_is_missing_or_damaged_here_comes_from_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let near = EmbeddedStore::open(dir.path()).await.unwrap();
        let far = Arc::new(MemoryStore::new());
        let here = near.put(Bytes::from_static(b"here")).await.unwrap();
        let there = far.put(Bytes::from_static(b"there")).await.unwrap();
        let both = Near::new(near, far.clone());
        assert_eq!(both.get(&here, 9).await.unwrap(), "here");
        assert_eq!(both.get(&there, 9).await.unwrap(), "there");
        for file in std::fs::read_dir(dir.path().join("blocks")).unwrap() {
            std::fs::write(file.unwrap().path(), b"damage").unwrap();
        }
        assert!(both.get(&here, 9).await.unwrap_err().is_missing(), "damaged here, and nobody else has it");
        far.put(Bytes::from_static(b"here")).await.unwrap();
        assert_eq!(both.get(&here, 9).await.unwrap(), "here");
    }
}
