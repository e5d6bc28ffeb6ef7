//! A site's production agent over connections of a test's choice. It may be stopped and started again: what it
//! remembers is in its journal, as on a machine that is rebooted.

use std::sync::Arc;

use almoner::localnet::{Holder, Site};
use almoner_chain::{Deployment, Ledger};
use almoner_journal::Journal;
use almoner_model::{Dataset, DeviceChoice};
use almoner_participant::{
    ClaimPolicy, DataConfig, Identity, Memory, PolicyConfig, SiteConfig, SiteError, SiteParts, SiteProgress,
};
use almoner_store::{GatewayStore, Store};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::federation::Federation;
use crate::hand::{Role, channel};

/// What an agent dials.
pub(crate) struct Over {
    pub(crate) channel: Channel,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Ledger,
}

impl Over {
    /// One port for messages, store and chain, as a site's file has it that names the coordinator and nothing else.
    pub(crate) async fn port(url: &str, deployment: &Deployment) -> Self {
        Self {
            channel: channel(url).await,
            store: Arc::new(GatewayStore::new(vec![url.parse().unwrap()]).unwrap()),
            ledger: Ledger::connect(&format!("{url}/rpc"), deployment.clone()).unwrap(),
        }
    }
}

/// An agent that may be started.
pub(crate) struct Agent {
    config: SiteConfig,
    data: Dataset,
    role: Role,
    index: u64,
    seeds: almoner::localnet::Seeds,
    identity: Identity,
    journal: Journal,
}

/// One that runs, until it is stopped or the test is over.
pub(crate) struct Running {
    pub(crate) site: Site,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SiteError>>,
}

impl Agent {
    pub(crate) fn new(federation: &Federation, role: Role, index: u64, holder: &Holder) -> Self {
        let (net, seeds) = (&federation.net, &federation.seeds);
        let privacy = &federation.scenario.spec.privacy;
        // The rows come as an argument; the section only says which role they are for.
        let section =
            DataConfig { csv: "unused".into(), columns: Vec::new(), label: "label".into(), features: Vec::new() };
        let (participant, validator) = match role {
            Role::Hospital => (Some(section), None),
            Role::Validator => (None, Some(section)),
        };
        let config = SiteConfig {
            version: Default::default(),
            claim: ClaimPolicy::Never,
            coordinator: net.url.clone(),
            rpc: None,
            confirmations: None,
            gateways: Vec::new(),
            tls: Default::default(),
            federation: net.federation,
            entity: holder.name.clone(),
            key: "unused".into(),
            unlock: None,
            state: "unused".into(),
            metrics: None,
            traces: None,
            device: DeviceChoice::Cpu,
            participant,
            validator,
            policy: PolicyConfig {
                accept_leak: privacy.accept_leak,
                scalars_max: privacy.scalars_max,
                min_cohort: None,
            },
        };
        Self {
            config,
            data: holder.data.clone(),
            role,
            index,
            seeds: seeds.clone(),
            identity: Identity::new(role.key(seeds, index), net.ledger.deployment(), net.federation),
            journal: Journal::memory().unwrap(),
        }
    }

    /// What it must not forget.
    pub(crate) fn memory(&self) -> Memory {
        Memory::new(self.journal.clone(), self.identity.federation())
    }

    /// Starts it for the first time, and waits until it has joined.
    pub(crate) async fn join(&self, over: Over) -> Running {
        let mut running = self.start(over);
        loop {
            match running.site.progress.recv().await.expect("the site runs") {
                SiteProgress::Joined { .. } => return running,
                SiteProgress::Refused { error, .. } => panic!("{} does not join: {error}", running.site.name),
                _ => {}
            }
        }
    }

    pub(crate) fn start(&self, over: Over) -> Running {
        let Over { channel, store, ledger } = over;
        let (progress, receiver) = broadcast::channel(1024);
        let rows = |data: &Option<DataConfig>| data.is_some().then(|| self.data.clone());
        let parts = SiteParts {
            channel,
            tls: Default::default(),
            store,
            ledger,
            journal: self.journal.clone(),
            key: self.role.key(&self.seeds, self.index),
            seal: None,
            entropy: Arc::new(self.role.entropy(&self.seeds, self.index)),
            training: rows(&self.config.participant),
            evaluation: rows(&self.config.validator),
            progress,
        };
        let (name, account) = (self.config.entity.clone(), self.identity.account());
        let stop = CancellationToken::new();
        let task = tokio::spawn(almoner_participant::run(self.config.clone(), parts, stop.clone()));
        Running { site: Site { name, account, progress: receiver }, stop, task }
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}
