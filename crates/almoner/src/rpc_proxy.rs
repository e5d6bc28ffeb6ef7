//! `/rpc` of a coordinator on a node: sites and auditors read the chain through it. Read only, because the node may
//! hold keys or know its operator; and bounded: each call in its length, all of them in how many the node is asked at
//! once, how long one waits for that, and how much those that wait take in memory. Whoever finds no room is told to ask
//! again, which a reader of the chain does by itself.
//!
//! Not protected: callers of `/rpc` from each other, who have no names here. A site that must not wait for others names
//! a node of its own.

use std::sync::Arc;
use std::time::Duration;

use almoner_store::Url;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::failure::Failure;

const MAX_CALL_BYTES: usize = 1 << 20;
/// Of the node, after which it is taken to be down.
const SILENCE: Duration = Duration::from_secs(30);
/// For a whole answer, so that whoever reads it slowly does not keep others waiting for ever.
const ANSWER: Duration = Duration::from_secs(60);
const ROOM: Room = Room { calls: 128, patience: Duration::from_secs(10), waiting_kib: 32 << 10 };
/// A call that is passed on, and one that waits, cost this at least.
const LEAST_BYTES: usize = 1 << 10;
/// What reads the chain and nothing else.
const METHODS: [&str; 20] = [
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getCode",
    "eth_getLogs",
    "eth_getStorageAt",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_maxPriorityFeePerGas",
    "eth_syncing",
    "net_version",
    "web3_clientVersion",
];

/// How much is taken at once.
#[derive(Clone, Copy)]
struct Room {
    /// That the node is asked.
    calls: usize,
    /// For one of those to be over.
    patience: Duration,
    /// What all that wait take.
    waiting_kib: usize,
}

#[derive(Clone)]
struct Node {
    url: Url,
    client: reqwest::Client,
    calls: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    patience: Duration,
}

impl Node {
    fn new(url: Url, room: Room) -> Result<Self, Failure> {
        let host = url.host_str().unwrap_or_default();
        let client = almoner_tls::Client::default().http(host).read_timeout(SILENCE).timeout(ANSWER).build()?;
        let [calls, waiting] = [room.calls, room.waiting_kib].map(|places| Arc::new(Semaphore::new(places)));
        Ok(Self { url, client, calls, waiting, patience: room.patience })
    }

    /// A place at the node, for a call of this length; none if there is none in time.
    async fn place(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if let Ok(free) = self.calls.clone().try_acquire_owned() {
            return Some(free);
        }
        let kib = u32::try_from(bytes.max(LEAST_BYTES).div_ceil(1 << 10)).ok()?;
        let _waiting = self.waiting.try_acquire_many(kib).ok()?;
        // It is never closed.
        timeout(self.patience, self.calls.clone().acquire_owned()).await.ok()?.ok()
    }
}

/// `POST /rpc`, answered by the node.
pub(crate) fn router(url: Url) -> Result<Router, Failure> {
    Ok(of(Node::new(url, ROOM)?))
}

fn of(node: Node) -> Router {
    Router::new().route("/rpc", post(forward)).layer(DefaultBodyLimit::max(MAX_CALL_BYTES)).with_state(node)
}

async fn forward(State(node): State<Node>, body: Bytes) -> Response {
    if !reads(&body) {
        return (StatusCode::FORBIDDEN, "only calls that read the chain are passed on\n").into_response();
    }
    let Some(place) = node.place(body.len()).await else {
        const FULL: &str = "too many ask the coordinator's node at once: ask again, or name a node of your own (rpc)\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], FULL).into_response();
    };
    let sent = node.client.post(node.url).header(header::CONTENT_TYPE, "application/json").body(body).send().await;
    match sent {
        // Passed on as it comes: nothing of the answer is held here. The place is given back with its last byte.
        Ok(answer) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            let status = answer.status();
            let bytes = answer.bytes_stream().map(move |bytes| {
                let _kept = &place;
                bytes
            });
            (status, json, Body::from_stream(bytes)).into_response()
        }
        // The node's address is its operator's business.
        Err(_) => (StatusCode::BAD_GATEWAY, "the coordinator's node does not answer\n").into_response(),
    }
}

/// Whether a call, or every one of a batch, only reads.
pub(crate) fn reads(body: &[u8]) -> bool {
    let allowed = |call: &Value| call["method"].as_str().is_some_and(|method| METHODS.contains(&method));
    match serde_json::from_slice(body) {
        Ok(Value::Array(calls)) => !calls.is_empty() && calls.iter().all(allowed),
        Ok(call) => allowed(&call),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;

    /// Serves a router on loopback as long as the runtime lives.
    async fn served(router: Router) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/rpc", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url.parse().unwrap()
    }

    /// A node that says when it is asked, and answers when it is told to.
    async fn slow_node() -> (Url, Arc<Semaphore>, Arc<Semaphore>) {
        let (asked, told) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let [asks, waits] = [asked.clone(), told.clone()];
        let answer = move || async move {
            asks.add_permits(1);
            waits.acquire().await.unwrap().forget();
            r#"{"jsonrpc":"2.0","id":1,"result":"0x539"}"#
        };
        (served(Router::new().route("/rpc", post(answer))).await, asked, told)
    }

    #[tokio::test]
    async fn the_node_is_asked_so_much_at_once_and_the_others_are_told_to_come_again() {
        let (node, asked, told) = slow_node().await;
        let room = Room { calls: 2, patience: Duration::from_millis(50), waiting_kib: 1 };
        let url = served(of(Node::new(node, room).unwrap())).await;
        let client = reqwest::Client::new();
        let ask = || client.post(url.clone()).body(CALL).send();
        let first = [tokio::spawn(ask()), tokio::spawn(ask())];
        asked.acquire_many(2).await.unwrap().forget();
        // One waits in vain, and beside it there is no room to wait.
        let (one, another) = tokio::join!(ask(), ask());
        for answer in [one, another] {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.text().await.unwrap().starts_with("too many ask the coordinator's node at once"));
        }
        assert_eq!(asked.available_permits(), 0, "the node has heard of none of them");
        // What a site, an auditor or a command does with such an answer: it waits for the chain.
        let error = almoner_chain::chain_id(&almoner_chain::connect(url.as_str()).unwrap()).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("ask again"), "{error}");
        told.add_permits(3);
        for answer in first {
            assert!(answer.await.unwrap().unwrap().status().is_success());
        }
        assert!(ask().await.unwrap().text().await.unwrap().contains("0x539"), "places are given back");
    }

    #[test]
    fn only_reading_is_passed_on() {
        assert!(reads(br#"{"method":"eth_getLogs","params":[]}"#));
        assert!(reads(br#"[{"method":"eth_chainId"},{"method":"eth_call"}]"#));
        assert!(!reads(br#"[{"method":"eth_chainId"},{"method":"eth_sendTransaction"}]"#));
        assert!(!reads(br#"{"method":"eth_sendRawTransaction"}"#));
        assert!(!reads(br#"[{"method":"eth_chainId"},{"method":"eth\u005fsendTransaction"}]"#));
        assert!(!reads(br#"{"method":"personal_unlockAccount"}"#));
        assert!(!reads(b"[]"));
        assert!(!reads(b"not json"));
    }
}
