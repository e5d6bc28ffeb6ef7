//! The coordinator of a local federation: killed and started again, it goes on from its journal.
//!
//! It has threads of its own, so that it can end as a process does: every task at once, wherever it waits, and every
//! connection with it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use almoner_coordinator::{CoordinatorConfig, Parts};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber;

use crate::failure::{Blame, Failure, Kind};

const THREADS: usize = 2;

/// Runs one coordinator after another at one address. Clones mean the same one.
#[derive(Clone)]
pub struct CoordinatorHost {
    inner: Arc<Inner>,
}

struct Inner {
    config: CoordinatorConfig,
    address: SocketAddr,
    parts: Box<dyn Fn(tokio::net::TcpListener) -> Parts + Send + Sync>,
    shutdown: CancellationToken,
    running: Mutex<Option<Life>>,
}

impl std::fmt::Debug for CoordinatorHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoordinatorHost").field("address", &self.inner.address).finish_non_exhaustive()
    }
}

impl CoordinatorHost {
    /// Starts the first one on a listener that is bound already.
    pub(super) fn start(
        config: CoordinatorConfig,
        listener: tokio::net::TcpListener,
        parts: impl Fn(tokio::net::TcpListener) -> Parts + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> Result<Self, Failure> {
        let address = listener.local_addr()?;
        let inner = Inner { config, address, parts: Box::new(parts), shutdown, running: Mutex::new(None) };
        let first = inner.begin(listener.into_std()?)?;
        let running = Mutex::new(Some(first));
        Ok(Self { inner: Arc::new(Inner { running, ..inner }) })
    }

    /// Drops the coordinator wherever it waits, with all that it holds in memory, and starts another on the same
    /// journal, store and address.
    pub async fn kill_and_restart(&self) -> Result<(), Failure> {
        let mut running = self.inner.running.lock().await;
        if let Some(last) = running.take() {
            last.kill().await;
        }
        let listener = TcpListener::bind(self.inner.address).blame(Kind::You, self.inner.address.to_string())?;
        listener.set_nonblocking(true)?;
        *running = Some(self.inner.begin(listener)?);
        Ok(())
    }

    /// Waits for the last one: until the shutdown, or until it cannot go on.
    pub async fn ended(&self) -> Result<(), Failure> {
        match self.inner.running.lock().await.take() {
            Some(mut last) => (&mut last.ended).await?,
            None => Ok(()),
        }
    }
}

impl Inner {
    fn begin(&self, listener: TcpListener) -> Result<Life, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (config, parts, stop) = (self.config, (self.parts)(listener), self.shutdown.child_token());
        let run = async move { almoner_coordinator::run(config, parts, stop).await.map_err(Failure::from) };
        let ended = runtime.spawn(run.with_current_subscriber());
        Ok(Life { runtime: Some(runtime), ended })
    }
}

/// One coordinator.
struct Life {
    runtime: Option<Runtime>,
    ended: JoinHandle<Result<(), Failure>>,
}

impl Life {
    async fn kill(mut self) {
        self.end();
        // What it would have said is lost with it. Its port is free once its task is gone.
        let _ = (&mut self.ended).await;
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Life {
    // A runtime dropped in the ordinary way would block the thread that drops it.
    fn drop(&mut self) {
        self.end();
    }
}
