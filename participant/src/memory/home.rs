//! The one chain that a journal is of. What was said once, and how much was opened, is counted by chain and contracts:
//! whoever could name others at a later start, and the coordinator names them, would have the site begin again from
//! nothing. So the site writes them down the first time, and refuses others from then on.

use std::fmt;
use std::path::Path;

use almoner_chain::{Deployment, Ledger, LedgerError};
use almoner_journal::{Journal, JournalError, JournalReader};
use almoner_protocol::{Address, B256};

use crate::SiteError;

/// What it is kept under, apart from what belongs to one federation.
const KEPT: &str = "chain";

/// A chain, by its first block, and the contracts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeChain {
    genesis: B256,
    deployment: Deployment,
}

impl HomeChain {
    /// As the node has it. What it says is believed here: this is about changes, see PROTOCOL.md.
    pub async fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        Ok(Self { genesis: ledger.genesis().await?, deployment: ledger.deployment().clone() })
    }

    /// Refuses a journal that is of another chain. One that nobody wrote it into, from an earlier version, is of the
    /// chain of the federations that are in it.
    pub fn check(&self, journal: &Journal, state: &Path) -> Result<(), SiteError> {
        let names = journal.state_keys()?;
        let federations = names.iter().filter_map(|name| Some(name.split_once('/')?.0));
        self.is_the_one(journal.state_get(KEPT)?, federations, state)
    }

    /// As [`Self::check`], for whoever only looks.
    pub fn check_reading(&self, journal: &JournalReader, state: &Path) -> Result<(), SiteError> {
        let owners = journal.owners()?;
        self.is_the_one(kept(journal)?, owners.iter().map(String::as_str), state)
    }

    fn is_the_one<'a>(
        &self,
        kept: Option<Vec<u8>>,
        mut federations: impl Iterator<Item = &'a str>,
        state: &Path,
    ) -> Result<(), SiteError> {
        let differs =
            |kept: String| Err(SiteError::OtherChain { state: state.to_owned(), kept, found: self.to_string() });
        if let Some(kept) = kept {
            let kept = String::from_utf8_lossy(&kept).into_owned();
            return if kept == self.to_string() { Ok(()) } else { differs(kept) };
        }
        let own = format!("{}:{}:", self.deployment.chain_id, self.deployment.federations);
        match federations.find(|federation| !federation.starts_with(&own)) {
            Some(federation) => differs(format!("federation {federation}")),
            None => Ok(()),
        }
    }

    /// The one that a journal is of, if it was written down yet.
    pub fn pinned(journal: &JournalReader) -> Result<Option<Self>, JournalError> {
        let Some(kept) = kept(journal)? else { return Ok(None) };
        let read = std::str::from_utf8(&kept).ok().and_then(Self::parse);
        read.map(Some).ok_or(JournalError::Corrupt("the chain that it is of"))
    }

    /// A text as it is kept.
    fn parse(text: &str) -> Option<Self> {
        let (chain_id, text) = text.strip_prefix("chain ")?.split_once(" with genesis ")?;
        let (genesis, text) = text.split_once(", Federations ")?;
        let (federations, text) = text.split_once(", Rounds ")?;
        let (rounds, text) = text.split_once(", Payouts ")?;
        let (payouts, token) = text.split_once(", token ")?;
        let address = |text: &str| text.parse::<Address>().ok();
        let deployment = Deployment {
            chain_id: chain_id.parse().ok()?,
            federations: address(federations)?,
            rounds: address(rounds)?,
            payouts: address(payouts)?,
            token: address(token)?,
            // Not kept: where reading begins is no part of what the chain is.
            from_block: 0,
        };
        Some(Self { genesis: genesis.parse().ok()?, deployment })
    }

    pub fn genesis(&self) -> B256 {
        self.genesis
    }

    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Writes it down, once the federation was found there.
    pub fn keep(&self, journal: &Journal) -> Result<(), SiteError> {
        match journal.state_get(KEPT)? {
            Some(_) => Ok(()),
            None => Ok(journal.state_put(KEPT, self.to_string().as_bytes())?),
        }
    }
}

fn kept(journal: &JournalReader) -> Result<Option<Vec<u8>>, JournalError> {
    let found = journal.state_under(KEPT)?.into_iter().find(|(key, _)| key == KEPT);
    Ok(found.map(|(_, value)| value))
}

/// As it is kept: two that read alike are the same.
impl fmt::Display for HomeChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deployment { chain_id, federations, rounds, payouts, token, .. } = &self.deployment;
        write!(
            f,
            "chain {chain_id} with genesis {}, Federations {federations}, Rounds {rounds}, Payouts {payouts}, token {token}",
            self.genesis
        )
    }
}

#[cfg(test)]
mod tests {
    use almoner_protocol::FederationId;

    use super::*;
    use crate::Memory;

    fn chain(genesis: u8, federations: u8) -> HomeChain {
        let [rounds, payouts, token] = [0xf1, 0xf2, 0xf3].map(Address::repeat_byte);
        let federations = Address::repeat_byte(federations);
        let deployment = Deployment { chain_id: 31337, federations, rounds, payouts, token, from_block: 0 };
        HomeChain { genesis: B256::repeat_byte(genesis), deployment }
    }

    fn check(journal: &Journal, chain: &HomeChain) -> Result<(), String> {
        chain.check(journal, Path::new("site.db")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_journal_is_of_one_chain_and_its_contracts() {
        let journal = Journal::memory().unwrap();
        let (own, others) = (chain(1, 0xf0), [chain(1, 0xf4), chain(2, 0xf0)]);
        check(&journal, &others[0]).unwrap();
        own.keep(&journal).unwrap();
        check(&journal, &own).unwrap();
        for other in others {
            let error = check(&journal, &other).unwrap_err();
            for said in ["state = \"site.db\"", &own.to_string(), &other.to_string(), "operator"] {
                assert!(error.contains(said), "{error}");
            }
            other.keep(&journal).unwrap();
        }
        check(&journal, &own).unwrap();
    }

    #[test]
    fn whoever_only_looks_is_told_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.db");
        let journal = Journal::open(&path).unwrap();
        let reader = JournalReader::open(&path).unwrap();
        let (own, other) = (chain(1, 0xf0), chain(1, 0xf4));
        assert_eq!(HomeChain::pinned(&reader).unwrap(), None);
        other.check_reading(&reader, &path).unwrap();
        own.keep(&journal).unwrap();
        assert_eq!(HomeChain::pinned(&reader).unwrap(), Some(own.clone()));
        own.check_reading(&reader, &path).unwrap();
        let [reading, starting] = [other.check_reading(&reader, &path), other.check(&journal, &path)];
        assert_eq!(reading.unwrap_err().to_string(), starting.unwrap_err().to_string());
    }

    #[tokio::test]
    async fn what_an_earlier_version_opened_binds_its_journal_to_the_contracts_it_was_opened_under() {
        let journal = Journal::memory().unwrap();
        let federations = Address::repeat_byte(0xf0);
        let federation = FederationId { chain_id: 31337, federations, number: 1 };
        Memory::new(journal.clone(), federation).spend_scalars(B256::ZERO, 3, 7).await.unwrap();
        check(&journal, &chain(1, 0xf0)).unwrap();
        let error = check(&journal, &chain(1, 0xf4)).unwrap_err();
        assert!(error.contains(&federation.to_string()), "{error}");
    }
}
