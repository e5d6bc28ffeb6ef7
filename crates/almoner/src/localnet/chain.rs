//! The chain of a local federation: embedded and kept in the run's directory, or any JSON-RPC node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use almoner_chain::{Deployment, Depth, DynProvider, Outbox, Sender, SigningKey, deploy};
use almoner_devnet::{Access, Devnet, DevnetConfig, system_clock};
use almoner_journal::Journal;
use almoner_protocol::U256;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::seeds::Seeds;
use crate::failure::{Blame, Failure, Kind};

/// After so long without a word the chain is asked whether it is still there.
pub(super) const QUIET: Duration = Duration::from_secs(5);
/// The embedded chain's operator starts with this many ether.
const ENDOWMENT: u64 = 1000;

/// Where the money is.
#[derive(Clone, Debug)]
pub enum ChainChoice {
    Embedded,
    /// A node, and the key file that pays for gas and deploys.
    Node {
        url: String,
        funder: PathBuf,
        /// How deep a block lies before it is acted on.
        confirmations: Depth,
    },
}

impl ChainChoice {
    pub(super) fn depth(&self) -> Depth {
        match self {
            Self::Embedded => Depth::NONE,
            Self::Node { confirmations, .. } => *confirmations,
        }
    }
}

/// A chain with the contracts on it.
pub struct LocalChain {
    pub provider: DynProvider,
    pub deployment: Deployment,
    pub sender: Sender,
    pub key: SigningKey,
    pub journal: Journal,
    /// What it is called where it is blamed.
    pub name: String,
    /// Where the chain is embedded.
    pub devnet: Option<Devnet>,
}

impl std::fmt::Debug for LocalChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalChain").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

/// A key that follows from the run's seeds.
pub(super) fn key(seeds: &Seeds, label: &str, index: u64) -> SigningKey {
    SigningKey::generate(&mut ChaCha20Rng::from_seed(seeds.derive(label, index)))
}

pub(super) fn devnet_config(key: &SigningKey, seeds: &Seeds) -> DevnetConfig {
    let ether = U256::from(10).pow(U256::from(18));
    DevnetConfig::new(vec![(key.address(), U256::from(ENDOWMENT) * ether)], seeds.clock())
}

impl LocalChain {
    /// Starts or reaches the chain and deploys the contracts.
    pub async fn start(choice: &ChainChoice, dir: &Path, seeds: &Seeds) -> Result<Self, Failure> {
        let (key, provider, devnet, name) = match choice {
            ChainChoice::Embedded => {
                let key = key(seeds, "coordinator", 0);
                let path = dir.join("chain.log");
                let devnet =
                    Devnet::open(&path, &devnet_config(&key, seeds)).blame(Kind::You, path.display().to_string())?;
                (key, devnet.provider(), Some(devnet), "the embedded chain".to_owned())
            }
            ChainChoice::Node { url, funder, .. } => {
                let name = format!("--chain {url}");
                let key = SigningKey::load(funder).blame(Kind::You, format!("--funder {}", funder.display()))?;
                let provider = almoner_chain::connect(url).blame(Kind::You, name.clone())?;
                // Asked before anything is written.
                almoner_chain::chain_id(&provider).await.blame(Kind::Peer, format!("{name}: is the node up?"))?;
                (key, provider, None, name)
            }
        };
        let journal_path = dir.join("coordinator.db");
        let journal = Journal::open(&journal_path).blame(Kind::You, journal_path.display().to_string())?;
        let outbox = Outbox::new(journal.clone());
        let unusable = format!("{name}: cannot be used; is the node up, and has the funder ether for gas?");
        let sender = Sender::new(provider.clone(), key.clone(), outbox).await.blame(Kind::Peer, unusable.clone())?;
        let deployed = while_it_answers(&provider, &name, deploy(&sender)).await?;
        let deployment = deployed.blame(Kind::Peer, unusable)?;
        Ok(Self { provider, deployment, sender, key, journal, name, devnet })
    }

    /// Whether the node still answers. What is on chain stays there, whatever becomes of this run.
    pub(super) async fn answers(&self) -> Result<(), Failure> {
        answers(&self.provider, &self.name).await
    }

    /// Waits for something that needs the node, for as long as there is one.
    pub(super) async fn while_up<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        while_it_answers(&self.provider, &self.name, work).await
    }

    /// Asks the coordinator for something that takes transactions, and says whose fault it is if it is not done.
    pub(super) async fn asked<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T, Failure> {
        let status = match self.while_up(call).await? {
            Ok(done) => return Ok(done),
            Err(status) => status,
        };
        self.answers().await?;
        let kind = Kind::of(almoner_proto::kind_of(&status).blame());
        Err(Failure::new(kind, anyhow::anyhow!("{what}: {}", status.message())))
    }

    /// What the rules go by beside block times. A node's time passes whatever the seed.
    pub(super) fn clock(&self, seeds: &Seeds) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        if self.devnet.is_some() { seeds.clock() } else { system_clock() }
    }

    /// `/rpc`, for an embedded chain.
    pub fn router(&self) -> axum::Router {
        self.devnet.as_ref().map(|devnet| devnet.router(Access::Public)).unwrap_or_default()
    }
}

async fn answers(provider: &DynProvider, name: &str) -> Result<(), Failure> {
    let gone = format!(
        "{name}: the node no longer answers, the run is given up; what is on chain is kept, and can be audited and \
         claimed when the node is back"
    );
    almoner_chain::chain_id(provider).await.map(|_| ()).blame(Kind::Peer, gone)
}

/// Waits for something that needs the node, for as long as there is one: a sender alone would wait for ten minutes.
async fn while_it_answers<T>(provider: &DynProvider, name: &str, work: impl Future<Output = T>) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(QUIET, &mut work).await {
            Ok(done) => return Ok(done),
            Err(_) => answers(provider, name).await?,
        }
    }
}
