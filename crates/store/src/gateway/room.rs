//! What all answers of a gateway hold of blocks at once.
//!
//! 1. A block is read once there is room for it. Whoever asks waits for that a while, and is told then to come again.
//! 2. It has its room until its last byte is written, wherever in HTTP it waits until then.
//! 3. Whoever does not take it in time is hung up on: nothing else makes HTTP let go of what it has taken.
//!
//! Callers who showed a certificate have a room of their own, so that nobody else is in their way. Not protected: callers
//! of either kind from others of that kind who read slowly; they wait, and come again.

use std::sync::Arc;
use std::time::Duration;

use almoner_tls::Caller;
use async_trait::async_trait;
use cid::Cid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::{Block, BlockSource, MAX_BLOCK, Place, Store, StoreError};

const KIB: usize = 1 << 10;

/// How much is held, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of either kind of callers.
    pub(super) memory_kib: usize,
    /// For room: longer than anybody keeps it, and less than the silence after which a reader gives up.
    pub(super) patience: Duration,
    /// For a block to be taken: four of 1 MiB at once on a line of 1 Mbit/s.
    pub(super) read: Duration,
}

pub(super) const LIMITS: Limits =
    Limits { memory_kib: 64 << 10, patience: Duration::from_secs(50), read: Duration::from_secs(40) };

#[derive(Clone, Debug)]
pub(super) struct Rooms {
    strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
    limits: Limits,
}

impl Rooms {
    pub(super) fn new(limits: Limits) -> Self {
        let [strangers, known] = [limits.memory_kib; 2].map(|kib| Arc::new(Semaphore::new(kib)));
        Self { strangers, known, limits }
    }

    pub(super) fn of(&self, caller: Caller) -> Room {
        let memory = if caller.peer.is_some() { &self.known } else { &self.strangers };
        Room { memory: memory.clone(), limits: self.limits, caller }
    }
}

/// Where one caller's blocks find room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    memory: Arc<Semaphore>,
    limits: Limits,
    caller: Caller,
}

impl Room {
    /// For a block, whose length nobody knows yet; none if there is none in time.
    pub(super) async fn place(&self) -> Option<Reserved> {
        let kib = u32::try_from(MAX_BLOCK / KIB).ok()?;
        let place = timeout(self.limits.patience, self.memory.clone().acquire_many_owned(kib)).await;
        // It is never closed.
        place.ok()?.ok().map(|memory| Reserved { memory, room: self.clone() })
    }
}

/// Room for the largest block.
#[derive(Debug)]
pub(super) struct Reserved {
    memory: OwnedSemaphorePermit,
    room: Room,
}

impl Reserved {
    /// The block keeps as much of it as it needs.
    pub(super) fn by(mut self, block: Block) -> Block {
        let surplus = self.memory.num_permits().saturating_sub(block.len().div_ceil(KIB));
        drop(self.memory.split(surplus));
        let (kept, gone) = oneshot::channel::<()>();
        let Room { limits, caller, .. } = self.room;
        tokio::spawn(async move {
            if timeout(limits.read, gone).await.is_err() {
                tracing::debug!("an answer was not read in time");
                caller.hang_up();
            }
        });
        block.keeping((self.memory, kept))
    }
}

/// A store, whose blocks find room before they are read.
#[derive(Debug)]
pub(super) struct Roomy {
    pub(super) store: Arc<dyn Store>,
    pub(super) room: Room,
}

#[async_trait]
impl BlockSource for Roomy {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let full = || StoreError::Unreachable {
            place: self.place(),
            what: cid.to_string(),
            detail: "too many read from here at once".into(),
        };
        let place = self.room.place().await.ok_or_else(full)?;
        Ok(place.by(self.store.fetch(cid).await?))
    }

    fn place(&self) -> Place {
        self.store.place()
    }
}
