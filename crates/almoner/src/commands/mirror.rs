//! `[kubo]` in a coordinator's file: a Kubo daemon is given everything that rounds name, so that it can be had by CID from
//! somebody else too. The coordinator's own store remains the one that counts: the daemon may be away, slow or full, and no
//! round waits for it.
//!
//! What it should have follows from the chain and the lists in the store; what it has, it says when it is asked. So nothing
//! is written down here, and a daemon that is new, or lost its pins, is given everything at the next start. What
//! `[retention]` forgets is unpinned; the daemon's garbage collection is its operator's business.

mod orders;
mod outlook;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use almoner_chain::{Ledger, LedgerError};
use almoner_coordinator::Progress;
use almoner_identity::read_secret;
use almoner_proto::Outage;
use almoner_protocol::Address;
use almoner_store::{BlockSource, BoundedStore, KuboStore, StoreError, Url};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::metrics;
use super::retention::Retention;
use crate::failure::{Blame, Failure, Kind};
use orders::Order;
use outlook::Outlook;

/// The section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubo {
    /// Of the daemon's RPC. Elsewhere than on this machine by `https`, and with a token.
    url: Url,
    /// Holds the secret of its `API.Authorizations`, for its owner only.
    pub(super) token_file: Option<PathBuf>,
}

impl Kubo {
    /// Asks nothing yet: a daemon may come and go.
    pub(super) fn open(&self) -> Result<KuboStore, Failure> {
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return Err(Failure::you("[kubo] url: no name and no password in it; a secret belongs into token_file"));
        }
        let token = self.token_file.as_deref().map(token).transpose()?;
        KuboStore::new(self.url.clone(), token).blame(Kind::You, "[kubo] url, token_file")
    }
}

fn token(file: &Path) -> Result<String, Failure> {
    let named = format!("[kubo] token_file = {file:?}");
    let text = read_secret(file).blame(Kind::You, named.clone())?;
    match text.trim() {
        "" => Err(Failure::you(format!("{named}: it is empty"))),
        token => Ok(token.to_owned()),
    }
}

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Chain(#[from] LedgerError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Trouble {
    /// Whoever is waited for.
    fn whom(&self) -> &'static str {
        match self {
            Self::Chain(_) => "chain",
            Self::Store(StoreError::Unreachable { .. } | StoreError::BadAnswer { .. }) => "kubo",
            Self::Store(_) => "store",
        }
    }
}

/// The copying, beside the rounds.
pub(super) struct Mirror {
    hands: Hands,
    outlook: Outlook,
    away: Outage,
}

/// What carries an order out.
struct Hands {
    kubo: KuboStore,
    store: Arc<BoundedStore>,
}

impl Mirror {
    /// Of the federations of this coordinator's account.
    pub(super) fn new(
        kubo: KuboStore,
        store: Arc<BoundedStore>,
        ledger: Ledger,
        account: Address,
        retention: Retention,
    ) -> Self {
        let outlook = Outlook::new(ledger, store.clone(), account, retention);
        Self { hands: Hands { kubo, store }, outlook, away: Outage::default() }
    }

    /// Gives the daemon what it lacks, now and whenever a round goes on, until the coordinator tells nothing more.
    pub(super) async fn follow(mut self, mut told: Receiver<Progress>) {
        while self.step(&mut told).await.is_some() {}
    }

    /// One order, or a wait.
    async fn step(&mut self, told: &mut Receiver<Progress>) -> Option<()> {
        let tried = match self.outlook.look().await {
            Err(trouble) => Err(trouble),
            Ok(()) => match self.outlook.orders.first() {
                None => {
                    self.is_level();
                    news(told).await?;
                    self.outlook.fresh = false;
                    return Some(());
                }
                Some(order) => {
                    let tried = meanwhile(&mut self.outlook, told, self.hands.carry_out(order)).await?;
                    self.outlook.orders.was_tried(order, tried).map_err(Trouble::from)
                }
            },
        };
        metrics::kubo_behind(self.outlook.orders.len());
        let Err(trouble) = tried else { return Some(()) };
        let wait = self.patience(&trouble);
        meanwhile(&mut self.outlook, told, tokio::time::sleep(wait)).await
    }

    /// The daemon has all it should have. Only that is the end of an outage: one that takes this and refuses that is
    /// spoken of as one that takes nothing.
    fn is_level(&mut self) {
        metrics::kubo_behind(0);
        if let Some(gone) = self.away.over(Instant::now()) {
            tracing::info!(seconds = gone.as_secs(), "answered again: the Kubo daemon has everything");
        }
    }

    fn patience(&mut self, trouble: &Trouble) -> Duration {
        let pause = self.away.failed(Instant::now(), getrandom::u64().unwrap_or_default());
        if let Some(since) = pause.say {
            let behind = self.outlook.orders.len();
            let (waiting_for, seconds) = (trouble.whom(), since.as_secs());
            tracing::warn!(waiting_for, seconds, behind, error = %trouble, "no answer: waiting");
        }
        pause.wait
    }
}

impl Hands {
    async fn carry_out(&self, order: Order) -> Result<(), StoreError> {
        match order {
            Order::Unpin(cid) => self.kubo.unpin(&cid).await.map(drop),
            Order::Pin(cid) => {
                if self.kubo.is_pinned(&cid).await? {
                    return Ok(());
                }
                let source: Arc<dyn BlockSource> = self.store.clone();
                self.kubo.import(source, &cid).await
            }
        }
    }
}

/// Waits for `work`, and goes on looking what is new; nothing once the coordinator tells nothing more.
async fn meanwhile<T>(
    outlook: &mut Outlook,
    told: &mut Receiver<Progress>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            heard = news(told) => {
                heard?;
                outlook.fresh = false;
                // What cannot be read now is read before the next order.
                let _ = outlook.look().await;
                metrics::kubo_behind(outlook.orders.len());
            }
        }
    }
}

/// Waits until rounds may name something new.
async fn news(told: &mut Receiver<Progress>) -> Option<()> {
    loop {
        match told.recv().await {
            Ok(Progress::Sent { .. } | Progress::Idle) => {}
            Ok(
                Progress::RoundOpened { .. } | Progress::State { .. } | Progress::Settled(_) | Progress::Ended { .. },
            )
            | Err(RecvError::Lagged(_)) => return Some(()),
            Err(RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests;
