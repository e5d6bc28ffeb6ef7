//! What a daemon tells whoever watches over it: `/metrics` for Prometheus, `/healthz` once it runs, `/readyz` once it
//! does its work. Nothing in it is a secret: what the chain shows anyway, and what the process costs the machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use almoner_coordinator::Progress;
use almoner_participant::{Duty, SiteProgress};
use almoner_protocol::round::State;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::files::bind;
use super::in_the_clear;
use super::status::seat;
use crate::failure::{Blame, Failure, Kind};

/// Upper bounds of what is timed, in seconds: a transaction on the embedded chain to a day of training.
const SECONDS: [f64; 12] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0, 600.0, 3600.0, 14_400.0, 86_400.0];

const ROUNDS: &str = "almoner_rounds_total";
const ROUND: &str = "almoner_round";
const STATE_SECONDS: &str = "almoner_state_seconds";
const FAULTS: &str = "almoner_faults_total";
const PAID: &str = "almoner_paid_tokens";
const TRANSACTIONS: &str = "almoner_transactions_total";
const GAS: &str = "almoner_transaction_gas_total";
const TRANSACTION_SECONDS: &str = "almoner_transaction_seconds";
const DUTIES: &str = "almoner_duties_total";
const REFUSED: &str = "almoner_refused_total";
const TRAINING_SECONDS: &str = "almoner_training_seconds";
const EARNED: &str = "almoner_earned_tokens";
const CLAIMS: &str = "almoner_claims_total";
const KUBO_BEHIND: &str = "almoner_kubo_behind";
const MEMORY: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";
const START: &str = "process_start_time_seconds";
const BUILD: &str = "almoner_build_info";

/// One whole token.
const TOKEN: f64 = 1e18;

/// Where it is watched, and whether it does its work yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) at: Option<SocketAddr>,
    ready: Arc<AtomicBool>,
}

impl Watched {
    /// From here on `/readyz` says yes.
    pub(super) fn ready(&self) {
        self.set_ready(true);
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

/// Serves where the settings say, if they do, until the process ends.
pub(super) async fn serve(address: Option<SocketAddr>, role: &'static str) -> Result<Watched, Failure> {
    let Some(address) = address else { return Ok(Watched::default()) };
    let context = format!("metrics = {address}");
    let listener = bind(address).blame(Kind::You, context)?;
    let watched = Watched { at: Some(listener.local_addr()?), ready: Arc::default() };
    let router = router(install(role)?, watched.clone());
    tokio::spawn(async move {
        if let Err(failure) = in_the_clear::serve(listener, router, std::future::pending()).await {
            tracing::error!(%failure, "the metrics are no longer served");
        }
    });
    Ok(watched)
}

fn install(role: &'static str) -> Result<PrometheusHandle, Failure> {
    let failed = |error: String| Failure::new(Kind::Us, anyhow::anyhow!("metrics: {error}"));
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).map_err(|error| failed(error.to_string()))?;
    let handle = builder.install_recorder().map_err(|error| failed(error.to_string()))?;
    describe();
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION"), "role" => role).set(1.0);
    gauge!(START).set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
    Ok(handle)
}

fn describe() {
    describe_counter!(ROUNDS, "Rounds that are over, by how they ended");
    describe_gauge!(ROUND, "Number of the round in hand");
    describe_histogram!(STATE_SECONDS, "How long rounds stayed in each state");
    describe_counter!(FAULTS, "What somebody did not do in rounds that failed, by kind");
    describe_gauge!(PAID, "What settled rounds paid so far, in whole tokens, by role");
    describe_counter!(TRANSACTIONS, "Transactions included, by step");
    describe_counter!(GAS, "Gas they used, by step");
    describe_histogram!(TRANSACTION_SECONDS, "From a transaction's first simulation to its inclusion");
    describe_counter!(DUTIES, "What this site has done, by duty");
    describe_counter!(
        REFUSED,
        "What this site refused, by duty; `round`: the whole round, `join`: to take part at all"
    );
    describe_histogram!(TRAINING_SECONDS, "How long this site trained in a round");
    describe_gauge!(EARNED, "What this site may claim or has claimed, in whole tokens");
    describe_counter!(CLAIMS, "Claims of this site, by whether they were paid");
    describe_gauge!(KUBO_BEHIND, "Artefacts that the Kubo daemon does not hold yet, or holds still");
    describe_gauge!(MEMORY, "Resident memory");
    describe_gauge!(FILES, "Open files and sockets");
    describe_gauge!(START, "When the process started, in Unix seconds");
    describe_gauge!(BUILD, "1; the labels say what runs");
}

fn router(handle: PrometheusHandle, watched: Watched) -> Router {
    let ready = move || {
        let ready = watched.ready.load(Ordering::Relaxed);
        let answer = if ready { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not yet\n") };
        std::future::ready(answer)
    };
    let metrics = move || {
        weigh();
        handle.run_upkeep();
        std::future::ready(handle.render())
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| std::future::ready("alive\n")))
        .route("/readyz", get(ready))
}

/// What the process holds, where the system says so.
fn weigh() {
    const PAGE: f64 = 4096.0;
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
    if let Some(resident) = resident {
        gauge!(MEMORY).set(resident * PAGE);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge!(FILES).set(files.count() as f64);
    }
}

/// How many artefacts a Kubo daemon does not hold yet, or holds still.
pub(super) fn kubo_behind(count: usize) {
    gauge!(KUBO_BEHIND).set(count as f64);
}

/// Counts what a coordinator does.
pub(super) async fn follow_coordinator(mut told: Receiver<Progress>) {
    let mut since: BTreeMap<u64, (State, Instant)> = BTreeMap::new();
    while let Some(progress) = next(&mut told).await {
        count(progress, &mut since);
    }
}

fn count(progress: Progress, since: &mut BTreeMap<u64, (State, Instant)>) {
    match progress {
        Progress::RoundOpened { round, .. } => {
            gauge!(ROUND).set(round as f64);
            since.insert(round, (State::Announced, Instant::now()));
        }
        Progress::State { round, state } => {
            if let Some((was, at)) = since.insert(round, (state, Instant::now())) {
                histogram!(STATE_SECONDS, "state" => was.to_string()).record(at.elapsed().as_secs_f64());
            }
            if state.is_over() {
                since.remove(&round);
            }
        }
        Progress::Sent { step, gas, seconds, .. } => {
            counter!(TRANSACTIONS, "step" => step).increment(1);
            counter!(GAS, "step" => step).increment(gas);
            histogram!(TRANSACTION_SECONDS).record(seconds);
        }
        Progress::Settled(settlement) => {
            counter!(ROUNDS, "outcome" => "settled").increment(1);
            for paid in settlement.paid {
                // To look at; the exact figures are on chain.
                gauge!(PAID, "role" => seat(paid.role)).increment(paid.pay as f64 / TOKEN);
            }
        }
        Progress::Ended { state, faults, .. } => {
            counter!(ROUNDS, "outcome" => state.to_string()).increment(1);
            counter!(FAULTS).increment(faults.len() as u64);
        }
        Progress::Idle => {}
    }
}

/// Counts what a site does; one that is shut out is not ready.
pub(super) async fn follow_site(mut told: Receiver<SiteProgress>, watched: Watched) {
    while let Some(progress) = next(&mut told).await {
        match progress {
            SiteProgress::Joined { .. } | SiteProgress::Ready { .. } => {}
            SiteProgress::ShutOut { .. } => watched.set_ready(false),
            SiteProgress::LetIn => watched.set_ready(true),
            SiteProgress::Verified { round } => gauge!(ROUND).set(round as f64),
            SiteProgress::Trained { seconds, .. } => histogram!(TRAINING_SECONDS).record(seconds),
            SiteProgress::Done { duty, .. } => counter!(DUTIES, "duty" => duty.word()).increment(1),
            SiteProgress::Refused { round: 0, .. } => counter!(REFUSED, "duty" => "join").increment(1),
            SiteProgress::Refused { duty, .. } => {
                let duty = duty.map_or("round", Duty::word);
                counter!(REFUSED, "duty" => duty).increment(1);
            }
            SiteProgress::Earned { claim, .. } => {
                let whole = claim.cumulative.to_string().parse::<f64>().unwrap_or_default() / TOKEN;
                gauge!(EARNED).set(whole);
            }
            SiteProgress::Paid { .. } => counter!(CLAIMS, "outcome" => "paid").increment(1),
            SiteProgress::NotPaid { .. } => counter!(CLAIMS, "outcome" => "not_paid").increment(1),
        }
    }
}

pub(super) async fn next<T: Clone>(told: &mut Receiver<T>) -> Option<T> {
    loop {
        match told.recv().await {
            Ok(progress) => return Some(progress),
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "the metrics fell behind"),
            Err(RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 18] = [
        ROUNDS,
        ROUND,
        STATE_SECONDS,
        FAULTS,
        PAID,
        TRANSACTIONS,
        GAS,
        TRANSACTION_SECONDS,
        DUTIES,
        REFUSED,
        TRAINING_SECONDS,
        EARNED,
        CLAIMS,
        KUBO_BEHIND,
        MEMORY,
        FILES,
        START,
        BUILD,
    ];

    #[test]
    fn the_manual_and_the_dashboard_name_what_there_is() {
        let manual = include_str!("../../../../docs/OPERATING.md");
        for name in ALL {
            assert!(manual.contains(&format!("`{name}`")), "docs/OPERATING.md does not explain {name}");
        }
        let dashboard = include_str!("../../../../docs/operating/grafana.json");
        let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let mut panels = 0;
        for target in dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array()) {
            for target in target {
                let query = target["expr"].as_str().unwrap();
                assert!(ALL.iter().any(|name| query.contains(name)), "{query}");
                panels += 1;
            }
        }
        assert!(panels >= 8, "{panels}");
    }

    #[test]
    fn a_round_is_counted_and_its_states_are_timed() {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS).unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let mut since = BTreeMap::new();
            count(Progress::RoundOpened { round: 7, ctx: almoner_protocol::B256::ZERO }, &mut since);
            count(Progress::State { round: 7, state: State::Promised }, &mut since);
            count(Progress::Sent { round: 7, step: "open", gas: 21_000, seconds: 0.25 }, &mut since);
            count(Progress::State { round: 7, state: State::Void }, &mut since);
            let (state, reason) = (State::Void, String::new());
            count(Progress::Ended { round: 7, state, reason, faults: Vec::new() }, &mut since);
            assert!(since.is_empty());
            kubo_behind(3);
        });
        let text = handle.render();
        for line in [
            "almoner_round 7",
            "almoner_kubo_behind 3",
            "almoner_rounds_total{outcome=\"void\"} 1",
            "almoner_transaction_gas_total{step=\"open\"} 21000",
            "almoner_state_seconds_count{state=\"announced\"} 1",
            "almoner_transaction_seconds_bucket{le=\"0.5\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
