//! A federation as anybody can look at it: its chain, and the content store that its artefacts are in.

use std::path::Path;
use std::sync::Arc;

use almoner_chain::{FederationRecord, Ledger, RoundRecord};
use almoner_devnet::{Devnet, DevnetConfig, system_clock};
use almoner_participant::fetch::spec;
use almoner_protocol::spec::FederationSpec;
use almoner_store::{EmbeddedStore, GatewayStore, Store, Url};
use almoner_tls::Client as Tls;

use super::source::{fetch_deployment, join};
use crate::failure::{Blame, Failure, Kind};
use crate::localnet::run_file::{CHAIN_FILE, RunFile, STORE_DIR};

/// What was read of a federation, and where more of it can be read.
pub(super) struct Reached {
    pub(super) ledger: Ledger,
    pub(super) store: Arc<dyn Store>,
    pub(super) record: FederationRecord,
    pub(super) rounds: Vec<RoundRecord>,
    /// The chain of a finished run lives as long as somebody reads it.
    _devnet: Option<Devnet>,
}

impl Reached {
    /// Through a coordinator, or a node and gateways of one's own in place of its; as far as `depth` leaves it.
    pub(super) async fn at(
        tls: &Tls,
        coordinator: &Url,
        rpc: Option<&str>,
        gateways: &[Url],
        federation: u64,
        depth: impl FnOnce(&Ledger) -> Ledger,
    ) -> Result<Self, Failure> {
        let deployment = fetch_deployment(coordinator, tls).await?;
        let rpc = rpc.map_or_else(|| join(coordinator, "rpc").to_string(), ToOwned::to_owned);
        let ledger = Ledger::trusting(&rpc, deployment, tls).blame(Kind::You, format!("rpc = {rpc}"))?;
        let gateways = if gateways.is_empty() { std::slice::from_ref(coordinator) } else { gateways };
        let store = Arc::new(GatewayStore::trusting(gateways.to_vec(), tls).blame(Kind::You, "gateways")?);
        Self::read(depth(&ledger), store, None, federation, rpc).await
    }

    /// In the directory that a run left; `rpc` where it settled on a node.
    pub(super) async fn in_dir(dir: &Path, rpc: Option<&str>, federation: Option<u64>) -> Result<Self, Failure> {
        let run = RunFile::read(dir)?;
        let [chain, blocks] = [CHAIN_FILE, STORE_DIR].map(|name| dir.join(name));
        if !blocks.exists() {
            return Err(Failure::you(format!("{} is missing", blocks.display())));
        }
        let store = EmbeddedStore::open(&blocks).await.blame(Kind::You, blocks.display().to_string())?;
        let (number, shown) = (federation.unwrap_or(run.federation), dir.display().to_string());
        let (ledger, devnet) = match rpc {
            Some(rpc) => (Ledger::connect(rpc, run.deployment).blame(Kind::You, format!("--rpc {rpc}"))?, None),
            None if run.genesis.is_empty() || !chain.exists() => {
                return Err(Failure::you(format!("{shown}: this run settled on a node; name it: --rpc URL")));
            }
            None => {
                let mut config = DevnetConfig::new(run.genesis, system_clock());
                config.chain_id = run.deployment.chain_id;
                let devnet = tokio::task::spawn_blocking(move || Devnet::open(&chain, &config)).await?;
                let devnet = devnet.blame(Kind::You, shown.clone())?;
                (Ledger::with_provider(devnet.provider(), run.deployment), Some(devnet))
            }
        };
        Self::read(ledger, Arc::new(store), devnet, number, shown).await
    }

    async fn read(
        ledger: Ledger,
        store: Arc<dyn Store>,
        devnet: Option<Devnet>,
        number: u64,
        context: String,
    ) -> Result<Self, Failure> {
        ledger.verify().await.blame(Kind::Peer, format!("{context}: are these our contracts?"))?;
        let record = ledger.federation(number).await.blame(Kind::Peer, context.clone())?;
        let Some(record) = record else {
            return Err(Failure::you(format!(
                "federation {number}: there is no such federation, or not deep enough in the chain: ask again later, or \
                 with the number that `almoner federation create` printed"
            )));
        };
        let rounds = ledger.rounds(number).await.blame(Kind::Peer, context)?.to_vec();
        Ok(Self { ledger, store, record, rounds, _devnet: devnet })
    }

    /// The federation file as published, held against the hash on chain.
    pub(super) async fn spec(&self) -> Result<FederationSpec, Failure> {
        let params = &self.record.params;
        let spec = spec(self.store.as_ref(), &params.specCid, params.specHash).await;
        spec.blame(Kind::Peer, "the federation file")
    }
}
