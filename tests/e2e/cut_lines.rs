//! Lines that are cut: every site and the aggregator reach the coordinator over links that break, each by a script of
//! its own that follows from a seed. What comes out must be what comes out on good lines, root by root.

use std::sync::Arc;

use almoner_aggregator::{AggregatorConfig, Parts};
use almoner_proto::endpoint;
use almoner_store::GatewayStore;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::federation::{Federation, run, settle};
use crate::honest::{assert_same_roots, honest};
use crate::link::Script;

const ROUNDS: u32 = 2;
/// Four hospitals, three validators, one aggregator.
const LINES: u64 = 8;

/// Plays the two rounds of [`honest`] over bad lines, and compares.
fn bad_lines(seed: u64) {
    let scripts: Vec<Script> = (0..LINES).map(|line| Script::of(seed * LINES + line)).collect();
    println!("seed {seed}: {scripts:?}");
    let reports = run(async {
        let mut links = Vec::new();
        let mut federation = Federation::found_over(ROUNDS, &scripts, &mut links).await;
        let worker = worker(&links[LINES as usize - 1].url);
        let Federation { net, scenario, .. } = &mut federation;
        let reports = settle(net, scenario, ROUNDS, async {}).await;
        worker.cancel();
        assert_eq!(federation.audit().await.first_wrong, None);
        federation.net.stop().await.unwrap();
        reports
    });
    assert_same_roots(&reports, honest());
}

/// The production aggregator at the end of a link.
fn worker(url: &str) -> CancellationToken {
    let stop = CancellationToken::new();
    let config = AggregatorConfig {
        traces: None,
        version: Default::default(),
        coordinator: url.into(),
        gateways: Vec::new(),
        store: None,
        metrics: None,
        key: None,
        tls: Default::default(),
        name: "worker".into(),
        lanes: 1,
    };
    let parts = Parts {
        channel: endpoint(Endpoint::from_shared(url.to_owned()).unwrap()).connect_lazy(),
        tls: Default::default(),
        store: Arc::new(GatewayStore::new(vec![url.parse().unwrap()]).unwrap()),
        progress: broadcast::channel(1).0,
    };
    tokio::spawn(almoner_aggregator::run(config, parts, stop.clone()));
    stop
}

#[test]
fn cut_lines_change_nothing_1() {
    bad_lines(1);
}

#[test]
fn cut_lines_change_nothing_2() {
    bad_lines(2);
}

#[test]
fn cut_lines_change_nothing_3() {
    bad_lines(3);
}

#[test]
fn cut_lines_change_nothing_4() {
    bad_lines(4);
}
