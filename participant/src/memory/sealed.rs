//! Secrets of a journal under the key of the site's vault: whoever steals the disk finds no seed, and cannot tell from an
//! upload that went over the wire what was in it.

use almoner_identity::{IdentityError, StateKey};
use almoner_journal::{Batch, Journal};
use zeroize::Zeroizing;

use super::Memory;
use crate::SiteError;
use crate::entropy::system_rng;

/// What is a secret, by the word behind the federation. A direction is one until it is revealed.
const SECRETS: [&str; 4] = ["site-seed", "member-key", "upload-seed", "direction"];

impl Memory {
    pub(super) async fn secret(&self, what: String) -> Result<Option<Zeroizing<Vec<u8>>>, SiteError> {
        let name = self.key(&what);
        let Some(value) = self.get(what).await?.map(Zeroizing::new) else { return Ok(None) };
        match &self.seal {
            Some(key) => Ok(Some(key.open(&name, &value)?)),
            None if StateKey::is_sealed(&value) => Err(SiteError::VaultNeeded),
            None => Ok(Some(value)),
        }
    }

    pub(super) async fn put_secret(&self, what: String, value: &[u8]) -> Result<(), SiteError> {
        let value = match &self.seal {
            Some(key) => key.seal(&self.key(&what), value, &mut system_rng()?)?,
            None => value.to_vec(),
        };
        self.put(what, value).await
    }
}

/// Seals whatever secret lies open in a journal, from before its site had a vault. Returns how many there were.
pub fn seal_secrets(journal: &Journal, key: &StateKey) -> Result<usize, SiteError> {
    let mut rng = system_rng()?;
    let mut sealed: Vec<(String, Vec<u8>)> = Vec::new();
    for name in journal.state_keys()? {
        if !name.split('/').nth(1).is_some_and(|word| SECRETS.contains(&word)) {
            continue;
        }
        let value = Zeroizing::new(journal.state_get(&name)?.unwrap_or_default());
        if StateKey::is_sealed(&value) {
            // Of another vault, it would be found out in the middle of a round.
            key.open(&name, &value)?;
        } else if !value.is_empty() {
            let value = key.seal(&name, &value, &mut rng)?;
            sealed.push((name, value));
        }
    }
    let batch = sealed.iter().fold(Batch::new(), |batch, (name, value)| batch.state(name, value));
    if !sealed.is_empty() {
        journal.commit(&batch)?;
    }
    Ok(sealed.len())
}

impl From<IdentityError> for SiteError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}
