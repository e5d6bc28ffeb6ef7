//! A Kubo daemon as a store, through six calls of its RPC.
//!
//! The DAG is built here and sent as a CAR to `dag/import`, so the CID depends neither on the
//! daemon's version nor on its import settings. Blocks come back through `block/get` and are
//! verified like anybody's. The daemon's garbage collection is its operator's business.
//!
//! **Durable when `put` returns:** what the daemon confirmed by naming our root as pinned
//! without an error. How it writes to its disk is its own setting.
//!
//! The RPC has no authentication by default: this client talks to loopback, or by `https` to a URL
//! that was given together with a bearer token. It follows no redirects and its messages never name
//! the URL's user, password or the token.

mod answers;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fake;
mod file;
mod rpc;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::StreamExt;
use reqwest::Url;

use crate::{
    Block, BlockSource, MAX_BLOCK, MemoryStore, Store, StoreError,
    blocking::blocking,
    car::{self, Dups},
    error::Place,
    ids,
};
use file::FileDag;
use rpc::Rpc;

/// Answers are small: JSON objects that name one root.
const SMALL: usize = 64 << 10;

/// A Kubo daemon.
#[derive(Debug)]
pub struct KuboStore {
    rpc: Rpc,
}

impl KuboStore {
    /// The RPC's base URL (`http://127.0.0.1:5001`; `/api/v0/…` is appended) and the secret of
    /// its `API.Authorizations`, needed unless the URL is on loopback.
    pub fn new(url: Url, token: Option<String>) -> Result<Self, StoreError> {
        Ok(Self { rpc: Rpc::new(url, token)? })
    }

    /// Sets the time one call may take, 5 minutes unless set: a daemon may wait for ever for a
    /// block it cannot find. An import may take so long without moving.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.rpc.set_timeout(timeout);
        self
    }

    /// The daemon's version, as a sign of life.
    pub async fn version(&self) -> Result<String, StoreError> {
        let body = self.rpc.call("version", &[], SMALL).await?;
        answers::version(&body).map_err(|detail| self.rpc.bad_answer("version", detail))
    }

    /// Sends the file under `root`, whose blocks `source` has, and pins it; a block is in memory
    /// at a time. What the source could not give is said as the source says it.
    pub async fn import(&self, source: Arc<dyn BlockSource>, root: &Cid) -> Result<(), StoreError> {
        let fault: Arc<Mutex<Option<StoreError>>> = Arc::default();
        let noted = Arc::clone(&fault);
        let archive = car::send(source, root, Dups::No)?.map(move |piece| {
            piece.map_err(|error| {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                StoreError::Stopped
            })
        });
        let args = [("pin-roots", "true"), ("stats", "false")];
        let answer = self.rpc.upload("dag/import", &args, archive, SMALL).await;
        // The transfer breaks in mid-stream then; say why rather than that it did.
        if let Some(error) = fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        answers::imported(&answer?, root).map_err(|detail| self.rpc.bad_answer("dag/import", detail))
    }

    /// Pins a file the daemon already has.
    pub async fn pin(&self, root: &Cid) -> Result<(), StoreError> {
        let cid = text(root)?;
        let body = self.rpc.call("pin/add", &[("arg", &cid), ("recursive", "true")], SMALL).await?;
        answers::pinned(&body, root).map_err(|detail| self.rpc.bad_answer("pin/add", detail))
    }

    /// Lets the daemon's garbage collection have the file; false if it was not pinned.
    pub async fn unpin(&self, root: &Cid) -> Result<bool, StoreError> {
        let cid = text(root)?;
        let args = [("arg", cid.as_str()), ("recursive", "true")];
        match self.rpc.call("pin/rm", &args, SMALL).await {
            Ok(body) => {
                answers::pinned(&body, root).map(|()| true).map_err(|detail| self.rpc.bad_answer("pin/rm", detail))
            }
            Err(error) if rpc::says(&error, "not pinned") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the file is pinned as a whole.
    pub async fn is_pinned(&self, root: &Cid) -> Result<bool, StoreError> {
        let cid = text(root)?;
        match self.rpc.call("pin/ls", &[("arg", &cid), ("type", "recursive")], SMALL).await {
            Ok(body) => {
                answers::listed(&body, root).map(|()| true).map_err(|detail| self.rpc.bad_answer("pin/ls", detail))
            }
            Err(error) if rpc::says(&error, "not pinned") => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The text form, of accepted CIDs only.
fn text(cid: &Cid) -> Result<String, StoreError> {
    ids::digest(cid)?;
    Ok(cid.to_string())
}

#[async_trait]
impl BlockSource for KuboStore {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let arg = text(cid)?;
        let limit = self.rpc.timeout_arg();
        let args = [("arg", arg.as_str()), ("timeout", limit.as_str())];
        match self.rpc.call("block/get", &args, MAX_BLOCK).await {
            // The daemon has no status for it: it answers 500 with one of these texts.
            Err(error)
                if rpc::says(&error, "not found")
                    || rpc::says(&error, "could not find")
                    || rpc::says(&error, "deadline exceeded") =>
            {
                Err(StoreError::Missing { cid: (*cid).into(), place: self.place() })
            }
            answer => answer.map(Block::from),
        }
    }

    fn place(&self) -> Place {
        self.rpc.place()
    }
}

#[async_trait]
impl Store for KuboStore {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        let dag = MemoryStore::new();
        let root = dag.put_now(&bytes)?;
        self.import(Arc::new(dag), &root).await?;
        Ok(root)
    }

    /// Reads the file twice: once for the CIDs, once to send it.
    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        let path = path.to_owned();
        let (dag, root) = blocking(move || FileDag::index(path)).await?;
        self.import(Arc::new(dag), &root).await?;
        Ok(root)
    }
}

#[cfg(test)]
mod tests;
