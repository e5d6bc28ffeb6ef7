//! The DAG of a file on disk as a source of blocks: nodes in memory, leaves read again.

use std::{
    collections::HashMap,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use crate::{
    Block, BlockSource, Layout, StoreError,
    blocking::{blocking, open_file},
    error::Place,
    ids::{self, Digest32, RAW},
    layout,
};

#[derive(Clone, Debug)]
enum Part {
    Node(Bytes),
    Leaf { offset: u64, len: u64 },
}

#[derive(Debug)]
pub(super) struct FileDag {
    path: Arc<PathBuf>,
    parts: HashMap<Digest32, Part>,
}

impl FileDag {
    /// Reads the file once and remembers where each block comes from.
    pub(super) fn index(path: PathBuf) -> Result<(Self, Cid), StoreError> {
        let mut parts = HashMap::new();
        let mut offset = 0u64;
        let failed = |source| StoreError::Disk { action: "reading", path: path.clone(), source };
        let mut file = open_file(&path)?;
        let root = layout::build_from(&mut file, Layout::V1_2025, &failed, &mut |cid, block| {
            let part = if cid.codec() == RAW {
                let len = block.len() as u64;
                offset += len;
                Part::Leaf { offset: offset - len, len }
            } else {
                Part::Node(block)
            };
            parts.insert(ids::digest(&cid)?, part);
            Ok(())
        })?;
        Ok((Self { path: Arc::new(path), parts }, root))
    }
}

fn read(path: &Path, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
    let failed = |source| StoreError::Disk { action: "reading", path: path.to_path_buf(), source };
    let mut file = open_file(path)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[async_trait]
impl BlockSource for FileDag {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let digest = ids::digest(cid)?;
        let (offset, len) = match self.parts.get(&digest) {
            Some(Part::Node(block)) => return Ok(block.clone().into()),
            Some(Part::Leaf { offset, len }) => (*offset, *len),
            None => {
                return Err(StoreError::Missing { cid: (*cid).into(), place: self.place() });
            }
        };
        let path = Arc::clone(&self.path);
        let block = blocking(move || read(&path, offset, len)).await?;
        let checked = Block::from(Bytes::from(block)).check(cid, &self.place());
        checked.map_err(|_| StoreError::Changed { path: self.path.to_path_buf() })
    }

    fn place(&self) -> Place {
        Place::new(format!("file {}", self.path.display()))
    }
}
