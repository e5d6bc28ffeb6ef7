//! The waiting: lease, perform, post, again.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use almoner_proto::{
    Admittance, Job, Kinded, LeaseRequest, Outage, WireError, aggregators_client, is_from_peer, kind_of,
    result_messages, timely, wire,
};
use almoner_store::Store;
use almoner_tls::Client as Tls;
use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use wire::aggregators_client::AggregatorsClient;

use crate::{AggregatorConfig, AggregatorError, perform};

/// Between two leases that brought no work, should the coordinator not make us wait itself.
const IDLE: Duration = Duration::from_millis(50);
/// After a failure that says nothing of when to come back.
const BACK_OFF: Duration = Duration::from_secs(1);

/// What a worker is given.
#[derive(Clone, Debug)]
pub struct Parts {
    /// To the coordinator.
    pub channel: Channel,
    /// What the channel is made by: it knows why a line was refused.
    pub tls: Tls,
    /// Where uploads are read by CID.
    pub store: Arc<dyn Store>,
    pub progress: broadcast::Sender<AggregatorProgress>,
}

/// What a screen or a test may follow: facts, never what is in a job.
#[derive(Clone, Debug)]
pub enum AggregatorProgress {
    /// The coordinator, which gave us work before, gives us none any more.
    ShutOut { error: Arc<AggregatorError> },
    /// It answered us for the first time, or does so again.
    LetIn,
    /// A job that was computed and is posted next: some blocks of all uploads of a round, 0 where it is not said.
    Computed { round: u64, first_block: u32, blocks: u32, uploads: usize, took: Duration },
}

/// Works until `shutdown`. A job in hand is dropped then: its lease lapses and another worker takes it. It returns an
/// error only for what the operator has to mend.
pub async fn run(config: AggregatorConfig, parts: Parts, shutdown: CancellationToken) -> Result<(), AggregatorError> {
    config.check()?;
    let mut lanes = JoinSet::new();
    let door = Arc::new(Door {
        tls: parts.tls.clone(),
        shown: config.tls.certificate.as_ref().map_or_else(|| "[tls]".into(), |file| file.display().to_string()),
        admittance: Mutex::default(),
        progress: parts.progress.clone(),
    });
    for lane in 0..config.lanes {
        let working = work(config.name.clone(), lane, parts.clone(), door.clone());
        lanes.spawn(shutdown.clone().run_until_cancelled_owned(working));
    }
    while let Some(ended) = lanes.join_next().await {
        if let Some(Err(error)) = ended.map_err(|_| AggregatorError::Stopped)? {
            return Err(error);
        }
    }
    Ok(())
}

/// Whether the coordinator takes us, as far as any lane has heard.
struct Door {
    tls: Tls,
    /// Where our certificate is.
    shown: String,
    admittance: Mutex<Admittance>,
    progress: broadcast::Sender<AggregatorProgress>,
}

impl Door {
    /// At the start a mistake, which ends us; later something that the operator has to hear of, while we wait. How long
    /// until the next try.
    fn shut_out(&self, error: AggregatorError) -> Result<Duration, AggregatorError> {
        let draw = getrandom::u64().unwrap_or_default();
        let pause = self.admittance.lock().unwrap_or_else(PoisonError::into_inner).shut_out(Instant::now(), draw);
        let Some(pause) = pause else { return Err(error) };
        if let Some(since) = pause.say {
            tracing::warn!(seconds = since.as_secs(), %error, "the coordinator refuses us: waiting");
            self.tell(AggregatorProgress::ShutOut { error: Arc::new(error) });
        }
        Ok(pause.wait)
    }

    fn is_shut(&self) -> bool {
        self.admittance.lock().unwrap_or_else(PoisonError::into_inner).is_shut_out()
    }

    fn let_in(&self) {
        let (known, lasted) = {
            let mut admittance = self.admittance.lock().unwrap_or_else(PoisonError::into_inner);
            (admittance.is_known(), admittance.let_in(Instant::now()))
        };
        if let Some(lasted) = lasted {
            tracing::info!(seconds = lasted.as_secs(), "the coordinator takes us again: going on");
        }
        if !known || lasted.is_some() {
            self.tell(AggregatorProgress::LetIn);
        }
    }

    fn tell(&self, progress: AggregatorProgress) {
        // Nobody has to listen.
        let _ = self.progress.send(progress);
    }
}

async fn work(worker: String, lane: usize, parts: Parts, door: Arc<Door>) -> Result<Infallible, AggregatorError> {
    let mut client = aggregators_client(parts.channel);
    let mut away = Outage::default();
    loop {
        let done = turn(&mut client, &worker, parts.store.as_ref(), &door).await;
        let wait = match done.map_err(|error| error.explained(&door.tls, &door.shown)) {
            Err(error) if error.is_shut_out() => door.shut_out(error)?,
            Ok(_) if let Some(lasted) = away.over(Instant::now()) => {
                tracing::info!(lane, seconds = lasted.as_secs(), "the coordinator answers again: going on");
                continue;
            }
            Ok(true) => continue,
            Ok(false) => IDLE,
            // One lane has told what all of them find.
            Err(AggregatorError::Wire(WireError::Status(status))) if !is_from_peer(&status) && door.is_shut() => {
                BACK_OFF
            }
            Err(AggregatorError::Wire(WireError::Status(status))) if !is_from_peer(&status) => {
                // Chance spreads the workers that lost one coordinator; without any they come back together.
                let pause = away.failed(Instant::now(), getrandom::u64().unwrap_or_default());
                if let Some(since) = pause.say {
                    let (seconds, error) = (since.as_secs(), status.message());
                    tracing::warn!(lane, waiting_for = "coordinator", seconds, error, "no answer: waiting");
                }
                pause.wait
            }
            Err(error) => {
                // The lease lapses and the job is given out again; what went wrong is for the operator to see.
                tracing::warn!(lane, %error, "job failed");
                error.kind().retry_after().unwrap_or(BACK_OFF)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// One lease; whether there was work.
async fn turn(
    client: &mut AggregatorsClient<Channel>,
    worker: &str,
    store: &dyn Store,
    door: &Door,
) -> Result<bool, AggregatorError> {
    let request = LeaseRequest { worker: worker.to_owned() };
    let reply = client.lease(timely::<wire::LeaseRequest>(request)).await?.into_inner();
    door.let_in();
    let Some(job) = Job::from_wire(reply)? else { return Ok(false) };
    almoner_failpoint::reached(|| "leased".to_owned());
    let started = Instant::now();
    let result = perform(&job, store).await?;
    almoner_failpoint::reached(|| "done".to_owned());
    let (round, first_block, blocks, uploads) = (job.round, job.first_block, job.blocks, job.uploads.len());
    let took = started.elapsed();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(lease = job.lease, round, first_block, blocks, uploads, millis, "job done");
    door.tell(AggregatorProgress::Computed { round, first_block, blocks, uploads, took });
    post(client, job.lease, result).await?;
    Ok(true)
}

async fn post(client: &mut AggregatorsClient<Channel>, lease: u64, result: Bytes) -> Result<(), AggregatorError> {
    match client.post(tokio_stream::iter(result_messages(lease, result))).await {
        Ok(_) => Ok(()),
        // The lease lapsed and another worker was faster: the same result, so nothing is lost.
        Err(status) if kind_of(&status) == almoner_proto::ErrorKind::Conflict => Ok(()),
        Err(status) => Err(status.into()),
    }
}
