//! The last model that a site verified: held as long as it runs, and in a file beside the journal.

use std::sync::{Arc, MutexGuard, PoisonError};

use almoner_journal::JournalError;
use almoner_protocol::{B256, model_root};

use super::Memory;
use crate::SiteError;

/// A verified model in memory.
#[derive(Clone)]
pub(super) struct HeldModel {
    root: B256,
    values: Arc<Vec<i32>>,
    /// Whether it is in the journal.
    saved: bool,
}

impl std::fmt::Debug for HeldModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldModel").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Memory {
    /// The last base model this site verified: its root and its values.
    pub async fn verified_model(&self) -> Result<Option<(B256, Arc<Vec<i32>>)>, SiteError> {
        if let Some(held) = self.held().clone() {
            return Ok(Some((held.root, held.values)));
        }
        let key = self.key("model");
        let Some(value) = self.with(move |journal| journal.beside_get(&key)).await? else { return Ok(None) };
        let read = move || {
            let (root, words) = value.split_at_checked(32)?;
            let (words, rest) = words.as_chunks::<4>();
            let values: Vec<i32> = words.iter().map(|word| i32::from_be_bytes(*word)).collect();
            let root = B256::from_slice(root);
            (rest.is_empty() && model_root(&values) == root).then(|| (root, Arc::new(values)))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| SiteError::Stopped)?;
        read.map(Some).ok_or(JournalError::Corrupt("the verified model, in the file `.model` beside it").into())
    }

    /// Remembers a model for as long as this process runs. The first one is written down at once: a site that began to
    /// compute models itself takes no published one any more.
    pub async fn keep_model(&self, root: B256, values: Vec<i32>) -> Result<Arc<Vec<i32>>, SiteError> {
        let first = self.verified_model().await?.is_none();
        let values = Arc::new(values);
        *self.held() = Some(HeldModel { root, values: values.clone(), saved: false });
        if first {
            self.save_model().await?;
        }
        Ok(values)
    }

    /// Writes the model down, so that another life of this process need not compute it from an older one.
    pub async fn save_model(&self) -> Result<(), SiteError> {
        let Some(held) = self.held().clone().filter(|held| !held.saved) else { return Ok(()) };
        let (key, model) = (self.key("model"), held.clone());
        self.with(move |journal| {
            journal.beside_put(&key, |out| {
                out.write_all(model.root.as_slice())?;
                let mut bytes = [0; 1 << 12];
                model.values.chunks(bytes.len() / 4).try_for_each(|words| {
                    bytes.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(b, word)| *b = word.to_be_bytes());
                    out.write_all(&bytes[..4 * words.len()])
                })
            })
        })
        .await?;
        if let Some(now) = self.held().as_mut().filter(|now| now.root == held.root) {
            now.saved = true;
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Option<HeldModel>> {
        // Replaced whole, so a panic elsewhere leaves a usable value.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
