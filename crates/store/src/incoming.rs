//! An object that arrives in pieces, over a slow line perhaps. Where the back end has a disk it lies there and not in
//! memory; it is in the store once it is whole and was found to be what it should be.

use std::fmt;

use bytes::{Bytes, BytesMut};
use cid::Cid;

use crate::{
    Layout, StoreError,
    embedded::{Batch, Room},
    layout::{Chunker, cid_of},
};

/// An object on its way. Dropped before it is kept, nothing of it remains.
#[derive(Debug)]
pub struct Incoming {
    to: To,
    length: u64,
    /// In a store with a quota, where it was said how long the object will be.
    room: Option<Room>,
}

enum To {
    Memory(BytesMut),
    Disk { batch: Batch, chunker: Chunker },
}

/// An object that is all here, and in no store yet.
#[derive(Debug)]
pub struct Whole {
    cid: Cid,
    length: u64,
    pub(crate) room: Option<Room>,
    pub(crate) bytes: Held,
}

#[derive(Debug)]
pub(crate) enum Held {
    Memory(Bytes),
    Disk(Batch),
}

impl Incoming {
    pub(crate) fn in_memory() -> Self {
        Self { to: To::Memory(BytesMut::new()), length: 0, room: None }
    }

    pub(crate) fn on_disk(batch: Batch) -> Self {
        Self { to: To::Disk { batch, chunker: Chunker::new(Layout::V1_2025) }, length: 0, room: None }
    }

    pub(crate) fn with_room(self, room: Option<Room>) -> Self {
        Self { room, ..self }
    }

    /// Takes the next bytes; waits for the disk. After an error the object is lost: drop it.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.length += bytes.len() as u64;
        match &mut self.to {
            To::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
            To::Disk { batch, chunker } => chunker.write(bytes, &mut |cid, block| batch.block(cid, block)),
        }
    }

    /// There is no more: what it is called.
    pub fn finish(self) -> Result<Whole, StoreError> {
        let Self { to, length, room } = self;
        match to {
            To::Memory(all) => {
                let bytes = all.freeze();
                Ok(Whole { cid: cid_of(&bytes, Layout::V1_2025), length, room, bytes: Held::Memory(bytes) })
            }
            To::Disk { mut batch, chunker } => {
                let cid = chunker.finish(&mut |cid, block| batch.block(cid, block))?;
                Ok(Whole { cid, length, room, bytes: Held::Disk(batch) })
            }
        }
    }
}

impl Whole {
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    pub fn length(&self) -> u64 {
        self.length
    }
}

impl fmt::Debug for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(all) => write!(f, "Memory({} bytes)", all.len()),
            Self::Disk { batch, .. } => batch.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{EmbeddedStore, MemoryStore, Store, testing::content};

    const CHUNK: usize = 1 << 20;

    /// Files under a folder, and under those in it.
    fn files(dir: &Path, sub: &str) -> usize {
        let entries = std::fs::read_dir(dir.join(sub)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { files(&path, "") } else { 1 }).sum()
    }

    fn arrive(store: &dyn Store, bytes: &[u8], piece: usize) -> Incoming {
        let mut incoming = store.incoming();
        bytes.chunks(piece).for_each(|piece| incoming.write(piece).unwrap());
        incoming
    }

    #[tokio::test]
    async fn pieces_of_any_size_make_the_object_that_a_put_makes() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, memory) = (EmbeddedStore::open(dir.path()).await.unwrap(), MemoryStore::new());
        for size in [0, 1, CHUNK, 2 * CHUNK + 1] {
            let bytes = content("pieces", size);
            let cid = MemoryStore::new().put(bytes.clone()).await.unwrap();
            for store in [&disk as &dyn Store, &memory] {
                let whole = [1 << 16, 3 * CHUNK].map(|piece| arrive(store, &bytes, piece).finish().unwrap());
                assert!(whole.iter().all(|whole| *whole.cid() == cid), "{size} bytes");
                assert!(size == 0 || store.get(&cid, size as u64).await.is_err(), "not kept yet");
                store.keep(whole.into()).await.unwrap();
                assert_eq!(store.get(&cid, size as u64).await.unwrap(), bytes);
            }
        }
        assert_eq!(files(dir.path(), "tmp"), 0);
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).await.unwrap();
        let bytes = content("given up", 2 * CHUNK + 1);
        let unfinished = arrive(&store, &bytes, CHUNK);
        let unwanted = arrive(&store, &bytes[1..], CHUNK).finish().unwrap();
        assert_eq!((files(dir.path(), "tmp"), files(dir.path(), "blocks")), (2 + 3, 0));
        drop((unfinished, unwanted));
        assert_eq!((files(dir.path(), "tmp"), files(dir.path(), "blocks")), (0, 0));
    }
}
