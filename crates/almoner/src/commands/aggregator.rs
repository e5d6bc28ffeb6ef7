//! `almoner aggregator`: a worker as a process of its own. It keeps nothing; kill it whenever you like.

use std::path::Path;
use std::sync::Arc;

use almoner_aggregator::{AggregatorConfig, AggregatorProgress, Parts};
use almoner_proto::Kinded;
use almoner_store::{EmbeddedStore, GatewayStore, Near, Store, Url};
use serde_json::json;
use tokio::sync::broadcast;

use super::channel::{client, dial_lazily, introduce};
use super::files::{RoleOptions, load_key, read_text, say_up, until_told};
use super::metrics::{self, Watched};
use super::renew;
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
    let (progress, told) = broadcast::channel(256);
    let parts = Parts { channel: dial_lazily(&tls, &config.coordinator)?, tls: tls.clone(), store, progress };
    let stop = until_told();
    tokio::spawn(renew::keep(tls, parts.channel.clone(), stop.clone()));
    let watched = metrics::serve(config.metrics, "aggregator").await?;
    tokio::spawn(tell(told, watched.clone(), options.json));
    watched.ready();
    say_up("aggregator", &config.coordinator, &watched, options.json);
    let served = almoner_aggregator::run(config, parts, stop).await;
    served.map_err(|error| Failure::new(Kind::of(error.kind().blame()), error))
}

/// Whether it may work, for whoever watches over it, and as JSON documents where they are asked for.
async fn tell(mut told: broadcast::Receiver<AggregatorProgress>, watched: Watched, json: bool) {
    while let Some(progress) = metrics::next(&mut told).await {
        let document = match progress {
            AggregatorProgress::ShutOut { error } => {
                watched.set_ready(false);
                json!({ "schema": 1, "event": "shut_out", "error": error.to_string() })
            }
            AggregatorProgress::LetIn => {
                watched.set_ready(true);
                json!({ "schema": 1, "event": "let_in" })
            }
        };
        if json {
            println!("{document}");
        }
    }
}

/// The coordinator's store on this machine. A folder that is none would be made one, and always be empty.
async fn beside(dir: &Path, context: &str) -> Result<EmbeddedStore, Failure> {
    let named = format!("{context}: store = {:?}", dir.display());
    if !dir.join("blocks").is_dir() {
        return Err(Failure::you(format!("{named}: not a coordinator's store; leave the key out to read by gateway")));
    }
    EmbeddedStore::open(dir).await.blame(Kind::You, named)
}
