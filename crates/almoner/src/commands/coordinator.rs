//! `almoner coordinator`: the coordinator as a process of its own, on any JSON-RPC node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use almoner_chain::{Deployment, Depth, Ledger, Outbox, Sender, deploy};
use almoner_coordinator::{Accounts, CoordinatorConfig, CoordinatorError, EnrolmentError, Parts};
use almoner_devnet::system_clock;
use almoner_journal::Journal;
use almoner_protocol::FileVersion;
use almoner_store::{BoundedStore, Url};
use almoner_tls::{Door, ServerFiles};
use axum::Json;
use axum::routing::get;
use clap::{Args, Subcommand};
use serde::Deserialize;
use tokio::sync::broadcast;

use super::authority;
use super::backup::{Backup, Restore};
use super::channel::failure;
use super::enrolment::{self, Invite};
use super::files::{RoleOptions, Transit, listen, load_key, read_text, say_up, until_told};
use super::mirror::{Kubo, Mirror};
use super::retention::Retention;
use super::{clock, metrics, traces};
use crate::failure::{Blame, Failure, Kind};
use crate::files::write_whole;
use crate::rpc_proxy;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoordinatorFile {
    #[serde(default, rename = "version")]
    _version: FileVersion,
    listen: SocketAddr,
    /// Certificates, and who may call. Without it this machine only may.
    tls: Option<ServerFiles>,
    /// What accounts are whose certificates do not say it, those from `sites_ca`; every other one is nobody.
    #[serde(default)]
    accounts: Accounts,
    /// JSON-RPC of a node.
    rpc: Url,
    key: PathBuf,
    /// The journal.
    state: PathBuf,
    /// The content store's folder.
    store: PathBuf,
    /// Addresses of the contracts; deployed and written where there is no such file.
    deployment: PathBuf,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; nowhere if not named.
    metrics: Option<SocketAddr>,
    /// Secrets that passwords are checked with; made where there is no such file. Not named: nobody enrols here.
    enrolment: Option<PathBuf>,
    /// Folder of the federation's authority: those who enrol get a certificate of it. Not named: the operator issues them.
    authority: Option<PathBuf>,
    /// How much of old rounds is kept, and how much room the store may take.
    #[serde(default)]
    retention: Retention,
    /// A Kubo daemon that is given a copy of what rounds name; none if not named.
    kubo: Option<Kubo>,
    /// Collector of traces (OTLP over gRPC); none if not named. Needs a build with the feature `otel`.
    traces: Option<String>,
    /// For chains whose block hashes mean nothing.
    #[serde(default)]
    beaconless: bool,
    #[serde(default = "half_a_minute")]
    ready_wait_s: u64,
    /// How long a worker may hold a block range before it is offered again.
    #[serde(default = "a_minute")]
    lease_s: u64,
    /// How deep a block lies before what it holds is acted on. Not named: 12, and 0 on chains of development tools.
    confirmations: Option<Depth>,
    /// Move the chain's clock over the challenge window: for trials on a devnet with `control`; no other node obeys.
    #[serde(default)]
    time_travel: bool,
}

fn a_minute() -> u64 {
    60
}

fn half_a_minute() -> u64 {
    30
}

fn parse(text: &str) -> Result<CoordinatorFile, toml::de::Error> {
    toml::from_str(text)
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    order: Option<Order>,
    #[command(flatten)]
    role: Option<RoleOptions>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Print an invitation with which one site, researcher or auditor enrols, once. The coordinator may be running.
    Invite(Invite),
    /// Copy the journal while the coordinator runs.
    Backup(Backup),
    /// Put a copy of the journal back. The coordinator takes from the chain what happened since, and ends a round that
    /// it does not know.
    Restore(Restore),
    /// Make an authority: who the federation's callers are, by certificates.
    Authority(authority::Create),
    /// Give somebody a certificate, or the coordinator its own.
    Issue(authority::Issue),
    /// Take a certificate back.
    Revoke(authority::Revoke),
}

impl Options {
    /// Without a further command it is the coordinator itself.
    pub(crate) fn is_daemon(&self) -> bool {
        self.order.is_none()
    }
}

const RESTORED: &str = "when it is started it takes from chain and store what happened since, before it serves anybody; a \
                        round that was running is ended";

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    match (options.order, options.role) {
        (Some(Order::Invite(invite)), _) => {
            let file = settings(&invite.config)?;
            invite.run(&file.state, file.enrolment.as_deref())
        }
        (Some(Order::Backup(backup)), _) => {
            let file = settings(&backup.config)?;
            let beside = [&file.key, &file.deployment, &file.store, &backup.config];
            let more = file.enrolment.iter().chain(file.kubo.iter().filter_map(|kubo| kubo.token_file.as_ref()));
            let beside: Vec<&Path> = beside.into_iter().chain(more).map(PathBuf::as_path).collect();
            backup.run(&file.state, &beside)
        }
        (Some(Order::Restore(restore)), _) => restore.run(&settings(&restore.config)?.state, RESTORED),
        (Some(Order::Authority(create)), _) => create.run(),
        (Some(Order::Issue(issue)), _) => issue.run(),
        (Some(Order::Revoke(revoke)), _) => revoke.run(),
        (None, Some(role)) => serve(role).await,
        // The parser asks for --config where there is no further command.
        (None, None) => Err(Failure::new(Kind::Usage, anyhow::anyhow!("give --config FILE"))),
    }
}

fn settings(path: &Path) -> Result<CoordinatorFile, Failure> {
    parse(&read_text(path)?).blame(Kind::You, path.display().to_string())
}

async fn serve(options: RoleOptions) -> Result<(), Failure> {
    let file = settings(&options.config)?;
    let key = load_key(&file.key)?;
    let collector = traces::collector(file.traces.as_deref())?;
    let kubo = file.kubo.as_ref().map(Kubo::open).transpose()?;
    let door = file.tls.clone().map(Door::open).transpose().map_err(|error| failure(&error))?;
    if door.as_ref().is_some_and(|door| !door.asks()) {
        return Err(Failure::you(
            "[tls] names neither clients_ca nor sites_ca, so no caller could show who it is: name the authority's certificate \
             (almoner coordinator authority makes one)",
        ));
    }
    let listener = listen(file.listen, transit(&file)).await?;
    // Two coordinators on one journal would answer twice: the second is refused here.
    let journal = Journal::open(&file.state).blame(Kind::You, format!("state = {:?}", file.state))?;
    let enrolment = file.enrolment.as_deref().map(|path| enrolment::open(path, &journal, file.authority.as_deref()));
    let enrolment = enrolment.transpose()?;
    let store = BoundedStore::open(&file.store, file.retention.most()).await;
    let store = Arc::new(store.blame(Kind::You, format!("store = {:?}", file.store))?);
    let provider = almoner_chain::connect(file.rpc.as_str()).blame(Kind::You, format!("rpc = {}", file.rpc))?;
    let unusable = format!("rpc = {}: is the node up, and has {} ether for gas?", file.rpc, key.address());
    let outbox = Outbox::new(journal.clone());
    let sender = Sender::new(provider.clone(), key.clone(), outbox).await.blame(Kind::Peer, unusable.clone())?;
    let deployment = contracts(&file.deployment, &sender, unusable).await?;
    let depth = file.confirmations.unwrap_or(Depth::usual(deployment.chain_id));
    let ledger = Ledger::with_provider(provider, deployment.clone()).at(depth);
    ledger.verify().await.blame(Kind::You, format!("deployment = {:?}", file.deployment))?;
    if file.time_travel {
        // What time it is there is not to be had from a clock.
        obeys(&ledger, &file.rpc).await?;
    } else {
        clock::against_chain(&ledger, &file.rpc).await?;
        tokio::spawn(clock::keep_looking(ledger.clone()));
    }

    let traces = collector.map(|collector| collector.of("coordinator", &deployment)).transpose()?;
    let described = get(move || std::future::ready(Json(deployment.clone())));
    let config = CoordinatorConfig {
        ready_wait: Duration::from_secs(file.ready_wait_s),
        beaconless: file.beaconless,
        lease: Duration::from_secs(file.lease_s),
        time_travel: file.time_travel,
        ..CoordinatorConfig::default()
    };
    let scheme = if door.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    let (progress, told) = broadcast::channel(256);
    let watched = metrics::serve(file.metrics, "coordinator").await?;
    if let Some(traces) = traces {
        tokio::spawn(traces.follow_coordinator(progress.subscribe()));
    }
    tokio::spawn(file.retention.follow(ledger.clone(), store.clone(), key.address(), progress.subscribe()));
    if let Some(kubo) = kubo {
        let mirror = Mirror::new(kubo, store.clone(), ledger.clone(), key.address(), file.retention);
        tokio::spawn(mirror.follow(progress.subscribe()));
    }
    tokio::spawn(metrics::follow_coordinator(told));
    let parts = Parts {
        listener,
        door,
        accounts: file.accounts,
        store,
        ledger,
        sender,
        key,
        journal,
        clock: system_clock(),
        progress,
        enrolment,
        up: Box::new(move || {
            watched.ready();
            say_up("coordinator", &url, &watched, options.json);
        }),
        beside: rpc_proxy::router(file.rpc)?.route("/deployment.json", described),
    };
    almoner_coordinator::run(config, parts, until_told()).await.map_err(|error| match error {
        // A store that lacks what came after the copy, or a copy that is too old.
        CoordinatorError::Restored(_)
        | CoordinatorError::Lost { .. }
        | CoordinatorError::Stale { .. }
        | CoordinatorError::Enrolment(EnrolmentError::OtherSecrets) => Failure::new(Kind::You, error),
        // Whose chain it is that forgot the federation.
        CoordinatorError::TakenBack { .. } => Failure::new(Kind::Peer, error),
        error => error.into(),
    })
}

fn transit(file: &CoordinatorFile) -> Transit {
    let remedy = "add [tls] with a certificate (almoner coordinator authority, then issue)";
    if file.tls.is_some() { Transit::Secure } else { Transit::Clear { remedy } }
}

/// Whether the chain's clock can be moved; a node that is away may come back and obey.
async fn obeys(ledger: &Ledger, rpc: &Url) -> Result<(), Failure> {
    let Err(error) = almoner_chain::advance_time(ledger.provider(), 0).await else { return Ok(()) };
    let kind = if error.is_retryable() { Kind::Peer } else { Kind::You };
    let context = format!("time_travel = true: only for trials on a chain of one's own, {rpc} does not obey");
    Err::<(), _>(error).blame(kind, context)
}

/// The contracts of this coordinator: those named by the file, or new ones.
async fn contracts(path: &Path, sender: &Sender, unusable: String) -> Result<Deployment, Failure> {
    let context = format!("deployment = {path:?}");
    if path.exists() {
        return serde_json::from_str(&read_text(path)?).blame(Kind::You, context);
    }
    let deployment = deploy(sender).await.blame(Kind::Peer, unusable)?;
    // Whole or not at all: half a file would have new contracts deployed over and over.
    let mut text = serde_json::to_vec_pretty(&deployment)?;
    text.push(b'\n');
    write_whole(path, &text).blame(Kind::You, context)?;
    Ok(deployment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_file_reads_and_refuses_an_unknown_key_by_name() {
        let sample = include_str!("../../../../docs/config/coordinator.toml");
        let file = parse(sample).unwrap();
        assert_eq!((file.listen.port(), file.ready_wait_s, file.beaconless), (8547, 30, true));
        assert_eq!(file.enrolment, Some(PathBuf::from("enrolment.key")));
        assert!(file.tls.is_none());
        let tls = parse(&sample.replace("\n#", "\n").replace("\n ", "\n# ")).unwrap().tls.unwrap();
        assert_eq!((tls.revoked, tls.sites_ca), (Some("revoked.pem".into()), Some("hospitals.pem".into())));
        let all = parse(&sample.replace("\n#", "\n").replace("\n ", "\n# ")).unwrap();
        assert_eq!(
            (all.accounts.researchers.len(), all.accounts.sites.len(), all.retention.most()),
            (1, 1, Some(100_000 << 20))
        );
        assert!(all.kubo.is_some_and(|kubo| kubo.token_file == Some("kubo.token".into())));
        let error = parse(&sample.replace("version = 1", "version = 3")).unwrap_err().to_string();
        assert!(error.contains("version 3 of this file is not known"), "{error}");
        let error = parse(&sample.replace("ready_wait_s", "ready_wait")).unwrap_err().to_string();
        assert!(error.contains("unknown field `ready_wait`"), "{error}");
    }
}
