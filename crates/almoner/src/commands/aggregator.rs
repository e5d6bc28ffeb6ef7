//! `almoner aggregator`: a worker as a process of its own. It keeps nothing; kill it whenever you like.

use std::path::Path;
use std::sync::Arc;

use almoner_aggregator::{AggregatorConfig, Parts};
use almoner_store::{EmbeddedStore, GatewayStore, Near, Store, Url};

use super::channel::{client, dial_lazily, introduce};
use super::files::{RoleOptions, load_key, read_text, say_up, until_told};
use super::{metrics, renew};
use crate::failure::{Blame, Failure, Kind};

pub(crate) async fn run(options: RoleOptions) -> Result<(), Failure> {
    let context = options.config.display().to_string();
    let config = AggregatorConfig::parse(&read_text(&options.config)?).blame(Kind::You, context.clone())?;
    let gateways = if config.gateways.is_empty() { vec![config.coordinator.clone()] } else { config.gateways.clone() };
    let urls: Result<Vec<Url>, _> = gateways.iter().map(|url| url.parse()).collect();
    let tls = client(config.tls.clone())?;
    let urls = urls.blame(Kind::You, format!("{context}: gateways"))?;
    let far = Arc::new(GatewayStore::trusting(urls, &tls).blame(Kind::You, context.clone())?);
    let store: Arc<dyn Store> = match &config.store {
        Some(dir) => Arc::new(Near::new(beside(dir, &context).await?, far)),
        None => far,
    };
    if let Some(key) = &config.key {
        introduce(&tls, load_key(key)?);
    }
    let parts = Parts { channel: dial_lazily(&tls, &config.coordinator)?, store };
    let stop = until_told();
    tokio::spawn(renew::keep(tls, parts.channel.clone(), stop.clone()));
    let watched = metrics::serve(config.metrics, "aggregator").await?;
    watched.ready();
    say_up("aggregator", &config.coordinator, &watched, options.json);
    Ok(almoner_aggregator::run(config, parts, stop).await?)
}

/// The coordinator's store on this machine. A folder that is none would be made one, and always be empty.
async fn beside(dir: &Path, context: &str) -> Result<EmbeddedStore, Failure> {
    let named = format!("{context}: store = {:?}", dir.display());
    if !dir.join("blocks").is_dir() {
        return Err(Failure::you(format!("{named}: not a coordinator's store; leave the key out to read by gateway")));
    }
    EmbeddedStore::open(dir).await.blame(Kind::You, named)
}
