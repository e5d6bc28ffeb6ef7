//! `almoner coordinator`: the coordinator as a process of its own, on any JSON-RPC node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use almoner_chain::{Deployment, Ledger, Outbox, Sender, deploy};
use almoner_coordinator::{CoordinatorConfig, Parts};
use almoner_devnet::system_clock;
use almoner_journal::Journal;
use almoner_store::{EmbeddedStore, Url};
use axum::Json;
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::broadcast;

use super::files::{RoleOptions, listen, load_key, read_text, say_up, until_told};
use crate::failure::{Blame, Failure, Kind};
use crate::rpc_proxy;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoordinatorFile {
    listen: SocketAddr,
    /// JSON-RPC of a node.
    rpc: Url,
    key: PathBuf,
    /// The journal.
    state: PathBuf,
    /// The content store's folder.
    store: PathBuf,
    /// Addresses of the contracts; deployed and written where there is no such file.
    deployment: PathBuf,
    /// For chains whose block hashes mean nothing.
    #[serde(default)]
    beaconless: bool,
    #[serde(default = "half_a_minute")]
    ready_wait_s: u64,
    /// Move the chain's clock over the challenge window: for trials on a node that obeys.
    #[serde(default)]
    time_travel: bool,
}

fn half_a_minute() -> u64 {
    30
}

fn parse(text: &str) -> Result<CoordinatorFile, toml::de::Error> {
    toml::from_str(text)
}

pub(crate) async fn run(options: RoleOptions) -> Result<(), Failure> {
    let file = parse(&read_text(&options.config)?).blame(Kind::You, options.config.display().to_string())?;
    let key = load_key(&file.key)?;
    let listener = listen(file.listen).await?;
    // Two coordinators on one journal would answer twice: the second is refused here.
    let journal = Journal::open(&file.state).blame(Kind::You, format!("state = {:?}", file.state))?;
    let store = EmbeddedStore::open(&file.store).await.blame(Kind::You, format!("store = {:?}", file.store))?;
    let provider = almoner_chain::connect(file.rpc.as_str()).blame(Kind::You, format!("rpc = {}", file.rpc))?;
    let unusable = format!("rpc = {}: is the node up, and has {} ether for gas?", file.rpc, key.address());
    let outbox = Outbox::new(journal.clone());
    let sender = Sender::new(provider.clone(), key.clone(), outbox).await.blame(Kind::Peer, unusable.clone())?;
    let deployment = contracts(&file.deployment, &sender, unusable).await?;
    let ledger = Ledger::with_provider(provider, deployment.clone());
    ledger.verify().await.blame(Kind::You, format!("deployment = {:?}", file.deployment))?;

    let described = get(move || std::future::ready(Json(deployment.clone())));
    let config = CoordinatorConfig {
        ready_wait: Duration::from_secs(file.ready_wait_s),
        beaconless: file.beaconless,
        time_travel: file.time_travel,
        ..CoordinatorConfig::default()
    };
    let url = format!("http://{}", listener.local_addr()?);
    // Nobody follows it here; the log says what happens.
    let (progress, _) = broadcast::channel(16);
    let parts = Parts {
        listener,
        store: Arc::new(store),
        ledger,
        sender,
        key,
        journal,
        clock: system_clock(),
        progress,
        beside: rpc_proxy::router(file.rpc)?.route("/deployment.json", described),
    };
    say_up("coordinator", &url, options.json);
    Ok(almoner_coordinator::run(config, parts, until_told()).await?)
}

/// The contracts of this coordinator: those named by the file, or new ones.
async fn contracts(path: &Path, sender: &Sender, unusable: String) -> Result<Deployment, Failure> {
    let context = format!("deployment = {path:?}");
    if path.exists() {
        return serde_json::from_str(&read_text(path)?).blame(Kind::You, context);
    }
    let deployment = deploy(sender).await.blame(Kind::Peer, unusable)?;
    // Whole or not at all: half a file would have new contracts deployed over and over.
    let unfinished = path.with_extension("tmp");
    let mut text = serde_json::to_vec_pretty(&deployment)?;
    text.push(b'\n');
    std::fs::write(&unfinished, text).blame(Kind::You, context.clone())?;
    std::fs::rename(&unfinished, path).blame(Kind::You, context)?;
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
        let error = parse(&sample.replace("ready_wait_s", "ready_wait")).unwrap_err().to_string();
        assert!(error.contains("unknown field `ready_wait`"), "{error}");
    }
}
