//! What every round starts from, kept apart from the store: a store that is lost costs the round in hand and no more. The
//! federation file is in the journal, a copy of the model beside it.

use std::io;

use almoner_journal::JournalError;
use almoner_protocol::model_file_length;
use almoner_store::{Layout, cid_from_bytes, cid_of};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Actor;
use crate::CoordinatorError;

/// The copy of the model, by its name beside the journal.
const BASE: &str = "base";
/// Read of the model at a time.
const PIECE: u64 = 1 << 20;

const NOT_KEPT: &str = "no copy of the model was kept beside the journal";

/// A copy in the making.
pub(super) type Copying = JoinHandle<Result<(), JournalError>>;

impl Actor {
    /// Publishes again what the store has lost.
    pub(super) async fn publish_again(&mut self) -> Result<(), CoordinatorError> {
        let campaign = self.campaign_mut()?;
        let (spec, base) = (campaign.spec_cid.clone(), campaign.base.cid.clone());
        if !self.has(&spec).await? {
            let file = self.campaign_mut()?.spec.canonical_bytes()?;
            self.put(file).await?;
        }
        if !self.has(&base).await? {
            self.base_is_kept().await;
            let journal = self.journal.clone();
            let copy = tokio::task::spawn_blocking(move || journal.beside_get(BASE)).await;
            let copy = copy.map_err(|error| CoordinatorError::Bug(error.to_string()))??.unwrap_or_default();
            if cid_of(&copy, Layout::V1_2025).to_bytes() != base.as_ref() {
                // Says that it is lost.
                return self.fetch(&base).await.map(drop);
            }
            self.put(copy).await?;
        }
        Ok(())
    }

    /// Copies the model that the next round starts from to a place beside the journal, while what follows goes on: until
    /// it is done the copy is an older one, which is never taken for it.
    pub(super) async fn keep_base(&mut self) {
        self.base_is_kept().await;
        match self.copy_base() {
            Ok(copying) => self.keeping = copying,
            Err(error) => tracing::warn!(%error, NOT_KEPT),
        }
    }

    /// Waits until a copy that was begun is done.
    pub(super) async fn base_is_kept(&mut self) {
        let Some(copying) = self.keeping.take() else { return };
        let kept = copying.await.map_err(|error| CoordinatorError::Bug(error.to_string()));
        if let Err(error) = kept.and_then(|kept| Ok(kept?)) {
            tracing::warn!(%error, NOT_KEPT);
        }
    }

    fn copy_base(&self) -> Result<Option<Copying>, CoordinatorError> {
        let Some(campaign) = &self.campaign else { return Ok(None) };
        let (cid, length) = (cid_from_bytes(&campaign.base.cid)?, model_file_length(&campaign.spec.model)?);
        let (journal, store, runtime) = (self.journal.clone(), self.store.clone(), Handle::current());
        let copy = move |out: &mut dyn io::Write| {
            for at in (0..length).step_by(PIECE as usize) {
                let piece = runtime.block_on(store.range(&cid, at, PIECE.min(length - at)));
                out.write_all(&piece.map_err(io::Error::other)?)?;
            }
            Ok(())
        };
        Ok(Some(tokio::task::spawn_blocking(move || journal.beside_put(BASE, copy))))
    }
}
