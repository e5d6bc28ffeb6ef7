//! `almoner demo`: a whole federation on this machine, on real patients, from training to paid claims.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use almoner_chain::Depth;
use almoner_coordinator::CoordinatorConfig;
use clap::Args;
use serde_json::{Value, json};

use super::demo_rows;
use super::demo_screen::{Closed, Screen};
use super::files::{TUNNEL, only_loopback};
use crate::failure::{Blame, Failure, Kind};
use crate::localnet::breast_cancer::Labels;
use crate::localnet::{
    Baseline, ChainChoice, Localnet, ModelChoice, NetConfig, RunReport, Scenario, Seeds, best_alone,
    breast_cancer_scenario, heart_scenario, pooled_baseline,
};

/// Challenge window on a node of somebody's own, in seconds: long enough to see it, short enough to wait for it.
const NODE_WINDOW_S: u64 = 5;
/// Most rounds one run is asked for.
const MAX_ROUNDS: u32 = 1000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds to run.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Derive every key, salt, time and noise from this number. INSECURE: for demonstrations and tests.
    #[arg(long)]
    seed: Option<u64>,
    /// The four UCI heart hospitals: a directory with processed.*.data and split_seed43.csv.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "clean_labels"])]
    data: Option<PathBuf>,
    /// The model trained on breast cancer.
    #[arg(long, value_enum, default_value_t = ModelChoice::Mlp)]
    model: ModelChoice,
    /// Leave the second hospital's labels as they are.
    #[arg(long)]
    clean_labels: bool,
    /// Write the rows of the demo's hospitals and validators there as CSV files, for sites of your own, and run nothing.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "model", "dir", "chain"])]
    write_rows: Option<PathBuf>,
    /// Where chain, store and logs are left; must not exist yet, or be empty.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Settle on this JSON-RPC node instead of the embedded chain.
    #[arg(long, value_name = "URL", requires = "funder")]
    chain: Option<String>,
    /// Key file that pays for gas on that node.
    #[arg(long, value_name = "KEYFILE", requires = "chain")]
    funder: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let start = Instant::now();
    if !(1..=MAX_ROUNDS).contains(&options.rounds) {
        return Err(Failure::you(format!("--rounds {}: choose 1 to {MAX_ROUNDS}", options.rounds)));
    }
    only_loopback(options.listen, &format!("--listen {}", options.listen), TUNNEL)?;
    let seeds = match options.seed {
        Some(seed) => Seeds::insecure(seed),
        None => Seeds::random().map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?,
    };
    if let Some(rows) = &options.write_rows {
        return demo_rows::write(rows, labels(&options), &seeds, options.json);
    }
    let mut scenario = scenario(&options, &seeds)?;
    if options.chain.is_some() {
        // A node's time is not ours to move.
        scenario.spec.round.challenge_window_s = NODE_WINDOW_S;
    }
    let dir = fresh_dir(options.dir.as_deref())?;
    let screen = Screen::new(options.json, options.rounds, &scenario, &seeds);
    let chain = match (&options.chain, &options.funder) {
        (Some(url), Some(funder)) => {
            let (url, funder) = (url.clone(), funder.clone());
            ChainChoice::Node { url, funder, confirmations: Depth::NONE }
        }
        _ => ChainChoice::Embedded,
    };
    let embedded = matches!(chain, ChainChoice::Embedded);
    let coordinator = CoordinatorConfig::default();
    let config = NetConfig { dir: dir.clone(), listen: options.listen, chain, seeds: seeds.clone(), coordinator };
    let started = Localnet::start(config, &scenario, options.rounds).await;
    let mut net = started.inspect_err(|_| {
        // If nothing has been written yet, not even the directory is left. One that holds something is not removed.
        let _ = std::fs::remove_dir(&dir);
    })?;
    screen.started(&net.url, &dir, embedded);
    let (mut hospitals, mut validators) = net.start_sites(&scenario).await?;
    let names = hospitals.iter().chain(&validators).map(|site| (site.account, site.name.clone())).collect();
    let rounds = net.follow(&scenario, options.rounds, &mut |event, done| screen.show(&names, event, done)).await?;
    let Some(last) = rounds.last() else { return Err(anyhow::anyhow!("no round was run").into()) };
    let (mut participants, validators) = net.paid_out(last, &scenario, &mut hospitals, &mut validators).await?;
    let (model_path, model_cid) = net.save_model(&scenario, last).await?;
    let alone = best_alone(&scenario, options.rounds, &seeds)?;
    for (person, alone) in participants.iter_mut().zip(&alone) {
        person.accuracy_alone = Some(alone.accuracy);
    }
    let pooled = pooled_baseline(&scenario, options.rounds, &seeds)?;
    let audit = audit_in_a_child(&net.url, options.chain.as_deref()).await?;
    let counters = net.chain.sender.counters();
    let commits = net.commits();
    let url = net.url.clone();
    net.stop().await?;
    let report = RunReport { rounds, participants, validators, model_path, model_cid };
    let seconds = start.elapsed().as_secs_f64();
    if options.json {
        let document = document(&options, &scenario, &report, pooled, &audit, seconds);
        println!("{}", serde_json::to_string(&document)?);
        return Ok(());
    }
    let closed = Closed { dir: &dir, url: &url, node: options.chain.as_deref() };
    screen.finished(&report, &alone, pooled, &audit, &closed, (counters, commits), seconds);
    Ok(())
}

fn scenario(options: &Options, seeds: &Seeds) -> Result<Scenario, Failure> {
    match &options.data {
        Some(dir) => heart_scenario(dir, seeds),
        None => breast_cancer_scenario(options.model, labels(options), seeds),
    }
}

fn labels(options: &Options) -> Labels {
    if options.clean_labels { Labels::Clean } else { Labels::SecondHospitalFlipped }
}

/// The run's directory: the named one if it is empty, or a new one beside where the command was called.
fn fresh_dir(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let dir = match named {
        Some(dir) => dir.to_owned(),
        None => (1u32..)
            .map(|n| PathBuf::from(format!("almoner-demo-{n}")))
            .find(|dir| !dir.exists())
            .unwrap_or_else(|| PathBuf::from("almoner-demo")),
    };
    let context = format!("--dir {}", dir.display());
    std::fs::create_dir_all(&dir).blame(Kind::You, context.clone())?;
    if std::fs::read_dir(&dir).blame(Kind::You, context.clone())?.next().is_some() {
        return Err(Failure::you(format!("{context}: is not empty; name a new directory")));
    }
    dir.canonicalize().blame(Kind::You, context)
}

/// What the audit said, from a process of its own in an empty directory: it has nothing but the address.
async fn audit_in_a_child(url: &str, node: Option<&str>) -> Result<Value, Failure> {
    let empty = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    let child = tokio::process::Command::new(program)
        .args(["audit", url, "--json"])
        .args(node.map(|node| ["--rpc", node]).into_iter().flatten())
        .current_dir(empty.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .await?;
    if child.status.success() {
        return Ok(serde_json::from_slice(&child.stdout)?);
    }
    let said: Option<Value> = serde_json::from_slice(&child.stderr).ok();
    let message = said.as_ref().and_then(|said| said["error"]["message"].as_str()).unwrap_or("it said nothing");
    let kind = child.status.code().and_then(Kind::from_exit_code).unwrap_or(Kind::Us);
    Err(Failure::new(kind, anyhow::anyhow!("the audit failed: {message}")))
}

fn document(
    options: &Options,
    scenario: &Scenario,
    report: &RunReport,
    pooled: Baseline,
    audit: &Value,
    seconds: f64,
) -> Value {
    let pot = pot_total(scenario, options.rounds);
    json!({
        "schema": 1,
        "seed": options.seed,
        "rounds": report.rounds,
        "participants": report.participants,
        "validators": report.validators,
        "pot_total": pot,
        "pooled": pooled,
        "model": { "path": report.model_path, "cid": report.model_cid },
        "audit": audit["audit"],
        "seconds": seconds,
    })
}

fn pot_total(scenario: &Scenario, rounds: u32) -> String {
    (almoner_protocol::U256::from(scenario.spec.round.pot.0) * almoner_protocol::U256::from(rounds)).to_string()
}
