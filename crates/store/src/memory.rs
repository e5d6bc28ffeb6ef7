//! A store in memory, for tests and for objects on their way elsewhere. Nothing is durable.

use std::{
    collections::HashMap,
    fmt,
    io::Read,
    path::Path,
    sync::{PoisonError, RwLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use crate::{
    Block, BlockSource, Layout, Store, StoreError,
    blocking::{blocking, open_file},
    error::Place,
    ids::{self, Digest32},
    layout,
};

/// Blocks by digest.
#[derive(Default)]
pub struct MemoryStore {
    layout: Option<Layout>,
    blocks: RwLock<HashMap<Digest32, Bytes>>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that builds another layout; for tests that want deep trees of few bytes.
    pub fn with_layout(layout: Layout) -> Self {
        Self { layout: Some(layout), ..Self::default() }
    }

    /// Distinct blocks held.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Digest32, Bytes>> {
        // A panic while inserting leaves the map whole: go on with it.
        self.blocks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one block if its bytes are what the CID says.
    pub fn insert(&self, cid: &Cid, block: Bytes) -> Result<(), StoreError> {
        let block = Block::from(block).open(cid, &self.place())?;
        self.keep(cid, block)
    }

    fn keep(&self, cid: &Cid, block: Bytes) -> Result<(), StoreError> {
        let digest = ids::digest(cid)?;
        self.blocks.write().unwrap_or_else(PoisonError::into_inner).insert(digest, block);
        Ok(())
    }

    fn layout(&self) -> Layout {
        self.layout.unwrap_or(Layout::V1_2025)
    }

    pub(crate) fn put_now(&self, bytes: &Bytes) -> Result<Cid, StoreError> {
        layout::build(bytes, self.layout(), &mut |cid, block| self.keep(&cid, block))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore({} blocks)", self.len())
    }
}

#[async_trait]
impl BlockSource for MemoryStore {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let found = self.read().get(&ids::digest(cid)?).cloned();
        found.map(Block::from).ok_or_else(|| StoreError::Missing { cid: (*cid).into(), place: self.place() })
    }

    fn place(&self) -> Place {
        Place::new("memory store")
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        self.put_now(&bytes)
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        let path = path.to_owned();
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            let read = open_file(&path)?.read_to_end(&mut bytes);
            read.map_err(|source| StoreError::Disk { action: "reading", path, source })?;
            Ok(Bytes::from(bytes))
        });
        self.put_now(&bytes.await?)
    }
}
