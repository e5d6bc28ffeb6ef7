//! The others' half: the coordinator, the chain and our contracts on it, the federation and its file.

use std::time::{Duration, SystemTime};

use almoner_chain::{Depth, FederationRecord, Ledger};
use almoner_journal::JournalReader;
use almoner_participant::SiteConfig;
use almoner_participant::fetch::spec;
use almoner_protocol::Address;
use almoner_protocol::spec::FederationSpec;
use almoner_store::Url;
use almoner_tls::{Client as Tls, Role};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::table::Table;
use crate::commands::channel::{client, dial, dial_lazily, refused};
use crate::commands::clock::{Apart, ClockError, SYNCHRONISE, against, against_block};
use crate::commands::participant::{gateways, home, parse};
use crate::commands::source::{ask_deployment, join};
use crate::failure::{Blame, Failure, Kind};

const COORDINATOR_CLOCK: &str = "clock (coordinator)";
const CHAIN_CLOCK: &str = "clock (chain)";

/// The federation's file, if everything on the way to it can be had.
pub(super) async fn look(config: &SiteConfig, account: Option<Address>, table: &mut Table) -> Option<FederationSpec> {
    let coordinator: Url = table.take("coordinator", parse(&config.coordinator, "coordinator"), "http://host:port")?;
    let tls = certificate(config, account, table).await?;
    // As the agent dials it, whose first look this is too: in the clear nothing leaves the machine.
    let dialled = dial_lazily(&tls, &config.coordinator);
    table.take("coordinator", dialled, "https://, and in [tls] what the operator issued")?;
    let asked = ask_deployment(&coordinator, &tls).await;
    let answer = table.take("coordinator", asked, "ask its operator; the agent waits for it and goes on by itself")?;
    table.fine("coordinator", config.coordinator.clone());
    if let Some(theirs) = answer.date {
        clock(table, COORDINATOR_CLOCK, against(SystemTime::now(), theirs, "the coordinator's"));
    } else {
        table.warn(COORDINATOR_CLOCK, "the coordinator does not say what time it is", SYNCHRONISE);
    }
    let rpc = config.rpc.clone().unwrap_or_else(|| join(&coordinator, "rpc").to_string());
    let ledger = Ledger::trusting(&rpc, answer.deployment, &tls).blame(Kind::You, format!("rpc = {rpc}"));
    let ledger = table.take("chain", ledger, "rpc = the URL of a JSON-RPC node")?;
    let verified = ledger.verify().await.blame(Kind::Peer, rpc.clone());
    table.take("chain", verified, "is the node up, does it serve the coordinator's chain, are these our contracts?")?;
    let chain_id = ledger.deployment().chain_id;
    table.fine("chain", format!("{chain_id} at {rpc}, our contracts are on it"));
    same_chain(config, &ledger, table).await?;
    let block = table.take(CHAIN_CLOCK, ledger.now().await.blame(Kind::Peer, rpc.clone()), "ask again")?;
    let apart = against_block(SystemTime::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(block));
    chain_clock(table, chain_id, apart);
    let record = ledger.federation(config.federation).await.blame(Kind::Peer, rpc);
    let record = table.take("federation", record, "ask again")?;
    let Some(record) = record else {
        let found = format!("federation {} is not on this chain yet", config.federation);
        table.warn("federation", found, "federation = its number, or wait until the researcher has created it");
        return None;
    };
    federation(config, &tls, account, &record, table).await
}

/// Whether they are the chain and the contracts that the journal is of: the agent starts on no others.
async fn same_chain(config: &SiteConfig, ledger: &Ledger, table: &mut Table) -> Option<()> {
    // One that is not there is of no chain yet; what else is wrong with it was told.
    let Ok(journal) = JournalReader::open(&config.state) else { return Some(()) };
    let same = home::check(ledger, &journal, &config.state).await;
    table.take("chain", same, "what the message says; until then the site does not start")
}

/// Whom the site trusts and what it shows, and whether the coordinator takes it.
async fn certificate(config: &SiteConfig, account: Option<Address>, table: &mut Table) -> Option<Tls> {
    let remedy = "[tls] names ca, certificate and key, as the operator issued them for this account, or `almoner \
                  participant enrol --invitation TOKEN` brings them";
    let tls = table.take("certificate", client(config.tls.clone()), remedy)?;
    if !config.coordinator.starts_with("https://") {
        return Some(tls);
    }
    let Some(shown) = tls.shown() else {
        table.warn("certificate", "there is none in [tls]", "have one issued, where the coordinator asks for it");
        return Some(tls);
    };
    // One that names nobody is of an authority of the site's own; the key says whose account it is.
    let named = shown.named.map_or_else(|| "no account".into(), |(role, account)| format!("{role} {account}"));
    if shown.named.is_some() && shown.named != account.map(|account| (Role::Site, account)) {
        let failure = Failure::you(format!("it is for {named}, not for this site's account"));
        table.fail("certificate", &failure, remedy);
    }
    // Health says nothing of us; but the line is only one once our certificate is taken.
    let asked = health(&tls, &config.coordinator).await;
    table.take("certificate", asked, "what the message says; until then the agent waits and tries again")?;
    table.fine("certificate", format!("for {named}, taken by the coordinator"));
    Some(tls)
}

async fn health(tls: &Tls, coordinator: &str) -> Result<(), Failure> {
    let channel = dial(tls, coordinator, format!("coordinator = {coordinator}")).await?;
    let asked = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    asked.map(|_| ()).map_err(|status| refused(tls, coordinator, status))
}

fn clock(table: &mut Table, check: &'static str, apart: Result<Apart, ClockError>) {
    match apart {
        Ok(Apart::Little) => table.fine(check, "agrees"),
        Ok(Apart::Notable(error)) => table.warn(check, error.to_string(), SYNCHRONISE),
        Err(error) => table.fail(check, &Failure::new(Kind::You, error), SYNCHRONISE),
    }
}

/// Whoever tries things out moves the clock of such a chain on purpose, and the agent starts all the same.
fn chain_clock(table: &mut Table, chain_id: u64, apart: Result<Apart, ClockError>) {
    match apart {
        Err(error) if is_for_trials(chain_id) => {
            table.warn(CHAIN_CLOCK, error.to_string(), "nothing, where its clock was moved on purpose (time_travel)");
        }
        apart => clock(table, CHAIN_CLOCK, apart),
    }
}

/// Chains of development tools, which have no depth to wait for.
fn is_for_trials(chain_id: u64) -> bool {
    Depth::usual(chain_id) == Depth::NONE
}

async fn federation(
    config: &SiteConfig,
    tls: &Tls,
    account: Option<Address>,
    record: &FederationRecord,
    table: &mut Table,
) -> Option<FederationSpec> {
    let store = table.take("store", gateways(config, tls), "gateways = a list of URLs")?;
    let params = &record.params;
    let fetched = spec(&store, &params.specCid, params.specHash).await.blame(Kind::Peer, "the federation file");
    let spec = table.take("store", fetched, "gateways = [] uses the coordinator's")?;
    table.fine("store", "the federation file is there, and is the one that the chain names");
    let seated = |seats: &[almoner_chain::SeatRecord]| seats.iter().any(|seat| Some(seat.account) == account);
    let seat = match (seated(&record.members), seated(&record.validators)) {
        (true, true) => "seated as member and validator",
        (true, false) => "seated as member",
        (false, true) => "seated as validator",
        (false, false) if record.members.is_empty() => "seats are not given out yet",
        (false, false) => {
            let found = format!("federation {} was launched without this account", record.number);
            table.warn("federation", found, "seats are fixed at the launch: this site will not take part");
            return Some(spec);
        }
    };
    if spec.privacy.accept_leak && !config.policy.accept_leak {
        let failure = Failure::you("the federation opens more scalars than the leak caps allow");
        table.fail("federation", &failure, "set policy.accept_leak = true to consent, or stay out");
        return Some(spec);
    }
    table.fine("federation", format!("{}, {:?}: {seat}", record.number, spec.name));
    Some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(coordinator: &str) -> SiteConfig {
        let text = format!(
            "coordinator = {coordinator:?}\nfederation = 1\nentity = \"A\"\nkey = \"site.key\"\nstate = \"site.db\"\n\
             [participant]\ncsv = \"rows.csv\"\nlabel = \"y\"\n"
        );
        SiteConfig::parse(&text).unwrap()
    }

    /// The kind that all checks together end with.
    async fn verdict(coordinator: &str) -> Option<Kind> {
        let mut table = Table::default();
        look(&settings(coordinator), None, &mut table).await;
        table.verdict().err().map(|failure| failure.kind)
    }

    #[tokio::test]
    async fn what_the_agent_would_not_dial_is_no_matter_of_waiting() {
        almoner_tls::install_provider();
        assert_eq!(verdict("http://10.1.2.3:8547").await, Some(Kind::You));
        assert_eq!(verdict("http://127.0.0.1:9").await, Some(Kind::Peer), "nobody is there: the agent waits");
    }

    #[test]
    fn only_a_chain_for_trials_may_be_hours_ahead() {
        let kind = |chain_id| {
            let mut table = Table::default();
            chain_clock(&mut table, chain_id, against_block(SystemTime::UNIX_EPOCH, SystemTime::now()));
            table.verdict().err().map(|failure| failure.kind)
        };
        assert_eq!([kind(1337), kind(31_337), kind(1)], [None, None, Some(Kind::You)]);
    }
}
