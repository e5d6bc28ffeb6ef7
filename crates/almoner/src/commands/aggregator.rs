//! `almoner aggregator`: a worker as a process of its own. It keeps nothing; kill it whenever you like.

use std::sync::Arc;

use almoner_aggregator::{AggregatorConfig, Parts};
use almoner_proto::endpoint;
use almoner_store::{GatewayStore, Url};
use tonic::transport::Endpoint;

use super::files::{RoleOptions, read_text, say_up, until_told};
use crate::failure::{Blame, Failure, Kind};

pub(crate) async fn run(options: RoleOptions) -> Result<(), Failure> {
    let context = options.config.display().to_string();
    let config = AggregatorConfig::parse(&read_text(&options.config)?).blame(Kind::You, context.clone())?;
    let gateways = if config.gateways.is_empty() { vec![config.coordinator.clone()] } else { config.gateways.clone() };
    let urls: Result<Vec<Url>, _> = gateways.iter().map(|url| url.parse()).collect();
    let store = GatewayStore::new(urls.blame(Kind::You, format!("{context}: gateways"))?).blame(Kind::You, context)?;
    let at = Endpoint::from_shared(config.coordinator.clone())
        .blame(Kind::You, format!("coordinator = {:?}", config.coordinator))?;
    let parts = Parts { channel: endpoint(at).connect_lazy(), store: Arc::new(store) };
    say_up("aggregator", &config.coordinator, options.json);
    Ok(almoner_aggregator::run(config, parts, until_told()).await?)
}
