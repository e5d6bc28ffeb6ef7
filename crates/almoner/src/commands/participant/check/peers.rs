//! The others' half: the coordinator, the chain and our contracts on it, the federation and its file.

use std::time::{Duration, SystemTime};

use almoner_chain::{FederationRecord, Ledger};
use almoner_participant::SiteConfig;
use almoner_participant::fetch::spec;
use almoner_protocol::Address;
use almoner_protocol::spec::FederationSpec;
use almoner_store::Url;
use almoner_tls::{Client as Tls, Role};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::table::Table;
use crate::commands::channel::{client, dial, refused};
use crate::commands::clock::{Apart, ClockError, SYNCHRONISE, against, against_block};
use crate::commands::participant::{gateways, parse};
use crate::commands::source::{ask_deployment, join};
use crate::failure::{Blame, Failure, Kind};

/// The federation's file, if everything on the way to it can be had.
pub(super) async fn look(config: &SiteConfig, account: Option<Address>, table: &mut Table) -> Option<FederationSpec> {
    let coordinator: Url = table.take("coordinator", parse(&config.coordinator, "coordinator"), "http://host:port")?;
    let tls = certificate(config, account, table).await?;
    let asked = ask_deployment(&coordinator, &tls).await;
    let answer = table.take("coordinator", asked, "ask its operator; the agent waits for it and goes on by itself")?;
    table.fine("coordinator", config.coordinator.clone());
    if let Some(theirs) = answer.date {
        clock(table, against(SystemTime::now(), theirs, "the coordinator's"));
    } else {
        table.warn("clock", "the coordinator does not say what time it is", SYNCHRONISE);
    }
    let rpc = config.rpc.clone().unwrap_or_else(|| join(&coordinator, "rpc").to_string());
    let ledger = Ledger::trusting(&rpc, answer.deployment, &tls).blame(Kind::You, format!("rpc = {rpc}"));
    let ledger = table.take("chain", ledger, "rpc = the URL of a JSON-RPC node")?;
    let verified = ledger.verify().await.blame(Kind::Peer, rpc.clone());
    table.take("chain", verified, "is the node up, does it serve the coordinator's chain, are these our contracts?")?;
    table.fine("chain", format!("{} at {rpc}, our contracts are on it", ledger.deployment().chain_id));
    let block = table.take("clock", ledger.now().await.blame(Kind::Peer, rpc.clone()), "ask again")?;
    clock(table, against_block(SystemTime::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(block)));
    let record = ledger.federation(config.federation).await.blame(Kind::Peer, rpc);
    let record = table.take("federation", record, "ask again")?;
    let Some(record) = record else {
        let found = format!("federation {} is not on this chain yet", config.federation);
        table.warn("federation", found, "federation = its number, or wait until the researcher has created it");
        return None;
    };
    federation(config, &tls, account, &record, table).await
}

/// Whom the site trusts and what it shows, and whether the coordinator takes it.
async fn certificate(config: &SiteConfig, account: Option<Address>, table: &mut Table) -> Option<Tls> {
    let remedy = "[tls] names ca, certificate and key, as the operator issued them for this account";
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

fn clock(table: &mut Table, apart: Result<Apart, ClockError>) {
    match apart {
        Ok(Apart::Little) => table.fine("clock", "agrees"),
        Ok(Apart::Notable(error)) => table.warn("clock", error.to_string(), SYNCHRONISE),
        Err(error) => table.fail("clock", &Failure::new(Kind::You, error), SYNCHRONISE),
    }
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
