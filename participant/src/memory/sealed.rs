//! Secrets of a journal under the key of the site's vault: whoever steals the disk finds no seed, and cannot tell from an
//! upload that went over the wire what was in it.

use almoner_identity::{IdentityError, StateKey};
use almoner_journal::{Batch, Journal};
use zeroize::Zeroizing;

use super::Memory;
use crate::SiteError;
use crate::entropy::system_rng;

/// What is a secret, by the word behind the federation. A direction is one until it is revealed.
const SECRETS: [&str; 5] = ["site-seed", "member-key", "upload-seed", "direction", "delta"];

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

/// Whether every secret of a journal is as it has to be for a site that has this key, or none: found out before a round
/// begins and not in the middle of it.
pub(crate) fn check_sealed(journal: &Journal, key: Option<&StateKey>) -> Result<(), SiteError> {
    for (name, value) in secrets(journal)? {
        match key {
            Some(key) => drop(key.open(&name, &value)?),
            None if StateKey::is_sealed(&value) => return Err(SiteError::VaultNeeded),
            None => {}
        }
    }
    Ok(())
}

/// Seals whatever secret lies open in a journal, from before its site had a vault. Returns how many there were.
pub fn seal_secrets(journal: &Journal, key: &StateKey) -> Result<usize, SiteError> {
    let mut rng = system_rng()?;
    let mut sealed: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in secrets(journal)? {
        if StateKey::is_sealed(&value) {
            // One of another vault is left alone, and told.
            key.open(&name, &value)?;
        } else {
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

/// By its name.
type Secret = (String, Zeroizing<Vec<u8>>);

/// Those that are not erased.
fn secrets(journal: &Journal) -> Result<Vec<Secret>, SiteError> {
    let mut found = Vec::new();
    for name in journal.state_keys()? {
        if name.split('/').nth(1).is_some_and(|word| SECRETS.contains(&word)) {
            let value = Zeroizing::new(journal.state_get(&name)?.unwrap_or_default());
            found.push((name, value));
        }
    }
    found.retain(|(_, value)| !value.is_empty());
    Ok(found)
}

impl From<IdentityError> for SiteError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}
