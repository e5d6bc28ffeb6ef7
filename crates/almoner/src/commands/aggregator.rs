//! `almoner aggregator`: a worker as a process of its own. It keeps nothing; kill it whenever you like.

use std::sync::Arc;

use almoner_aggregator::{AggregatorConfig, Parts};
use almoner_store::{GatewayStore, Url};

use super::channel::{client, dial_lazily};
use super::files::{RoleOptions, read_text, say_up, until_told};
use crate::failure::{Blame, Failure, Kind};

pub(crate) async fn run(options: RoleOptions) -> Result<(), Failure> {
    let context = options.config.display().to_string();
    let config = AggregatorConfig::parse(&read_text(&options.config)?).blame(Kind::You, context.clone())?;
    let gateways = if config.gateways.is_empty() { vec![config.coordinator.clone()] } else { config.gateways.clone() };
    let urls: Result<Vec<Url>, _> = gateways.iter().map(|url| url.parse()).collect();
    let tls = client(config.tls.clone())?;
    let urls = urls.blame(Kind::You, format!("{context}: gateways"))?;
    let store = GatewayStore::trusting(urls, &tls).blame(Kind::You, context)?;
    let parts = Parts { channel: dial_lazily(&tls, &config.coordinator)?, store: Arc::new(store) };
    let stop = until_told();
    tokio::spawn(tls.remind(stop.clone()));
    say_up("aggregator", &config.coordinator, options.json);
    Ok(almoner_aggregator::run(config, parts, stop).await?)
}
