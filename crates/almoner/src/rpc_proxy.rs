//! `/rpc` of a coordinator on a node: sites and auditors read the chain through it. Read only, because the node may
//! hold keys or know its operator; and bounded: each call in its length, all of them in what they take in memory from their
//! first byte on, in how many the node is asked at once, and in how long any of it lasts, whether or not the caller reads.
//! Whoever finds no room is told to ask again, which a reader of the chain does by itself.
//!
//! Not protected: callers of `/rpc` from each other, who have no names here. A site that must not wait for others names
//! a node of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use almoner_store::Url;
use almoner_tls::Caller;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::failure::Failure;

const MAX_CALL_BYTES: usize = 1 << 20;
/// Of the node, after which it is taken to be down.
const SILENCE: Duration = Duration::from_secs(30);
const ROOM: Room =
    Room { calls: 128, patience: Duration::from_secs(10), answer: Duration::from_secs(60), memory_kib: 32 << 10 };
/// A call costs this at least.
const LEAST_BYTES: usize = 1 << 10;
/// Of an answer, on their way.
const PIECES: usize = 4;
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
    /// For a call to arrive, and then for a place at the node.
    patience: Duration,
    /// For a whole answer: whoever reads it more slowly does not keep others waiting.
    answer: Duration,
    /// What all calls take that arrive, or wait.
    memory_kib: usize,
}

#[derive(Clone)]
struct Node {
    url: Url,
    client: reqwest::Client,
    calls: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    room: Room,
}

impl Node {
    fn new(url: Url, room: Room) -> Result<Self, Failure> {
        let host = url.host_str().unwrap_or_default();
        let client = almoner_tls::Client::default().http(host).read_timeout(SILENCE).timeout(room.answer).build()?;
        let [calls, memory] = [room.calls, room.memory_kib].map(|places| Arc::new(Semaphore::new(places)));
        Ok(Self { url, client, calls, memory, room })
    }

    /// Memory for a call of this length.
    fn memory(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.max(LEAST_BYTES).div_ceil(1 << 10)).ok()?;
        self.memory.clone().try_acquire_many_owned(kib).ok()
    }

    /// A place at the node; none if there is none in time.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        timeout(self.room.patience, self.calls.clone().acquire_owned()).await.ok()?.ok()
    }
}

/// `POST /rpc`, answered by the node.
pub(crate) fn router(url: Url) -> Result<Router, Failure> {
    Ok(of(Node::new(url, ROOM)?))
}

fn of(node: Node) -> Router {
    Router::new().route("/rpc", post(forward)).with_state(node)
}

async fn forward(
    State(node): State<Node>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    const FULL: &str = "too many ask the coordinator's node at once: ask again, or name a node of your own (rpc)\n";
    let full = || (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], FULL).into_response();
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let most = said.unwrap_or(MAX_CALL_BYTES);
    if most > MAX_CALL_BYTES {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let Some(_memory) = node.memory(most) else { return full() };
    let body = match timeout(node.room.patience, to_bytes(body, most)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    if !reads(&body) {
        return (StatusCode::FORBIDDEN, "only calls that read the chain are passed on\n").into_response();
    }
    let Some(place) = node.place().await else { return full() };
    let sent = node.client.post(node.url).header(header::CONTENT_TYPE, "application/json").body(body).send().await;
    match sent {
        Ok(answer) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            let caller = caller.map(|Extension(caller)| caller).unwrap_or_default();
            (answer.status(), json, passed_on(answer, place, node.room.answer, caller)).into_response()
        }
        // The node's address is its operator's business.
        Err(_) => (StatusCode::BAD_GATEWAY, "the coordinator's node does not answer\n").into_response(),
    }
}

/// An answer as it comes, a few pieces of it held here. The place is given back with its last byte or when its time is over,
/// also if nobody reads: then the rest is an error, so that nobody takes a part for the whole, and the caller is hung up on,
/// for whom HTTP would keep what it has taken of it.
fn passed_on(answer: reqwest::Response, place: OwnedSemaphorePermit, within: Duration, caller: Caller) -> Body {
    let (give, take) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let _place = place;
        let mut pieces = answer.bytes_stream();
        let whole = async {
            while let Some(piece) = pieces.next().await {
                if give.send(Some(piece.map_err(io::Error::other))).await.is_err() {
                    return;
                }
            }
            // The reader may be gone.
            let _ = give.send(None).await;
        };
        if timeout(within, whole).await.is_err() {
            caller.hang_up();
        }
    });
    let cut = || io::Error::new(io::ErrorKind::TimedOut, "the answer was not read in time");
    // Behind the end nothing is read; this is behind what has no end.
    let ended = tokio_stream::iter([Some(Err(cut()))]);
    let pieces = ReceiverStream::new(take).chain(ended).take_while(Option::is_some);
    Body::from_stream(pieces.filter_map(|piece| piece))
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
    use tonic::codegen::Service;

    use super::*;

    /// More than the buffers of a connection hold.
    const LONG: usize = 64 << 20;
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
        let room = Room { calls: 2, patience: Duration::from_millis(50), memory_kib: 3, ..ROOM };
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

    #[tokio::test]
    async fn who_does_not_read_an_answer_gives_its_place_back() {
        let node = served(Router::new().route("/rpc", post(async || vec![b'1'; LONG]))).await;
        let room = Room { calls: 1, patience: Duration::from_secs(60), answer: Duration::from_millis(500), ..ROOM };
        let url = served(of(Node::new(node, room).unwrap())).await;
        let client = reqwest::Client::new();
        let ask = || client.post(url.clone()).body(CALL).send();
        let unread = ask().await.unwrap();
        assert!(unread.status().is_success());
        // There is one place, so this has waited for it.
        assert!(ask().await.unwrap().status().is_success());
        assert!(unread.bytes().await.is_err(), "a part is not taken for the whole");
    }

    #[tokio::test]
    async fn who_does_not_read_an_answer_is_hung_up_on() {
        let node = served(Router::new().route("/rpc", post(async || vec![b'1'; LONG]))).await;
        let room = Room { calls: 1, patience: Duration::from_secs(60), answer: Duration::from_millis(500), ..ROOM };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = tonic::service::Routes::from(of(Node::new(node, room).unwrap()));
        let server = almoner_proto::server().add_routes(routes);
        tokio::spawn(server.serve_with_incoming(almoner_tls::plain(listener)));
        // All that it asks goes over one connection.
        let line = tonic::transport::Endpoint::from_shared(url).unwrap().connect().await.unwrap();
        let ask = async || {
            let mut line = line.clone();
            std::future::poll_fn(|cx| line.poll_ready(cx)).await?;
            let call = tonic::body::Body::new(Body::from(CALL));
            line.call(axum::http::Request::post("/rpc").body(call).unwrap()).await
        };
        let unread = ask().await.unwrap();
        assert!(ask().await.is_err(), "it waited for the place of the first");
        assert!(to_bytes(Body::new(unread.into_body()), LONG).await.is_err());
        assert!(ask().await.unwrap().status().is_success(), "it may come again");
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
