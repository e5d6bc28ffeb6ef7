//! `almoner aggregator`: a worker as a process of its own. It keeps nothing; kill it whenever you like.

use std::path::Path;
use std::sync::Arc;

use almoner_aggregator::{AggregatorConfig, AggregatorProgress, Parts};
use almoner_proto::{Kinded, Outage};
use almoner_store::{EmbeddedStore, GatewayStore, Near, Store, Url};
use almoner_tls::Client as Tls;
use serde_json::json;
use tokio::sync::broadcast;

use super::channel::{client, dial_lazily, introduce, patience};
use super::files::{RoleOptions, load_key, read_text, say_up, until_told};
use super::metrics::{self, Watched};
use super::renew;
use super::source::fetch_deployment;
use super::traces::{self, Collector};
use crate::failure::{Blame, Failure, Kind};

pub(crate) async fn run(options: RoleOptions) -> Result<(), Failure> {
    let context = options.config.display().to_string();
    let config = AggregatorConfig::parse(&read_text(&options.config)?).blame(Kind::You, context.clone())?;
    let coordinator: Url = config.coordinator.parse().blame(Kind::You, format!("{context}: coordinator"))?;
    let urls: Result<Vec<Url>, _> = config.gateways.iter().map(|url| url.parse()).collect();
    let tls = client(config.tls.clone())?;
    let mut urls = urls.blame(Kind::You, format!("{context}: gateways"))?;
    if urls.is_empty() {
        urls.push(coordinator.clone());
    }
    let far = Arc::new(GatewayStore::trusting(urls, &tls).blame(Kind::You, context.clone())?);
    let store: Arc<dyn Store> = match &config.store {
        Some(dir) => Arc::new(Near::new(beside(dir, &context).await?, far)),
        None => far,
    };
    if let Some(key) = &config.key {
        introduce(&tls, load_key(key)?);
    }
    let collector = traces::collector(config.traces.as_deref())?;
    let (progress, told) = broadcast::channel(256);
    if let Some(collector) = collector {
        tokio::spawn(trace(collector, coordinator, tls.clone(), config.name.clone(), progress.subscribe()));
    }
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

/// Sends traces as soon as the coordinator has said of which chain its rounds are.
async fn trace(
    collector: Collector,
    coordinator: Url,
    tls: Tls,
    worker: String,
    told: broadcast::Receiver<AggregatorProgress>,
) {
    let mut away = Outage::default();
    let at = loop {
        match fetch_deployment(&coordinator, &tls).await {
            Ok(at) => break at,
            Err(failure) => tokio::time::sleep(patience(&mut away, "deployment, for traces", &failure)).await,
        }
    };
    match collector.of("aggregator", &at) {
        Ok(traces) => traces.follow_aggregator(worker, told).await,
        Err(error) => tracing::warn!(%error, "no traces are sent"),
    }
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
            AggregatorProgress::Computed { round, first_block, blocks, uploads, took } => json!({
                "schema": 1,
                "event": "job",
                "round": round,
                "first_block": first_block,
                "blocks": blocks,
                "uploads": uploads,
                "seconds": took.as_secs_f64(),
            }),
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
