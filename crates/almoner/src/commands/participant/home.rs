//! The chain that a site's journal is of, as it is shown, and as others are held to it.

use std::path::Path;

use almoner_chain::{Deployment, Ledger};
use almoner_journal::JournalReader;
use almoner_participant::HomeChain;
use serde_json::{Value, json};

use crate::commands::vault::theirs;
use crate::failure::{Blame, Failure, Kind};

/// As the agent holds its chain to its journal at the start, for whoever only looks.
pub(super) async fn check(ledger: &Ledger, journal: &JournalReader, state: &Path) -> Result<(), Failure> {
    let named = HomeChain::of(ledger).await.blame(Kind::Peer, "the chain's first block")?;
    named.check_reading(journal, state).map_err(theirs)
}

pub(super) fn text(home: &HomeChain) -> String {
    let Deployment { chain_id, federations, .. } = home.deployment();
    format!("chain {chain_id}, contracts {federations}")
}

/// A line of a site's status.
pub(super) fn line(home: Option<&HomeChain>) -> String {
    format!("journal of {}", home.map_or_else(|| "no chain yet".to_owned(), text))
}

/// Null for a journal that is of none yet.
pub(super) fn document(home: Option<&HomeChain>) -> Value {
    home.map_or(Value::Null, |home| {
        let Deployment { chain_id, federations, rounds, payouts, token, .. } = home.deployment();
        json!({
            "chain_id": chain_id,
            "genesis": home.genesis(),
            "federations": federations,
            "rounds": rounds,
            "payouts": payouts,
            "token": token,
        })
    })
}
