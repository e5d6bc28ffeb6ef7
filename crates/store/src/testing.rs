//! What several test modules need.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use crate::{Block, BlockSource, Layout, Place, StoreError, gateway, ids::sha256, store::Store};

/// The content of (seed, size), as `tests/vectors/cid/0/make.mjs` defines it.
pub(crate) fn content(seed: &str, size: usize) -> Bytes {
    if seed == "zero" {
        return vec![0; size].into();
    }
    let mut out = Vec::with_capacity(size + 32);
    let mut i = 0u64;
    while out.len() < size {
        out.extend_from_slice(&sha256(format!("{seed}:{i}").as_bytes()));
        i += 1;
    }
    out.truncate(size);
    out.into()
}

pub(crate) fn layout(chunk: usize, width: usize) -> Layout {
    Layout::custom(chunk, width).expect("a layout of the tests")
}

/// Counts what is asked of another source.
#[derive(Debug)]
pub(crate) struct Counting {
    inner: Arc<dyn BlockSource>,
    pub(crate) fetched: AtomicUsize,
}

impl Counting {
    pub(crate) fn new(inner: Arc<dyn BlockSource>) -> Self {
        Self { inner, fetched: AtomicUsize::new(0) }
    }

    pub(crate) fn take(&self) -> usize {
        self.fetched.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl BlockSource for Counting {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        self.inner.fetch(cid).await
    }

    fn place(&self) -> Place {
        self.inner.place()
    }
}

/// Serves an axum router on loopback for as long as the runtime lives.
pub(crate) async fn serve(router: axum::Router) -> reqwest::Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}").parse().expect("a url")
}

pub(crate) async fn serve_store(store: Arc<dyn Store>) -> reqwest::Url {
    serve(gateway::router(store)).await
}
