//! The demo's harness: it follows the rounds, evaluates the model on rows that no role owns, waits until every site
//! has claimed its pay, and compares with training alone and with training on all rows in one place. None of this is
//! visible to a role.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use almoner_coordinator::{Paid, Progress, Settlement};
use almoner_model::{ComputeDevice, Metrics, TrainPlan, evaluate, export_f32, train};
use almoner_protocol::round::State;
use almoner_protocol::types::PayoutItem;
use almoner_protocol::{Address, B256, Stage, U256, base_to_f32, decode_list, decode_model};
use almoner_store::{Store, cid_from_bytes};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::chain::QUIET;
use super::net::Localnet;
use super::scenario::{Holder, Scenario};
use super::seeds::Seeds;
use super::sites::Site;
use crate::failure::{Failure, Kind};
use crate::files::write_whole;

/// A round that says nothing for so long is stuck; its own deadlines are hours away.
const SILENCE: Duration = Duration::from_secs(180);
/// A list of accounts that ever earned something.
const MAX_PAYOUTS: usize = 1 << 16;

/// One round as the harness saw it.
#[derive(Clone, Debug, Serialize)]
pub struct RoundReport {
    pub round: u64,
    pub accuracy: f64,
    pub log_loss: f64,
    pub model_root: B256,
    pub score_root: B256,
    pub settle_root: B256,
    pub payout_root: B256,
    pub model_cid: String,
    /// The settle and payout lists, as files.
    pub settle_path: PathBuf,
    pub payout_path: PathBuf,
    pub gas: BTreeMap<String, u64>,
    pub seconds: BTreeMap<String, f64>,
    #[serde(skip)]
    pub paid: Vec<Paid>,
    #[serde(skip)]
    pub model: Vec<f32>,
}

/// A hospital or validator and its money.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    pub name: String,
    pub address: Address,
    pub rows: usize,
    pub mislabelled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_alone: Option<f64>,
    #[serde(serialize_with = "decimal")]
    pub earned: U256,
    #[serde(serialize_with = "decimal")]
    pub balance: U256,
}

/// Amounts are decimal strings: readers of JSON end at 2^53.
fn decimal<S: serde::Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// How a model trained in another way does on the harness's rows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Baseline {
    pub accuracy: f64,
    pub log_loss: f64,
}

impl From<Metrics> for Baseline {
    fn from(metrics: Metrics) -> Self {
        Self { accuracy: metrics.accuracy, log_loss: metrics.log_loss }
    }
}

/// Everything that came of a run.
#[derive(Debug)]
pub struct RunReport {
    pub rounds: Vec<RoundReport>,
    pub participants: Vec<Person>,
    pub validators: Vec<Person>,
    pub model_path: PathBuf,
    pub model_cid: String,
}

/// Collects what one round costs.
#[derive(Debug)]
struct Meter {
    gas: BTreeMap<String, u64>,
    seconds: BTreeMap<String, f64>,
    phase: (State, Instant),
}

impl Meter {
    fn new() -> Self {
        Self { gas: BTreeMap::new(), seconds: BTreeMap::new(), phase: (State::Announced, Instant::now()) }
    }

    fn enter(&mut self, state: State) {
        let now = Instant::now();
        let (before, since) = std::mem::replace(&mut self.phase, (state, now));
        *self.seconds.entry(before.to_string()).or_default() += (now - since).as_secs_f64();
    }
}

impl Localnet {
    /// Follows `rounds` rounds to their settlement. `show` sees everything that happens, and each finished round.
    pub async fn follow(
        &mut self,
        scenario: &Scenario,
        rounds: u32,
        show: &mut dyn FnMut(&Progress, Option<&RoundReport>),
    ) -> Result<Vec<RoundReport>, Failure> {
        let mut progress = self.progress.subscribe();
        self.launch(rounds).await?;
        let (mut reports, mut meter) = (Vec::new(), Meter::new());
        while reports.len() < rounds as usize {
            let event = self.next(&mut progress, meter.phase.0).await?;
            let mut finished = None;
            match &event {
                Progress::Sent { step, gas, .. } => *meter.gas.entry((*step).to_owned()).or_default() += gas,
                Progress::State { state, .. } => meter.enter(*state),
                Progress::Settled(settlement) => {
                    let done = std::mem::replace(&mut meter, Meter::new());
                    finished = Some(self.report(scenario, settlement, done).await?);
                }
                Progress::Ended { round, state, reason, faults: _ } => {
                    return Err(anyhow::anyhow!("round {round} is {state}: {reason}").into());
                }
                Progress::RoundOpened { .. } | Progress::Idle => {}
            }
            show(&event, finished.as_ref());
            reports.extend(finished);
        }
        Ok(reports)
    }

    /// The next thing that happens, or why nothing does.
    async fn next(&self, progress: &mut Receiver<Progress>, state: State) -> Result<Progress, Failure> {
        let since = Instant::now();
        loop {
            match tokio::time::timeout(QUIET, progress.recv()).await {
                Ok(Ok(event)) => return Ok(event),
                Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return Err(anyhow::anyhow!("the coordinator stopped").into()),
                Err(_) => self.chain.answers().await?,
            }
            if since.elapsed() > SILENCE {
                return Err(anyhow::anyhow!("nothing has happened for {SILENCE:?}; the round is {state}").into());
            }
        }
    }

    async fn report(&self, scenario: &Scenario, settled: &Settlement, meter: Meter) -> Result<RoundReport, Failure> {
        let root = |stage| find(&settled.roots, stage);
        let cid = |stage| find(&settled.cids, stage);
        let spec = &scenario.spec;
        let file = self.read(&cid(Stage::Model)?).await?;
        let model = base_to_f32(&decode_model(&spec.model, &file)?, spec.rule.frac_bits);
        let metrics = evaluate(&spec.model, &model, &scenario.test, &ComputeDevice::cpu())?;
        Ok(RoundReport {
            round: settled.round,
            accuracy: metrics.accuracy,
            log_loss: metrics.log_loss,
            model_root: root(Stage::Model)?,
            score_root: root(Stage::Score)?,
            settle_root: root(Stage::Settle)?,
            payout_root: root(Stage::Payout)?,
            model_cid: cid_from_bytes(&cid(Stage::Model)?)?.to_string(),
            settle_path: self.keep(settled.round, "settle", &cid(Stage::Settle)?).await?,
            payout_path: self.keep(settled.round, "payout", &cid(Stage::Payout)?).await?,
            gas: meter.gas,
            seconds: meter.seconds,
            paid: settled.paid.clone(),
            model,
        })
    }

    async fn read(&self, cid: &[u8]) -> Result<bytes::Bytes, Failure> {
        const MAX: u64 = 1 << 30;
        Ok(self.store.get(&cid_from_bytes(cid)?, MAX).await?)
    }

    /// Writes a list artefact where people find it without a store.
    async fn keep(&self, round: u64, name: &str, cid: &[u8]) -> Result<PathBuf, Failure> {
        let dir = self.dir.join("rounds").join(round.to_string());
        std::fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{name}.list"));
        write_whole(&path, &self.read(cid).await?)?;
        Ok(path)
    }

    /// Waits until every site that earned something has claimed it, then reads the balances back from the chain.
    pub async fn paid_out(
        &self,
        last: &RoundReport,
        scenario: &Scenario,
        hospitals: &mut [Site],
        validators: &mut [Site],
    ) -> Result<(Vec<Person>, Vec<Person>), Failure> {
        let items: Vec<PayoutItem> = decode_list(&std::fs::read(&last.payout_path)?, MAX_PAYOUTS)?;
        let due: BTreeMap<Address, U256> = items.iter().map(|item| (item.account, item.cumulative)).collect();
        for site in hospitals.iter_mut().chain(&mut *validators) {
            let Some(earned) = due.get(&site.account).filter(|earned| !earned.is_zero()) else { continue };
            let name = site.name.clone();
            let waited = tokio::time::timeout(SILENCE, self.chain.while_up(site.paid(*earned))).await;
            waited.map_err(|_| anyhow::anyhow!("{name} has not been paid within {SILENCE:?}"))???;
        }
        let mut people = Vec::new();
        for (site, holder) in
            hospitals.iter().zip(&scenario.hospitals).chain(validators.iter().zip(&scenario.validators))
        {
            let earned = due.get(&site.account).copied().unwrap_or_default();
            people.push(Person {
                name: site.name.clone(),
                address: site.account,
                rows: holder.data.rows(),
                mislabelled: holder.mislabelled,
                accuracy_alone: None,
                earned,
                balance: self.ledger.balance(site.account).await?,
            });
        }
        let validators = people.split_off(hospitals.len());
        if let Some(person) = people.iter().chain(&validators).find(|person| person.earned != person.balance) {
            let (name, earned, balance) = (&person.name, person.earned, person.balance);
            return Err(Failure::new(Kind::Us, anyhow::anyhow!("{name} earned {earned} but holds {balance}")));
        }
        Ok((people, validators))
    }

    /// Saves the last model as f32 safetensors, as a file and in the store.
    pub async fn save_model(&self, scenario: &Scenario, last: &RoundReport) -> Result<(PathBuf, String), Failure> {
        let bytes = export_f32(&scenario.spec.model, &last.model)?;
        let path = self.dir.join("model.safetensors");
        write_whole(&path, &bytes)?;
        let cid = self.store.put(bytes.into()).await?;
        Ok((path, cid.to_string()))
    }
}

fn find<T: Clone>(table: &[(Stage, T)], stage: Stage) -> Result<T, Failure> {
    let found = table.iter().find(|(s, _)| *s == stage).map(|(_, value)| value.clone());
    found.ok_or_else(|| anyhow::anyhow!("a settled round has no {stage}").into())
}

/// Trains as long as the federation did, on one holder's rows, and judges on the harness's.
fn alone(scenario: &Scenario, data: &almoner_model::Dataset, rounds: u32, seed: [u8; 32]) -> Result<Baseline, Failure> {
    let (spec, device) = (&scenario.spec, ComputeDevice::cpu());
    let plan = TrainPlan::new(&spec.training, seed);
    let mut flat = scenario.initial.clone();
    for round in 1..=u64::from(rounds) {
        flat = train(&spec.model, flat, data, &plan, round, &device)?;
    }
    Ok(evaluate(&spec.model, &flat, &scenario.test, &device)?.into())
}

/// Every hospital by itself, in order.
pub fn best_alone(scenario: &Scenario, rounds: u32, seeds: &Seeds) -> Result<Vec<Baseline>, Failure> {
    let one = |(i, holder): (usize, &Holder)| alone(scenario, &holder.data, rounds, seeds.derive("alone", i as u64));
    scenario.hospitals.iter().enumerate().map(one).collect()
}

/// All rows in one place: what the federation is measured against. As many steps as all hospitals took together.
pub fn pooled_baseline(scenario: &Scenario, rounds: u32, seeds: &Seeds) -> Result<Baseline, Failure> {
    let rounds = rounds.saturating_mul(scenario.hospitals.len() as u32);
    alone(scenario, &scenario.pooled, rounds, seeds.derive("pooled", 0))
}
