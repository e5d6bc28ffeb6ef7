//! Sites of a local federation: each the production agent with its own key, journal and gateway.

use std::sync::Arc;

use almoner_journal::Journal;
use almoner_model::{Dataset, DeviceChoice};
use almoner_participant::{
    DataConfig, Entropy, PolicyConfig, SeededEntropy, SiteConfig, SiteError, SiteParts, SiteProgress, SystemEntropy,
};
use almoner_proto::{Kinded, endpoint};
use almoner_protocol::{Address, FileVersion, U256};
use tokio::sync::broadcast;
use tonic::transport::Endpoint;

use super::chain::key;
use super::net::{Localnet, gateway};
use super::scenario::{Holder, Scenario};
use crate::failure::{Blame, Failure, Kind};

/// A site that was started.
#[derive(Debug)]
pub struct Site {
    pub name: String,
    pub account: Address,
    pub progress: broadcast::Receiver<SiteProgress>,
}

/// What the site does with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Hospital,
    Validator,
}

impl Localnet {
    /// Starts every hospital and validator and waits until all have joined.
    pub async fn start_sites(&mut self, scenario: &Scenario) -> Result<(Vec<Site>, Vec<Site>), Failure> {
        let url = self.url.clone();
        self.start_sites_at(scenario, &mut || url.clone()).await
    }

    /// As [`Self::start_sites`]; every site dials the next address that `door` gives.
    pub async fn start_sites_at(
        &mut self,
        scenario: &Scenario,
        door: &mut dyn FnMut() -> String,
    ) -> Result<(Vec<Site>, Vec<Site>), Failure> {
        let mut hospitals = Vec::new();
        for (index, holder) in scenario.hospitals.iter().enumerate() {
            hospitals.push(self.start_site(door(), scenario, Role::Hospital, index, holder).await?);
        }
        let mut validators = Vec::new();
        for (index, holder) in scenario.validators.iter().enumerate() {
            validators.push(self.start_site(door(), scenario, Role::Validator, index, holder).await?);
        }
        for site in hospitals.iter_mut().chain(&mut validators) {
            self.chain.while_up(site.joined()).await??;
        }
        Ok((hospitals, validators))
    }

    async fn start_site(
        &mut self,
        url: String,
        scenario: &Scenario,
        role: Role,
        index: usize,
        holder: &Holder,
    ) -> Result<Site, Failure> {
        let label = match role {
            Role::Hospital => "hospital",
            Role::Validator => "validator",
        };
        let index = index as u64;
        let key = key(&self.seeds, label, index);
        let file = self.dir.join("sites").join(format!("{label}-{}.db", index + 1));
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).blame(Kind::You, parent.display().to_string())?;
        }
        let rows = |r: Role| -> Option<Dataset> { (role == r).then(|| holder.data.clone()) };
        let (training, evaluation) = (rows(Role::Hospital), rows(Role::Validator));
        // The rows come as an argument; the section only says which role they are for.
        let section =
            || DataConfig { csv: file.clone(), columns: Vec::new(), label: "label".into(), features: Vec::new() };
        let config = SiteConfig {
            version: FileVersion::default(),
            coordinator: url.clone(),
            rpc: None,
            confirmations: None,
            gateways: Vec::new(),
            tls: Default::default(),
            federation: self.federation,
            entity: holder.name.clone(),
            key: file.clone(),
            unlock: None,
            state: file.clone(),
            metrics: None,
            traces: None,
            device: DeviceChoice::Cpu,
            claim: self.claim,
            participant: training.is_some().then(section),
            validator: evaluation.is_some().then(section),
            policy: PolicyConfig {
                accept_leak: scenario.spec.privacy.accept_leak,
                scalars_max: scenario.spec.privacy.scalars_max,
                min_cohort: None,
            },
        };
        let entropy: Arc<dyn Entropy> = if self.seeds.seeded {
            Arc::new(SeededEntropy::new(self.seeds.derive(&format!("{label} entropy"), index)))
        } else {
            Arc::new(SystemEntropy)
        };
        let (progress, receiver) = broadcast::channel(1024);
        let journal = Journal::open(&file).blame(Kind::You, file.display().to_string())?;
        self.journals.push(journal.clone());
        let account = key.address();
        let parts = SiteParts {
            // As a process of its own would: a connection for itself, made when it is first needed.
            channel: endpoint(Endpoint::from_shared(url.clone())?).connect_lazy(),
            tls: Default::default(),
            store: gateway(&url)?,
            ledger: self.ledger.clone(),
            journal,
            key,
            seal: None,
            entropy,
            training,
            evaluation,
            progress,
        };
        let stop = self.shutdown.clone();
        self.tasks.spawn(async move {
            match almoner_participant::run(config, parts, stop).await {
                // Whoever waits for it to join has been told.
                Err(SiteError::NotJoined(_)) => Ok(()),
                served => served.map_err(Failure::from),
            }
        });
        Ok(Site { name: holder.name.clone(), account, progress: receiver })
    }
}

impl Site {
    /// Waits until the site has been paid all that it has ever earned, and has seen that on chain.
    pub(super) async fn paid(&mut self, earned: U256) -> Result<(), Failure> {
        loop {
            match self.progress.recv().await {
                Ok(SiteProgress::Paid { claim, .. }) if claim.cumulative == earned => return Ok(()),
                Ok(SiteProgress::NotPaid { error }) => return Err(anyhow::anyhow!("{}: {error}", self.name).into()),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => {
                    return Err(anyhow::anyhow!("{} stopped before it was paid", self.name).into());
                }
            }
        }
    }

    /// Waits until the coordinator has taken the site's consent.
    async fn joined(&mut self) -> Result<(), Failure> {
        loop {
            match self.progress.recv().await {
                Ok(SiteProgress::Joined { .. }) => return Ok(()),
                Ok(SiteProgress::Refused { error, .. }) => {
                    let kind = Kind::of(error.kind().blame());
                    return Err(Failure::new(kind, anyhow::anyhow!("{}: {error}", self.name)));
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => {
                    return Err(anyhow::anyhow!("{} stopped before it joined", self.name).into());
                }
            }
        }
    }
}
