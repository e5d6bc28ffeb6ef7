//! `almoner participant`: a site's agent, behind its firewall. It only dials out. Beside it, what an operator does with
//! a site: one file per command in the folder.

mod check;
mod enrol;
mod home;
mod init;
mod progress;
mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use almoner_chain::{Depth, Ledger};
use almoner_journal::Journal;
use almoner_model::Dataset;
use almoner_participant::data::{Limits, load};
use almoner_participant::fetch::spec;
use almoner_participant::{DataConfig, Entropy, HomeChain, SeededEntropy, SiteConfig, SiteParts, SystemEntropy};
use almoner_proto::{Kinded, Outage};
use almoner_protocol::spec::FederationSpec;
use almoner_store::{GatewayStore, Store, Url};
use almoner_tls::Client as Tls;
use clap::{Args, Subcommand};
use tokio::sync::broadcast;

use super::backup::{Backup, Restore};
use super::channel::{client, dial_lazily, introduce, patience};
use super::clock::{Apart, SYNCHRONISE, against};
use super::files::{RoleOptions, is_absent, no_such_file, read_text, say_up, until_told};
use super::source::{Answer, ask_deployment, join};
use super::vault::{self, Holder, OpenKey, Patience};
use super::{metrics, password, renew, traces};
use crate::failure::{Blame, Failure, Kind};

/// Between two looks for a federation that is not there yet.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    order: Option<Order>,
    #[command(flatten)]
    agent: Option<RoleOptions>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Write settings and key of a new site; nothing is overwritten.
    Init(init::Options),
    /// Look whether a site could take part: settings, key, rows, clock, coordinator, chain, disk. Sends nothing.
    Check(check::Options),
    /// Show what a site has done and earned, while its agent runs or not.
    Status(status::Options),
    /// Put the site's key into a vault that a password opens, and register the password with the coordinator.
    Enrol(enrol::Options),
    /// Try the password: log in, and open the vault. The agent must not run: what its journal still shows is sealed.
    Login(password::LoginOptions<OfSite>),
    /// Change the password. A new recovery code is printed; the old one opens nothing any more. The agent may run; it
    /// needs the password at its next start.
    Password(password::ChangeOptions<OfSite>),
    /// Choose a new password where the old one is lost, by the recovery code.
    Recover(password::RecoverOptions<OfSite>),
    /// Write a secret with which the site opens its vault when nobody is there, and no coordinator.
    UnlockFile(password::UnlockFileOptions<OfSite>),
    /// Copy the journal while the agent runs. A copy that is put back answers nothing that it may have answered.
    Backup(Backup),
    /// Put a copy of the journal back.
    Restore(Restore),
}

/// A site, by its settings.
#[derive(Debug, Args)]
pub(crate) struct OfSite {
    /// The site's settings.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl password::Whose for OfSite {
    fn holder(&self) -> Result<Holder, Failure> {
        Ok(Holder::from(&settings(&self.config)?))
    }
}

impl Options {
    /// Without a further command it is the agent itself.
    pub(crate) fn is_daemon(&self) -> bool {
        self.order.is_none()
    }
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    match (options.order, options.agent) {
        (Some(Order::Init(options)), _) => init::run(&options),
        (Some(Order::Check(options)), _) => check::run(options).await,
        (Some(Order::Status(options)), _) => status::run(options).await,
        (Some(Order::Enrol(options)), _) => enrol::run(options).await,
        (Some(Order::Login(options)), _) => password::login(options).await,
        (Some(Order::Password(options)), _) => password::change(options).await,
        (Some(Order::Recover(options)), _) => password::recover(options).await,
        (Some(Order::UnlockFile(options)), _) => password::unlock_file(options).await,
        (Some(Order::Backup(backup)), _) => {
            let config = settings(&backup.config)?;
            backup.run(&config.state, &[&config.key, &backup.config])
        }
        (Some(Order::Restore(restore)), _) => restore.run(&settings(&restore.config)?.state, RESTORED),
        (None, Some(agent)) => serve(agent).await,
        // The parser asks for --config where there is no further command.
        (None, None) => Err(Failure::new(Kind::Usage, anyhow::anyhow!("give --config FILE"))),
    }
}

const RESTORED: &str = "the site takes no part in rounds that began before its next start, nor in further ones from their \
                        base models; their scalars count as opened";

fn settings(path: &Path) -> Result<SiteConfig, Failure> {
    if is_absent(path) {
        return Err(Failure::you(format!("{}; `almoner participant init` writes one", no_such_file(path))));
    }
    SiteConfig::parse(&read_text(path)?).blame(Kind::You, path.display().to_string())
}

async fn serve(options: RoleOptions) -> Result<(), Failure> {
    let config = settings(&options.config)?;
    // Both before anything is waited for.
    let holder = Holder::from(&config);
    vault::look_at(&holder)?;
    // A second agent on one journal would answer twice: it is refused here.
    let journal = Journal::open(&config.state).blame(Kind::You, format!("state = {:?}", config.state))?;
    let coordinator: Url = parse(&config.coordinator, "coordinator")?;
    believed(&config, &coordinator);
    let tls = client(config.tls.clone())?;
    // Its mistakes are told before anything is waited for.
    let channel = dial_lazily(&tls, &config.coordinator)?;
    let store: Arc<dyn Store> = Arc::new(gateways(&config, &tls)?);
    let collector = traces::collector(config.traces.as_deref())?;
    let stop = until_told();
    let watched = metrics::serve(config.metrics, "participant").await?;
    let Some(opened) = stop.run_until_cancelled(vault::open_key(&holder, Patience::Endless)).await else {
        return Ok(());
    };
    let OpenKey { key, seal } = opened?;
    introduce(&tls, key.clone());
    let looked_up = stop.run_until_cancelled(look_up(&config, &coordinator, &store, &tls, &journal)).await;
    let Some(looked_up) = looked_up else { return Ok(()) };
    let (ledger, spec) = looked_up?;
    let read = |section: &Option<DataConfig>, name: &str| -> Result<Option<Dataset>, Failure> {
        let rows = |section: &DataConfig| load(&section.source(), &Limits::default(), &spec.data);
        section.as_ref().map(rows).transpose().blame(Kind::You, format!("[{name}]"))
    };
    let training = read(&config.participant, "participant")?;
    let evaluation = read(&config.validator, "validator")?;
    let (progress, told) = broadcast::channel(256);
    tokio::spawn(metrics::follow_site(progress.subscribe(), watched.clone()));
    if let Some(collector) = collector {
        let traces = collector.of("participant", ledger.deployment())?;
        tokio::spawn(traces.follow_site(key.address(), progress.subscribe()));
    }
    tokio::spawn(progress::tell(told, options.json));
    tokio::spawn(renew::keep(tls.clone(), channel.clone(), stop.clone()));
    let parts = SiteParts {
        channel,
        tls,
        store,
        ledger,
        journal,
        key,
        seal,
        entropy: entropy(),
        training,
        evaluation,
        progress,
    };
    watched.ready();
    say_up("participant", &config.coordinator, &watched, options.json);
    let served = almoner_participant::run(config, parts, stop).await;
    served.map_err(|error| Failure::new(Kind::of(error.kind().blame()), error))
}

fn parse(url: &str, field: &'static str) -> Result<Url, Failure> {
    url.parse().blame(Kind::You, format!("{field} = {url:?}"))
}

fn gateways(config: &SiteConfig, tls: &Tls) -> Result<GatewayStore, Failure> {
    let named = if config.gateways.is_empty() { std::slice::from_ref(&config.coordinator) } else { &config.gateways };
    let urls: Result<Vec<Url>, Failure> = named.iter().map(|url| parse(url, "gateways")).collect();
    GatewayStore::trusting(urls?, tls).blame(Kind::You, "gateways")
}

/// Where the contracts are and what the federation is, as soon as both can be had: a site may be started first.
async fn look_up(
    config: &SiteConfig,
    coordinator: &Url,
    store: &Arc<dyn Store>,
    tls: &Tls,
    journal: &Journal,
) -> Result<(Ledger, FederationSpec), Failure> {
    let (mut away, mut early) = (Outage::default(), Outage::default());
    loop {
        let wait = match looked_up(config, coordinator, store, tls, journal).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {
                away = Outage::default();
                // Told as an outage is; but it is founded any moment, and its seats are fixed soon after.
                if let Some(since) = early.failed(Instant::now(), 0).say {
                    let (federation, seconds) = (config.federation, since.as_secs());
                    tracing::info!(federation, seconds, "no such federation yet: waiting");
                }
                AGAIN
            }
            // Whoever is not up yet, or whose line is down, may come back.
            Err(Unanswered { by, failure }) if failure.kind == Kind::Peer => patience(&mut away, by, &failure),
            Err(Unanswered { failure, .. }) => return Err(failure),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Who did not answer, as the log names them, or what is wrong here.
struct Unanswered {
    by: &'static str,
    failure: Failure,
}

fn by(by: &'static str) -> impl Fn(Failure) -> Unanswered {
    move |failure| Unanswered { by, failure }
}

async fn looked_up(
    config: &SiteConfig,
    coordinator: &Url,
    store: &Arc<dyn Store>,
    tls: &Tls,
    journal: &Journal,
) -> Result<Option<(Ledger, FederationSpec)>, Unanswered> {
    let Answer { deployment, date } = ask_deployment(coordinator, tls).await.map_err(by("coordinator"))?;
    date.map_or(Ok(()), |theirs| same_time(theirs, coordinator)).map_err(by("coordinator"))?;
    let rpc = config.rpc.clone().unwrap_or_else(|| join(coordinator, "rpc").to_string());
    let depth = config.confirmations.unwrap_or(Depth::usual(deployment.chain_id));
    let ledger = Ledger::trusting(&rpc, deployment, tls).blame(Kind::You, format!("rpc = {rpc}"));
    let ledger = ledger.map_err(by("chain"))?.at(depth);
    let verified = ledger.verify().await.blame(Kind::Peer, format!("{rpc}: are these our contracts?"));
    verified.map_err(by("chain"))?;
    let home = HomeChain::of(&ledger).await.blame(Kind::Peer, rpc.clone()).map_err(by("chain"))?;
    let kept = |error| by("chain")(vault::theirs(error));
    home.check(journal, &config.state).map_err(kept)?;
    let record = ledger.federation(config.federation).await.blame(Kind::Peer, rpc);
    let Some(record) = record.map_err(by("chain"))? else { return Ok(None) };
    let spec = spec(store.as_ref(), &record.params.specCid, record.params.specHash).await;
    let spec = spec.blame(Kind::Peer, "the federation file").map_err(by("store"))?;
    home.keep(journal).map_err(kept)?;
    Ok(Some((ledger, spec)))
}

/// Says whose word the chain is, where it is the coordinator's.
fn believed(config: &SiteConfig, coordinator: &Url) {
    if config.rpc.is_none() && !coordinator.host_str().is_some_and(almoner_tls::is_loopback) {
        let remedy = "rpc = the URL of a node of one's own";
        tracing::warn!(%coordinator, remedy, "what is on the chain is taken from the coordinator's word");
    }
}

/// Refuses to start where this machine and the coordinator do not mean the same hour: one of them would miss deadlines.
fn same_time(theirs: SystemTime, coordinator: &Url) -> Result<(), Failure> {
    match against(SystemTime::now(), theirs, "the coordinator's") {
        Ok(Apart::Little) => Ok(()),
        Ok(Apart::Notable(error)) => {
            tracing::warn!(%coordinator, %error, remedy = SYNCHRONISE, "clock");
            Ok(())
        }
        Err(error) => Err(error).blame(Kind::You, format!("clock, coordinator = {coordinator}: {SYNCHRONISE}")),
    }
}

/// The system's randomness, but in tests that compare two runs.
fn entropy() -> Arc<dyn Entropy> {
    let Some(seed) = almoner_failpoint::test_seed() else { return Arc::new(SystemEntropy) };
    eprintln!("INSECURE: the secrets of this site follow from a test's seed");
    Arc::new(SeededEntropy::new(seed))
}
