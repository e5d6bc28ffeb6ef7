//! Uploads on their way, by participant. One whose line broke goes on where it was, over a new line: what arrived is kept
//! as long as the round takes uploads. A coordinator that is started again has none, and the site sends everything again.
//!
//! Each participant has one place, and only an upload that the running round would accept now gets it. So the disk holds at
//! most one upload of each, and memory a piece of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use almoner_proto::RoundNotice;
use almoner_protocol::round::State;
use almoner_protocol::types::Contribution;
use almoner_protocol::{Address, B256, SolStruct};
use almoner_store::{Store, Whole};
use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use crate::CoordinatorError;
use crate::arriving::{Arriving, Lengths};

/// What arrived, by participant: a second upload of one takes the place of the first.
#[derive(Debug, Default)]
pub(crate) struct Partials(Mutex<BTreeMap<Address, Kept>>);

#[derive(Clone, Debug)]
struct Kept {
    manifest: B256,
    place: Arc<AsyncMutex<Place>>,
}

#[derive(Debug)]
struct Place {
    /// The line that writes here; an older one, half open perhaps, does not any more.
    line: u64,
    /// `None` once it is whole, was refused or was given up.
    arriving: Option<Arriving>,
}

/// A line over which an upload comes.
#[derive(Debug)]
pub(crate) struct Line {
    partials: Arc<Partials>,
    participant: Address,
    place: Arc<AsyncMutex<Place>>,
    line: u64,
}

impl Partials {
    /// How many bytes of this very upload are here.
    pub(crate) async fn offset(&self, upload: &Contribution) -> u64 {
        let Some(kept) = self.kept(upload) else { return 0 };
        let place = kept.place.lock().await;
        place.arriving.as_ref().map_or(0, Arriving::taken)
    }

    /// Begins to receive an upload, if there is room for it, or goes on with it: `None` if other than `offset` bytes of it
    /// are here.
    pub(crate) async fn receive(
        self: &Arc<Self>,
        upload: &Contribution,
        lengths: Lengths,
        offset: u64,
        store: &dyn Store,
    ) -> Result<Option<Line>, CoordinatorError> {
        let participant = upload.participant;
        if offset > 0 {
            return Ok(self.go_on(upload, lengths, offset).await);
        }
        // What it replaces leaves its room to it.
        let replaced = self.lock().remove(&participant);
        give_up(replaced).await;
        let place = Place { line: 0, arriving: Some(Arriving::new(lengths, store).await?) };
        let place = Arc::new(AsyncMutex::new(place));
        let kept = Kept { manifest: upload.eip712_hash_struct(), place: place.clone() };
        let replaced = self.lock().insert(participant, kept);
        give_up(replaced).await;
        Ok(Some(Line { partials: self.clone(), participant, place, line: 0 }))
    }

    async fn go_on(self: &Arc<Self>, upload: &Contribution, lengths: Lengths, offset: u64) -> Option<Line> {
        let place = self.kept(upload)?.place;
        let mut here = place.lock().await;
        here.arriving.as_ref().filter(|here| here.taken() == offset && here.lengths() == lengths)?;
        here.line += 1;
        let line = here.line;
        drop(here);
        Some(Line { partials: self.clone(), participant: upload.participant, place, line })
    }

    fn kept(&self, upload: &Contribution) -> Option<Kept> {
        let manifest = upload.eip712_hash_struct();
        self.lock().get(&upload.participant).filter(|kept| kept.manifest == manifest).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, Kept>> {
        // Values are replaced whole, so a panic elsewhere leaves a usable map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn give_up(replaced: Option<Kept>) {
    if let Some(Kept { place, .. }) = replaced {
        place.lock().await.arriving = None;
    }
}

impl Line {
    /// Takes the next bytes. Should this be dropped while it waits, they are taken all the same.
    pub(crate) async fn take(&self, bytes: Bytes) -> Result<(), CoordinatorError> {
        let taken = self
            .work(move |place| match &mut place.arriving {
                Some(arriving) => arriving.take(&bytes),
                None => Err(OVERTAKEN),
            })
            .await;
        if taken.is_err() {
            self.forget().await;
        }
        taken
    }

    /// It is all here: the files of the manifest, for the store to keep. Nothing of it is kept here any longer, whatever
    /// it turns out to be.
    pub(crate) async fn finish(self, manifest: &Contribution) -> Result<Vec<Whole>, CoordinatorError> {
        let manifest = manifest.clone();
        let finish = move |place: &mut Place| place.arriving.take().ok_or(OVERTAKEN)?.finish(&manifest);
        let files = self.work(finish).await;
        self.forget().await;
        files
    }

    /// The line broke.
    pub(crate) async fn broke(&self) {
        let bytes = self.place.lock().await.arriving.as_ref().map_or(0, Arriving::taken);
        tracing::info!(participant = %self.participant, bytes, "an upload broke off; what arrived is kept");
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Place) -> Result<T, CoordinatorError> + Send + 'static,
    ) -> Result<T, CoordinatorError> {
        let mut place: OwnedMutexGuard<Place> = self.place.clone().lock_owned().await;
        if place.line != self.line {
            return Err(OVERTAKEN);
        }
        let done = tokio::task::spawn_blocking(move || work(&mut place)).await;
        done.map_err(|error| CoordinatorError::Bug(error.to_string()))?
    }

    /// Leaves the place, if it is still this line's.
    async fn forget(&self) {
        let mut place = self.place.lock().await;
        if place.line == self.line {
            place.arriving = None;
            let mut kept = self.partials.lock();
            if kept.get(&self.participant).is_some_and(|kept| Arc::ptr_eq(&kept.place, &self.place)) {
                kept.remove(&self.participant);
            }
        }
    }
}

const OVERTAKEN: CoordinatorError = CoordinatorError::NotNow("upload: it comes over another line now");

/// Forgets everything as soon as no uploads are taken.
pub(crate) async fn sweep(partials: Arc<Partials>, mut notice: watch::Receiver<RoundNotice>) {
    while notice.changed().await.is_ok() {
        if notice.borrow().state != State::Training.name() {
            let kept = std::mem::take(&mut *partials.lock());
            // On a thread that may wait: files are removed.
            let _ = tokio::task::spawn_blocking(move || drop(kept)).await;
        }
    }
}

#[cfg(test)]
mod tests;
