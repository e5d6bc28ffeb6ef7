//! The running parts: one port with coordinator, gateway and chain; an aggregator; sites that dial in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use almoner_aggregator::{AggregatorConfig, AggregatorProgress};
use almoner_chain::Ledger;
use almoner_coordinator::{CoordinatorConfig, Progress};
use almoner_journal::Journal;
use almoner_participant::ClaimPolicy;
use almoner_proto::wire::researchers_client::ResearchersClient;
use almoner_proto::{CreateRequest, FundRequest, LaunchRequest, endpoint, researchers_client};
use almoner_store::{EmbeddedStore, GatewayStore, Store};
use almoner_tls::Client as Tls;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::chain::{ChainChoice, LocalChain};
use super::host::CoordinatorHost;
use super::run_file::RunFile;
use super::scenario::Scenario;
use super::seeds::Seeds;
use crate::failure::{Blame, Failure, Kind};

/// Messages a slow follower may lag behind before it misses some.
const PROGRESS: usize = 4096;

/// Where and how a local federation runs.
#[derive(Clone, Debug)]
pub struct NetConfig {
    pub dir: PathBuf,
    pub listen: SocketAddr,
    pub chain: ChainChoice,
    pub seeds: Seeds,
    pub coordinator: CoordinatorConfig,
}

/// A federation that runs until it is shut down.
pub struct Localnet {
    pub chain: LocalChain,
    pub coordinator: CoordinatorHost,
    pub ledger: Ledger,
    pub store: Arc<EmbeddedStore>,
    pub url: String,
    pub federation: u64,
    pub progress: broadcast::Sender<Progress>,
    /// The aggregator's.
    pub computed: broadcast::Sender<AggregatorProgress>,
    /// When sites that are started from now on ask to be paid.
    pub claim: ClaimPolicy,
    pub(super) seeds: Seeds,
    pub(super) dir: PathBuf,
    /// What the coordinator and the sites write down.
    pub(super) journals: Vec<Journal>,
    pub(super) channel: Channel,
    pub(super) tasks: JoinSet<Result<(), Failure>>,
    pub(super) shutdown: CancellationToken,
    researchers: ResearchersClient<Channel>,
}

impl std::fmt::Debug for Localnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Localnet").field("url", &self.url).field("federation", &self.federation).finish_non_exhaustive()
    }
}

impl Localnet {
    /// Starts everything but the sites, creates the federation and funds `rounds` rounds.
    pub async fn start(config: NetConfig, scenario: &Scenario, rounds: u32) -> Result<Self, Failure> {
        let mut net = Self::start_without_aggregator(config, scenario, rounds).await?;
        net.start_aggregator()?;
        Ok(net)
    }

    /// As [`Self::start`], but no work is done on ciphertexts until the caller connects an aggregator of its own.
    pub async fn start_without_aggregator(
        config: NetConfig,
        scenario: &Scenario,
        rounds: u32,
    ) -> Result<Self, Failure> {
        let NetConfig { dir, listen, chain, seeds, coordinator } = config;
        let listener = TcpListener::bind(listen)
            .await
            .blame(Kind::You, format!("--listen {listen}: choose another port, or 0 for a free one"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let depth = chain.depth();
        let chain = LocalChain::start(&chain, &dir, &seeds).await?;
        let ledger = Ledger::with_provider(chain.provider.clone(), chain.deployment.clone()).at(depth);
        let store_dir = dir.join("store");
        let store = Arc::new(EmbeddedStore::open(&store_dir).await.blame(Kind::You, store_dir.display().to_string())?);
        let (progress, _) = broadcast::channel(PROGRESS);
        let shutdown = CancellationToken::new();
        let tasks = JoinSet::new();
        let deployment = chain.deployment.clone();
        let described = axum::routing::get(move || std::future::ready(axum::Json(deployment.clone())));
        let embedded = chain.devnet.is_some();
        let coordinator = CoordinatorConfig { time_travel: embedded, beaconless: embedded, ..coordinator };
        let parts = {
            let (store, ledger, progress) = (store.clone(), ledger.clone(), progress.clone());
            let (sender, key, journal) = (chain.sender.clone(), chain.key.clone(), chain.journal.clone());
            let (clock, beside) = (chain.clock(&seeds), chain.router().route("/deployment.json", described));
            move |listener| almoner_coordinator::Parts {
                listener,
                door: None,
                accounts: Default::default(),
                store: store.clone(),
                ledger: ledger.clone(),
                sender: sender.clone(),
                key: key.clone(),
                journal: journal.clone(),
                clock: clock.clone(),
                progress: progress.clone(),
                enrolment: None,
                up: Box::new(|| ()),
                beside: beside.clone(),
            }
        };
        let coordinator = CoordinatorHost::start(coordinator, listener, parts, shutdown.clone())?;

        let channel = endpoint(Endpoint::from_shared(url.clone())?).connect().await?;
        let mut researchers = researchers_client(channel.clone());
        let text = String::from_utf8(scenario.spec.canonical_bytes()?)?;
        let initial = almoner_protocol::base_from_f32(&scenario.initial, scenario.spec.rule.frac_bits)?;
        let request = almoner_proto::wire::CreateRequest::from(CreateRequest { spec: text, initial });
        let created = chain.asked("create the federation", researchers.create(request)).await?;
        let federation = created.into_inner().federation;
        let amount = scenario.spec.round.pot.0.saturating_mul(rounds.into());
        let fund = FundRequest { federation, amount };
        chain.asked("fund the federation", researchers.fund(almoner_proto::wire::FundRequest::from(fund))).await?;
        let genesis = chain.devnet.is_some().then(|| super::chain::devnet_config(&chain.key, &seeds).accounts);
        RunFile::new(chain.deployment.clone(), genesis.unwrap_or_default(), federation).write(&dir)?;
        let claim = ClaimPolicy::default();
        let journals = vec![chain.journal.clone()];
        Ok(Self {
            chain,
            coordinator,
            ledger,
            store,
            url,
            federation,
            progress,
            computed: broadcast::channel(PROGRESS).0,
            claim,
            seeds,
            dir,
            journals,
            channel,
            tasks,
            shutdown,
            researchers,
        })
    }

    fn start_aggregator(&mut self) -> Result<(), Failure> {
        let config = AggregatorConfig {
            version: Default::default(),
            coordinator: self.url.clone(),
            gateways: Vec::new(),
            store: None,
            metrics: None,
            traces: None,
            key: None,
            tls: Default::default(),
            name: "aggregator".into(),
            lanes: 1,
        };
        let (channel, store, progress) = (self.channel.clone(), gateway(&self.url)?, self.computed.clone());
        let parts = almoner_aggregator::Parts { channel, tls: Tls::default(), store, progress };
        let stop = self.shutdown.clone();
        self.tasks.spawn(async move { almoner_aggregator::run(config, parts, stop).await.map_err(Failure::from) });
        Ok(())
    }

    /// Fixes the seats of everybody who joined and runs rounds.
    pub async fn launch(&mut self, rounds: u32) -> Result<(), Failure> {
        let launch = LaunchRequest { federation: self.federation, rounds: Some(rounds) };
        let launch = self.researchers.launch(almoner_proto::wire::LaunchRequest::from(launch));
        self.chain.asked("launch the rounds", launch).await.map(|_| ())
    }

    /// The coordinator's.
    pub fn journal(&self) -> &Journal {
        &self.journals[0]
    }

    /// Commits of all journals so far, each one fsync, and the time they took.
    pub fn commits(&self) -> (u64, Duration) {
        self.journals.iter().fold((0, Duration::ZERO), |(commits, time), journal| {
            (commits + journal.commits(), time + journal.commit_time())
        })
    }

    /// Stops every part and waits for it.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done??;
        }
        self.coordinator.ended().await
    }
}

/// The coordinator's port as a content store: what a site reads from.
pub(super) fn gateway(url: &str) -> Result<Arc<dyn Store>, Failure> {
    Ok(Arc::new(GatewayStore::new(vec![url.parse()?])?))
}
