//! The journal's part of a site's status, where the chain's is not to be had. A journal knows rounds by their ctx and
//! federations by their full name; of one number there are two where a chain was begun anew.

use std::collections::BTreeSet;

use almoner_journal::JournalReader;
use almoner_participant::{HomeChain, Records, SiteConfig, SiteError};
use almoner_protocol::{Address, B256, FederationId};
use serde_json::{Value, json};

use crate::commands::participant::home;
use crate::failure::Failure;

pub(super) struct Local {
    account: Address,
    home: Option<HomeChain>,
    number: u64,
    running: bool,
    /// What the site's own settings say; the federation's may be less.
    limit: Option<u32>,
    of: Vec<(FederationId, Records)>,
}

impl Local {
    pub(super) fn read(config: &SiteConfig, account: Address, journal: &JournalReader) -> Result<Self, SiteError> {
        let read = |federation| Ok((federation, Records::read(journal, federation)?));
        let of = Records::federations(journal, config.federation)?.into_iter().map(read);
        Ok(Self {
            account,
            home: HomeChain::pinned(journal)?,
            number: config.federation,
            running: journal.is_held(),
            limit: config.policy.scalars_max,
            of: of.collect::<Result<_, SiteError>>()?,
        })
    }

    /// What is not known is null.
    pub(super) fn document(&self, unknown: &Failure) -> Value {
        let one = |(federation, records): &(FederationId, Records)| {
            let round = |ctx: &B256| {
                json!({
                    "ctx": ctx,
                    "uploaded": records.receipts.contains(ctx),
                    "promised": records.promises.contains(ctx),
                    "answered": records.answers.contains(ctx),
                })
            };
            let rounds = rounds(records);
            json!({
                "federation_id": federation.to_string(),
                "generation": records.generation,
                "forgotten_until": records.forgotten_until,
                "rounds": rounds.iter().map(round).collect::<Vec<_>>(),
                "took_part": rounds.len(),
                "scalars": { "opened": records.opened(), "limit": self.limit },
            })
        };
        json!({
            "schema": 1,
            "federation": self.number,
            "account": self.account,
            "chain": home::document(self.home.as_ref()),
            "agent_running": self.running,
            "unknown": unknown.to_string(),
            "rounds": null,
            "earned": null,
            "claimed": null,
            "balance": null,
            "journal": self.of.iter().map(one).collect::<Vec<_>>(),
        })
    }

    pub(super) fn print(&self) {
        let running = if self.running { "the agent runs" } else { "the agent does not run" };
        println!("{} in federation {}: {running}", self.account, self.number);
        println!("  {}", home::line(self.home.as_ref()));
        println!("  the chain's part is unknown: how rounds ended, what is earned, claimed and held");
        for (federation, records) in &self.of {
            let rounds = rounds(records);
            println!("  by the journal, in {federation}: took part in {} rounds", rounds.len());
            for ctx in rounds {
                let did =
                    [("uploaded", &records.receipts), ("promised", &records.promises), ("answered", &records.answers)];
                let did = did.iter().filter(|(_, rounds)| rounds.contains(&ctx)).map(|(word, _)| *word);
                println!("    {ctx}: {}", did.collect::<Vec<_>>().join(", "));
            }
            let limit = self.limit.map_or_else(|| "the federation's limit".into(), |limit| format!("at most {limit}"));
            println!("  scalars of its updates opened: {} of {limit}", records.opened());
        }
        if self.of.is_empty() {
            println!("  by the journal: it has done nothing yet");
        }
    }
}

/// Rounds in which the site did something.
fn rounds(records: &Records) -> BTreeSet<B256> {
    [&records.receipts, &records.promises, &records.answers].into_iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use almoner_journal::Journal;

    use super::*;

    #[test]
    fn what_the_journal_knows_is_shown_without_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.db");
        let journal = Journal::open(&path).unwrap();
        let [here, elsewhere] =
            [1, 2].map(|number| FederationId { chain_id: 31337, federations: Address::ZERO, number });
        let [first, second] = [1, 2].map(B256::repeat_byte);
        journal.state_put(&format!("{here}/receipt/{first}"), b"receipt").unwrap();
        journal.state_put(&format!("{here}/direction/{second}"), b"direction").unwrap();
        journal.state_put(&format!("{here}/scalars"), &[first.as_slice(), &3u32.to_be_bytes()].concat()).unwrap();
        journal.state_put(&format!("{elsewhere}/receipt/{first}"), b"receipt").unwrap();
        let text = "coordinator = \"http://127.0.0.1:1\"\nfederation = 1\nentity = \"a\"\nkey = \"k\"\nstate = \"site.db\"\n\
                    [participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n";
        let (genesis, zero) = (B256::repeat_byte(7), Address::ZERO);
        let kept = format!(
            "chain 31337 with genesis {genesis}, Federations {zero}, Rounds {zero}, Payouts {zero}, token {zero}"
        );
        journal.state_put("chain", kept.as_bytes()).unwrap();
        let reader = JournalReader::open(&path).unwrap();
        let local = Local::read(&SiteConfig::parse(text).unwrap(), Address::ZERO, &reader).unwrap();
        let said = local.document(&Failure::peer("nobody answers"));
        let round = |ctx: B256, uploaded: bool| json!({ "ctx": ctx, "uploaded": uploaded, "promised": !uploaded, "answered": false });
        let of = json!([{
            "federation_id": here.to_string(), "generation": 0, "forgotten_until": null, "took_part": 2,
            "rounds": [round(first, true), round(second, false)], "scalars": { "opened": 3, "limit": null },
        }]);
        assert_eq!((&said["journal"], &said["agent_running"], &said["earned"]), (&of, &true.into(), &Value::Null));
        assert_eq!(said["unknown"], "nobody answers");
        assert_eq!((&said["chain"]["chain_id"], &said["chain"]["genesis"]), (&json!(31337), &json!(genesis)));
        assert_eq!(said["chain"]["federations"], json!(zero));
    }
}
