//! The one loop that waits. A notice, or a while without one, wakes it; it reads the chain and does what is due.

mod collect;
mod due;
mod duties;
mod join;
mod restored;
mod round;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use almoner_chain::{Ledger, RoundStatus, SigningKey};
use almoner_identity::StateKey;
use almoner_journal::Journal;
use almoner_model::{ComputeDevice, Dataset};
use almoner_proto::wire::sites_client::SitesClient;
use almoner_proto::{Admittance, ErrorKind, Kinded, Outage, RoundNotice, WatchRequest, sites_client, wire};
use almoner_protocol::{MAX_PARAMETERS, Stage, U256};
use almoner_store::Store;
use almoner_tls::Client as Tls;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::fetch::Sources;
use crate::memory::check_sealed;
use crate::{Claim, Entropy, Identity, Memory, SiteConfig, SiteError};

use collect::Asked;
pub use due::Duty;
use round::Work;

/// A notice may be missed, so the chain is looked at this often without one.
const POLL: Duration = Duration::from_secs(2);
/// How long a coordinator may take to say that it will send notices.
const SUBSCRIBING: Duration = Duration::from_secs(10);
/// After a failure that says nothing of when to come back.
const BACK_OFF: Duration = Duration::from_secs(1);

/// What a site is given to work with.
#[derive(Debug)]
pub struct SiteParts {
    /// To the coordinator.
    pub channel: Channel,
    /// What the channel is made by: it knows why a line was refused.
    pub tls: Tls,
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub journal: Journal,
    pub key: SigningKey,
    /// What the journal's secrets are sealed with; None where the key is a plain file.
    pub seal: Option<StateKey>,
    pub entropy: Arc<dyn Entropy>,
    /// Rows to train on; needed where the configuration has a participant.
    pub training: Option<Dataset>,
    /// Rows to judge by; needed where the configuration has a validator.
    pub evaluation: Option<Dataset>,
    pub progress: broadcast::Sender<SiteProgress>,
}

/// What a screen or a test may follow: facts, never a weight or a loss.
#[derive(Clone, Debug)]
pub enum SiteProgress {
    /// Consent to join was accepted; 0 member, 1 validator.
    Joined {
        role: u8,
    },
    Ready {
        round: u64,
    },
    /// The base model and the terms of a round hold.
    Verified {
        round: u64,
    },
    Trained {
        round: u64,
        clipped: bool,
        seconds: f64,
    },
    Done {
        round: u64,
        duty: Duty,
    },
    /// The site will not do this, and why. No duty: it refuses the whole round; round 0: it does not join.
    Refused {
        round: u64,
        duty: Option<Duty>,
        error: Arc<SiteError>,
    },
    /// What the site may claim after a final round.
    Earned {
        round: u64,
        claim: Claim,
    },
    /// The site's claim is paid, and its balance grew by `paid` when it was; nothing if it was paid before it asked.
    Paid {
        claim: Claim,
        paid: U256,
    },
    /// It asked and was not paid, and does not ask again before the next round is over.
    NotPaid {
        error: Arc<SiteError>,
    },
    /// The coordinator, which took our certificate before, takes it no more.
    ShutOut {
        error: Arc<SiteError>,
    },
    /// It takes it again.
    LetIn,
}

/// The loop's state. What must survive it is in [`Memory`].
struct Site {
    config: SiteConfig,
    client: SitesClient<Channel>,
    tls: Tls,
    /// Whether the coordinator takes our certificate.
    admittance: Admittance,
    from: Sources,
    entropy: Arc<dyn Entropy>,
    device: ComputeDevice,
    /// Notices are subscribed to: the end of their stream tells that the coordinator may forget what it is told now.
    may_ask: bool,
    training: Option<Arc<Dataset>>,
    evaluation: Option<Arc<Dataset>>,
    progress: broadcast::Sender<SiteProgress>,
    /// Roles for which consent was sent, or refused for good.
    asked: BTreeSet<u8>,
    /// Why it does not join. Nothing that it could do by itself would change that.
    outside: Option<Arc<SiteError>>,
    /// The last round for which we offered to serve.
    offered: u64,
    /// The last round that was finished with.
    closed: u64,
    /// The last round after which the site was paid, or refused what it was told.
    collected: u64,
    /// A claim that was sent and not yet seen paid.
    asked_pay: Option<Asked>,
    /// Up to when the journal may have forgotten what this site said; `None` until it was looked up.
    forgotten: Option<u64>,
    /// How often the chain had taken something back when it was last looked at.
    reorganised: u64,
    work: Option<Work>,
    /// Tries in a row to do what is due, and to hear of news, that found nobody.
    away: Outage,
    deaf: Outage,
}

/// Serves the site until `shutdown`. It returns an error only for what the operator has to mend.
pub async fn run(config: SiteConfig, parts: SiteParts, shutdown: CancellationToken) -> Result<(), SiteError> {
    let (journal, seal) = (parts.journal.clone(), parts.seal.clone());
    let checked = tokio::task::spawn_blocking(move || check_sealed(&journal, seal.as_ref())).await;
    checked.map_err(|_| SiteError::Stopped)??;
    let mut site = Site::new(config, parts)?;
    shutdown.run_until_cancelled(site.live()).await.unwrap_or(Ok(()))
}

impl Site {
    fn new(config: SiteConfig, parts: SiteParts) -> Result<Self, SiteError> {
        config.check()?;
        if config.participant.is_some() != parts.training.is_some() {
            return Err(SiteError::Config("[participant] and rows to train on come together".into()));
        }
        if config.validator.is_some() != parts.evaluation.is_some() {
            return Err(SiteError::Config("[validator] and rows to judge by come together".into()));
        }
        let identity = Identity::new(parts.key, parts.ledger.deployment(), config.federation);
        let memory = Memory::sealed(parts.journal, identity.federation(), parts.seal);
        Ok(Self {
            client: sites_client(parts.channel, MAX_PARAMETERS),
            tls: parts.tls,
            admittance: Admittance::default(),
            device: ComputeDevice::open(config.device)?,
            config,
            from: Sources { ledger: parts.ledger, store: parts.store, memory, identity },
            entropy: parts.entropy,
            may_ask: false,
            training: parts.training.map(Arc::new),
            evaluation: parts.evaluation.map(Arc::new),
            progress: parts.progress,
            asked: BTreeSet::new(),
            outside: None,
            offered: 0,
            closed: 0,
            collected: 0,
            asked_pay: None,
            forgotten: None,
            reorganised: 0,
            work: None,
            away: Outage::default(),
            deaf: Outage::default(),
        })
    }

    /// Goes on until there is something that only its operator can mend.
    async fn live(&mut self) -> Result<(), SiteError> {
        let mut notice = RoundNotice::default();
        let mut stream = None;
        let mut refused = false;
        // Up to which block there is news, if somebody said so; without a word everything is asked for.
        let mut news = None;
        loop {
            self.may_ask = stream.is_some() || refused;
            let wait = self.turns(&notice, news.take()).await;
            if let Some(error) = self.outside.take() {
                return Err(SiteError::NotJoined(error));
            }
            let wait = if stream.is_some() { wait } else { SUBSCRIBING };
            let woken = tokio::time::timeout(wait, self.wake(&mut stream)).await;
            match woken {
                Ok(Ok(Some(latest))) => {
                    back(&mut self.deaf, "notices");
                    news = Some(latest.block).filter(|block| *block > 0);
                    notice = latest;
                }
                Ok(Err(error)) => {
                    stream = None;
                    let error = error.explained(&self.tls);
                    // Whoever refuses notices refuses the seat as well; that is told the operator.
                    refused =
                        !matches!(error.kind(), ErrorKind::NotNow(_) | ErrorKind::Internal) && !error.is_shut_out();
                    // It may have restarted and forgotten what it had not written down.
                    (self.offered, self.asked) = Default::default();
                    let wait = match error.is_shut_out() {
                        true => self.shut_out(error)?,
                        false => pause(&mut self.deaf, self.entropy.as_ref(), &error),
                    };
                    tokio::time::sleep(wait).await;
                }
                Ok(Ok(None)) => self.let_in(),
                Err(_) => {}
            }
        }
    }

    /// At the start a mistake, which ends it; later something that its operator has to hear of, while it waits. How long
    /// until the next try.
    fn shut_out(&mut self, error: SiteError) -> Result<Duration, SiteError> {
        let draw = drawn(self.entropy.as_ref(), "certificate");
        let Some(pause) = self.admittance.shut_out(Instant::now(), draw) else { return Err(error) };
        if let Some(since) = pause.say {
            tracing::warn!(seconds = since.as_secs(), %error, "the coordinator refuses our certificate: waiting");
            self.tell(SiteProgress::ShutOut { error: Arc::new(error) });
        }
        Ok(pause.wait)
    }

    fn let_in(&mut self) {
        if let Some(lasted) = self.admittance.let_in(Instant::now()) {
            tracing::info!(seconds = lasted.as_secs(), "the coordinator takes our certificate again: going on");
            self.tell(SiteProgress::LetIn);
        }
    }

    /// Waits for the next notice; or subscribes to notices, where that has to be done first, and has none yet.
    async fn wake(
        &mut self,
        stream: &mut Option<Streaming<wire::RoundNotice>>,
    ) -> Result<Option<RoundNotice>, SiteError> {
        let Some(open) = stream else {
            let request = WatchRequest { federation: self.config.federation };
            *stream = Some(self.client.watch(wire::WatchRequest::from(request)).await?.into_inner());
            return Ok(None);
        };
        let ended = || tonic::Status::unavailable("the coordinator closed the stream");
        let notice = open.next().await.unwrap_or_else(|| Err(ended()))?;
        Ok(Some(notice.try_into()?))
    }

    /// Does all that is due; returns how long to wait for a notice.
    async fn turns(&mut self, notice: &RoundNotice, news: Option<u64>) -> Duration {
        let mut done = self.turn(notice, news).await;
        // The chain is ahead of the notice: at most by every stage there is.
        for _ in Stage::ALL {
            if !matches!(done, Err(SiteError::Moved { .. })) {
                break;
            }
            done = self.turn(notice, None).await;
        }
        match done {
            Ok(()) => {
                back(&mut self.away, "duties");
                POLL
            }
            // What is refused is told where notices are asked for.
            Err(error) if self.admittance.is_shut_out() && error.away() == Some("coordinator") => BACK_OFF,
            Err(error) => pause(&mut self.away, self.entropy.as_ref(), &error),
        }
    }

    async fn turn(&mut self, notice: &RoundNotice, news: Option<u64>) -> Result<(), SiteError> {
        let number = self.config.federation;
        // A coordinator that names an old block delays this site until it looks by itself, as one that is silent does.
        let ledger = self.from.ledger.until(news);
        let Some(federation) = ledger.federation(number).await? else { return Ok(()) };
        if self.may_ask {
            self.join(&federation).await?;
        }
        let rounds = ledger.rounds(number).await?;
        self.look_again(&ledger);
        self.forgotten_until(&federation, &rounds).await?;
        if self.may_ask {
            self.offer(notice, &federation, &rounds).await?;
        }
        let Some(round) = rounds.last() else { return Ok(()) };
        match round.status {
            RoundStatus::Running | RoundStatus::Proposed => self.take_part(&federation, &rounds, round).await,
            RoundStatus::Final | RoundStatus::Void | RoundStatus::Expired => {
                self.close(&rounds, round).await?;
                self.collect(notice, &rounds, round).await
            }
        }
    }

    /// What was found out on a chain that took something back is found out again. What was said stays said: the journal
    /// sees to it that nothing else is said in its place.
    fn look_again(&mut self, ledger: &Ledger) {
        let Some(reorganised) = ledger.reorganised(self.reorganised) else { return };
        tracing::error!(%reorganised, "deeper than what is waited for");
        self.reorganised = reorganised.count;
        self.work = None;
        (self.offered, self.closed, self.collected) = (0, 0, 0);
    }

    fn tell(&self, progress: SiteProgress) {
        // Nobody has to listen.
        let _ = self.progress.send(progress);
    }
}

/// How long to wait after an error, and what the log hears of it.
fn pause(outage: &mut Outage, entropy: &dyn Entropy, error: &SiteError) -> Duration {
    let Some(peer) = error.away() else {
        // Whoever says no is there.
        back(outage, "duties");
        match error.kind() {
            ErrorKind::NotNow(_) => tracing::debug!(%error, "not yet"),
            _ => tracing::warn!(%error, "the site cannot go on"),
        }
        return error.kind().retry_after().unwrap_or(BACK_OFF);
    };
    let pause = outage.failed(Instant::now(), drawn(entropy, peer));
    match pause.say {
        Some(since) => tracing::warn!(waiting_for = peer, seconds = since.as_secs(), %error, "no answer: waiting"),
        None => tracing::debug!(waiting_for = peer, %error, "no answer"),
    }
    pause.wait
}

/// Chance for a pause. Without randomness it is the shortest; nothing secret depends on it.
fn drawn(entropy: &dyn Entropy, peer: &str) -> u64 {
    entropy.draw("pause", peer.as_bytes()).map_or(0, |bytes| {
        let (first, _) = bytes.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_be_bytes(*first)
    })
}

/// What failed goes on.
fn back(outage: &mut Outage, what: &'static str) {
    if let Some(lasted) = outage.over(Instant::now()) {
        tracing::info!(what, seconds = lasted.as_secs(), "answered again: going on");
    }
}
