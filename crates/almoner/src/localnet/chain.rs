//! The chain of a local federation: embedded and kept in the run's directory, or any JSON-RPC node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use almoner_chain::{Deployment, DynProvider, Outbox, Sender, SigningKey, deploy};
use almoner_devnet::{Access, Devnet, DevnetConfig, system_clock};
use almoner_journal::Journal;
use almoner_protocol::U256;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::seeds::Seeds;
use crate::failure::{Blame, Failure, Kind};

/// Block time of a seeded chain's first block: fixed, so that the same seed gives the same roots.
const SEEDED_TIME: u64 = 1_700_000_000;
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
    },
}

/// A chain with the contracts on it.
pub struct LocalChain {
    pub provider: DynProvider,
    pub deployment: Deployment,
    pub sender: Sender,
    pub key: SigningKey,
    pub journal: Journal,
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

/// Seconds for every rule: the machine's, or none at all where a seed fixes everything (blocks then count them).
fn clock(seeds: &Seeds) -> Arc<dyn Fn() -> u64 + Send + Sync> {
    if seeds.seeded { Arc::new(|| SEEDED_TIME) } else { system_clock() }
}

pub(super) fn devnet_config(key: &SigningKey, seeds: &Seeds) -> DevnetConfig {
    let ether = U256::from(10).pow(U256::from(18));
    DevnetConfig::new(vec![(key.address(), U256::from(ENDOWMENT) * ether)], clock(seeds))
}

impl LocalChain {
    /// Starts or reaches the chain and deploys the contracts.
    pub async fn start(choice: &ChainChoice, dir: &Path, seeds: &Seeds) -> Result<Self, Failure> {
        let journal_path = dir.join("coordinator.db");
        let journal = Journal::open(&journal_path).blame(Kind::You, journal_path.display().to_string())?;
        let (key, provider, devnet) = match choice {
            ChainChoice::Embedded => {
                let key = key(seeds, "coordinator", 0);
                let path = dir.join("chain.log");
                let devnet =
                    Devnet::open(&path, &devnet_config(&key, seeds)).blame(Kind::You, path.display().to_string())?;
                (key, devnet.provider(), Some(devnet))
            }
            ChainChoice::Node { url, funder } => {
                let key = SigningKey::load(funder).blame(Kind::You, format!("--funder {}", funder.display()))?;
                let provider = almoner_chain::connect(url).blame(Kind::You, format!("--chain {url}"))?;
                (key, provider, None)
            }
        };
        let outbox = Outbox::new(journal.clone());
        let unreachable = "the chain cannot be used: is the node up, and has the funder ether for gas?";
        let sender = Sender::new(provider.clone(), key.clone(), outbox).await.blame(Kind::Peer, unreachable)?;
        let deployment = deploy(&sender).await.blame(Kind::Peer, unreachable)?;
        Ok(Self { provider, deployment, sender, key, journal, devnet })
    }

    /// What the rules go by beside block times. A node's time passes whatever the seed.
    pub(super) fn clock(&self, seeds: &Seeds) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        if self.devnet.is_some() { clock(seeds) } else { system_clock() }
    }

    /// `/rpc`, for an embedded chain.
    pub fn router(&self) -> axum::Router {
        self.devnet.as_ref().map(|devnet| devnet.router(Access::Public)).unwrap_or_default()
    }
}
