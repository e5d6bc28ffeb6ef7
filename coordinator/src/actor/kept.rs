//! What every round starts from, kept apart from the store: a store that is lost costs the round in hand and no more. The
//! federation file is in the journal, a copy of the model beside it.

use almoner_store::{Layout, cid_of};

use super::Actor;
use crate::CoordinatorError;

/// The copy of the model, by its name beside the journal.
const BASE: &str = "base";

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

    /// Copies the model that the next round starts from to a place beside the journal.
    pub(super) async fn keep_base(&self) {
        if let Err(error) = self.copy_base().await {
            tracing::warn!(%error, "no copy of the model was kept beside the journal");
        }
    }

    async fn copy_base(&self) -> Result<(), CoordinatorError> {
        let Some(campaign) = &self.campaign else { return Ok(()) };
        let file = self.fetch(&campaign.base.cid).await?;
        let journal = self.journal.clone();
        let kept = tokio::task::spawn_blocking(move || journal.beside_put(BASE, |out| out.write_all(&file))).await;
        Ok(kept.map_err(|error| CoordinatorError::Bug(error.to_string()))??)
    }
}
