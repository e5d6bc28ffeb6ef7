//! What a site's journal tells somebody who only looks: no seed, no model, no direction.

use std::collections::BTreeSet;

use almoner_journal::JournalReader;
use almoner_protocol::{B256, FederationId};

use super::{forgotten, scalars};
use crate::SiteError;

/// One site's memory of one federation, read while its agent may be running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Rounds for which it holds the coordinator's receipt, by ctx.
    pub receipts: BTreeSet<B256>,
    /// Rounds for which it promised a direction.
    pub promises: BTreeSet<B256>,
    /// Rounds in which it answered for the shares that it held.
    pub answers: BTreeSet<B256>,
    /// Scalars of its updates that may have been opened, by round.
    pub scalars: Vec<(B256, u32)>,
    /// 0: the journal was never put back from a copy.
    pub generation: u64,
    /// Up to when it may have forgotten what was said.
    pub forgotten_until: Option<u64>,
}

impl Records {
    pub fn read(journal: &JournalReader, federation: FederationId) -> Result<Self, SiteError> {
        let generation = journal.generation()?;
        let named = |what: &str| -> Result<BTreeSet<B256>, SiteError> {
            let prefix = format!("{federation}/{what}/");
            // An erased value is an empty one: a direction that is forgotten with its round was promised all the same.
            let kept = journal.state_under(&prefix)?.into_iter();
            Ok(kept.filter_map(|(key, _)| key.strip_prefix(&prefix)?.parse().ok()).collect())
        };
        let one = |what: &str| -> Result<Vec<u8>, SiteError> {
            let key = format!("{federation}/{what}");
            let found = journal.state_under(&key)?.into_iter().find(|(found, _)| *found == key);
            Ok(found.map(|(_, value)| value).unwrap_or_default())
        };
        let settled = forgotten(&one("forgotten")?).filter(|(of, _)| *of == generation);
        let answers = journal.answers(&format!("{federation}/answer"))?;
        Ok(Self {
            receipts: named("receipt")?,
            promises: named("direction")?,
            answers: answers.into_iter().map(|given| B256::new(given.about)).collect(),
            scalars: scalars(&one("scalars")?).collect(),
            generation,
            forgotten_until: settled.map(|(_, until)| until),
        })
    }

    /// The federations of this number that the site has done something in: one, unless a chain was begun anew.
    pub fn federations(journal: &JournalReader, number: u64) -> Result<Vec<FederationId>, SiteError> {
        let named = journal.owners()?.into_iter().filter_map(|owner| owner.parse().ok());
        Ok(named.filter(|federation: &FederationId| federation.number == number).collect())
    }

    /// Scalars that may have been opened so far.
    pub fn opened(&self) -> u32 {
        self.scalars.iter().map(|(_, count)| *count).fold(0, u32::saturating_add)
    }
}
