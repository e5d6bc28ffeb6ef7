//! `almoner aggregator`: a worker as a process of its own. It keeps nothing; kill it whenever you like.

use std::path::Path;
use std::sync::Arc;

use almoner_aggregator::{AggregatorConfig, Parts};
use almoner_proto::endpoint;
use almoner_store::{EmbeddedStore, GatewayStore, Near, Store, Url};
use tonic::transport::Endpoint;

use super::files::{RoleOptions, read_text, say_up, until_told};
use super::metrics;
use crate::failure::{Blame, Failure, Kind};

pub(crate) async fn run(options: RoleOptions) -> Result<(), Failure> {
    let context = options.config.display().to_string();
    let config = AggregatorConfig::parse(&read_text(&options.config)?).blame(Kind::You, context.clone())?;
    let gateways = if config.gateways.is_empty() { vec![config.coordinator.clone()] } else { config.gateways.clone() };
    let urls: Result<Vec<Url>, _> = gateways.iter().map(|url| url.parse()).collect();
    let far = GatewayStore::new(urls.blame(Kind::You, format!("{context}: gateways"))?);
    let far = Arc::new(far.blame(Kind::You, context.clone())?);
    let store: Arc<dyn Store> = match &config.store {
        Some(dir) => Arc::new(Near::new(beside(dir, &context).await?, far)),
        None => far,
    };
    let at = Endpoint::from_shared(config.coordinator.clone())
        .blame(Kind::You, format!("coordinator = {:?}", config.coordinator))?;
    let parts = Parts { channel: endpoint(at).connect_lazy(), store };
    let watched = metrics::serve(config.metrics, "aggregator").await?;
    say_up("aggregator", &config.coordinator, &watched, options.json);
    watched.ready();
    Ok(almoner_aggregator::run(config, parts, until_told()).await?)
}

/// The coordinator's store on this machine. A folder that is none would be made one, and always be empty.
async fn beside(dir: &Path, context: &str) -> Result<EmbeddedStore, Failure> {
    let named = format!("{context}: store = {:?}", dir.display());
    if !dir.join("blocks").is_dir() {
        return Err(Failure::you(format!("{named}: not a coordinator's store; leave the key out to read by gateway")));
    }
    EmbeddedStore::open(dir).await.blame(Kind::You, named)
}
