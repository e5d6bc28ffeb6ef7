//! `/rpc` of a coordinator on a node: sites and auditors read the chain through it. Read only, because the node may
//! hold keys or know its operator: it is sent what was understood here, written anew, and not the caller's own text, which it
//! might understand in another way. And bounded, as `rpc_room` says. What many ask in the same words at the same time it is
//! asked once.

use std::sync::Arc;
use std::time::Duration;

use almoner_store::Url;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_stream::StreamExt;

use crate::failure::Failure;
use crate::rpc_room::{ROOM, Room, SHORT};
use crate::rpc_turns::Turns;

const MAX_BATCH: usize = 100;
/// Of the node, after which it is taken to be down.
const SILENCE: Duration = Duration::from_secs(30);
const JSON: &str = "application/json";
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

#[derive(Clone)]
struct Node {
    url: Url,
    client: reqwest::Client,
    turns: Arc<Turns<Short>>,
}

/// An answer that is here whole.
#[derive(Clone)]
struct Short {
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
}

impl Node {
    fn new(url: Url, answer: Duration) -> Result<Self, Failure> {
        let host = url.host_str().unwrap_or_default();
        let client = almoner_tls::Client::default().http(host).read_timeout(SILENCE).timeout(answer).build()?;
        Ok(Self { url, client, turns: Arc::default() })
    }

    /// `Err` is an answer that is not short, as it comes: for one caller.
    async fn ask(&self, body: Bytes) -> Result<Short, Response> {
        // The node's address is its operator's business.
        let silent = || {
            let body = Bytes::from_static(b"the coordinator's node does not answer\n");
            Short { status: StatusCode::BAD_GATEWAY, kind: "text/plain", body }
        };
        let question = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, JSON);
        let Ok(answer) = question.body(body).send().await else { return Ok(silent()) };
        let status = answer.status();
        let mut pieces = answer.bytes_stream();
        let mut held = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => held.push(piece),
                Err(_) => return Ok(silent()),
            }
            if held.iter().map(Bytes::len).sum::<usize>() > SHORT {
                let pieces = tokio_stream::iter(held).map(Ok).chain(pieces);
                return Err((status, [(header::CONTENT_TYPE, JSON)], Body::from_stream(pieces)).into_response());
            }
        }
        Ok(Short { status, kind: JSON, body: held.concat().into() })
    }
}

impl IntoResponse for Short {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, self.kind)], self.body).into_response()
    }
}

/// `POST /rpc`, answered by the node.
pub(crate) fn router(url: Url) -> Result<Router, Failure> {
    within(url, ROOM)
}

fn within(url: Url, room: Room) -> Result<Router, Failure> {
    let routes = Router::new().route("/rpc", post(forward)).with_state(Node::new(url, room.answer)?);
    Ok(room.before(routes))
}

async fn forward(State(node): State<Node>, body: Bytes) -> Response {
    let Some(body) = reading(&body) else {
        const ONLY: &str = "only calls that read the chain are passed on, and at most 100 at once\n";
        return (StatusCode::FORBIDDEN, ONLY).into_response();
    };
    let body = Bytes::from(body);
    node.turns.ask(&body, node.ask(body.clone())).await.into_response()
}

/// A call, and no other word: `Method` beside `method` is one word to a node that does not mind the case of letters.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Call {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jsonrpc: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    id: Value,
    method: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    params: Value,
}

impl Call {
    fn reads(&self) -> bool {
        METHODS.contains(&self.method.as_str())
    }
}

/// What the node is sent: a call that only reads, or a batch of such; nothing for anything else.
pub(crate) fn reading(body: &[u8]) -> Option<Vec<u8>> {
    let batch = body.trim_ascii_start().starts_with(b"[");
    let written = match batch {
        true => {
            let calls: Vec<Call> = serde_json::from_slice(body).ok()?;
            let few = (1..=MAX_BATCH).contains(&calls.len());
            (few && calls.iter().all(Call::reads)).then(|| serde_json::to_vec(&calls))
        }
        false => {
            let call: Call = serde_json::from_slice(body).ok()?;
            call.reads().then(|| serde_json::to_vec(&call))
        }
    };
    written?.ok()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use axum::body::to_bytes;
    use tokio::sync::Semaphore;
    use tonic::client::GrpcService;

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
        let url = served(within(node, room).unwrap()).await;
        let client = reqwest::Client::new();
        // Each in words of its own: what is asked in the same words is asked once.
        let number = Cell::new(0);
        let ask = || {
            number.set(number.get() + 1);
            client.post(url.clone()).body(CALL.replace("\"id\":1", &format!("\"id\":{}", number.get()))).send()
        };
        let first = [tokio::spawn(ask()), tokio::spawn(ask())];
        asked.acquire_many(2).await.unwrap().forget();
        // One waits in vain, and beside it there is no room to wait.
        let (one, another) = tokio::join!(ask(), ask());
        for answer in [one, another] {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.text().await.unwrap().starts_with("too many ask this chain at once"));
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
    async fn the_same_question_of_many_is_asked_once_for_those_who_came_before() {
        let (url, asked, told) = slow_node().await;
        let node = Node::new(url, ROOM.answer).unwrap();
        let ask = || tokio::spawn(forward(State(node.clone()), Bytes::from_static(CALL.as_bytes())));
        let first = ask();
        asked.acquire().await.unwrap().forget();
        let others = [(); 5].map(|()| ask());
        node.turns.waited_for(CALL.as_bytes(), 6).await;
        told.add_permits(2);
        for answer in [first].into_iter().chain(others) {
            let answer = answer.await.unwrap();
            assert_eq!(answer.headers()[header::CONTENT_TYPE], JSON);
            assert!(
                String::from_utf8(to_bytes(answer.into_body(), LONG).await.unwrap().into()).unwrap().contains("0x539")
            );
        }
        assert_eq!(asked.available_permits(), 1, "five were asked for by one");
    }

    #[tokio::test]
    async fn who_does_not_read_an_answer_gives_its_place_back() {
        let node = served(Router::new().route("/rpc", post(async || vec![b'1'; LONG]))).await;
        let room = Room { calls: 1, patience: Duration::from_secs(60), answer: Duration::from_millis(500), ..ROOM };
        let url = served(within(node, room).unwrap()).await;
        // Compressed it would be short.
        let client = reqwest::Client::builder().no_gzip().build().unwrap();
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
        let at = format!("http://{}", listener.local_addr().unwrap());
        let routes = tonic::service::Routes::from(within(node, room).unwrap());
        let server = almoner_proto::server().add_routes(routes);
        tokio::spawn(server.serve_with_incoming(almoner_tls::plain(listener)));
        // All that it asks goes over one connection.
        let channel = tonic::transport::Endpoint::from_shared(at).unwrap().connect_lazy();
        let ask = async || {
            let mut channel = channel.clone();
            std::future::poll_fn(|context| channel.poll_ready(context)).await?;
            let body = tonic::body::Body::new(Body::from(CALL));
            channel.call(axum::http::Request::post("/rpc").body(body).unwrap()).await
        };
        let read = async |body| to_bytes(Body::new(body), LONG + 1).await;
        let unread: Response<tonic::body::Body> = ask().await.unwrap();
        assert!(ask().await.is_err(), "it waited for the place of the first");
        assert!(read(unread.into_body()).await.is_err());
        assert!(ask().await.unwrap().status().is_success(), "it may come again");
    }

    fn passed(body: &str) -> Option<String> {
        reading(body.as_bytes()).map(|written| String::from_utf8(written).unwrap())
    }

    #[test]
    fn only_reading_is_passed_on() {
        for reads in
            [CALL, r#"{"method":"eth_getLogs","params":[]}"#, r#"[{"method":"eth_chainId"},{"method":"eth_call"}]"#]
        {
            assert_eq!(passed(reads).as_deref(), Some(reads));
        }
        assert_eq!(passed(" {\"method\" : \"eth\\u005fchainId\"}").as_deref(), Some(r#"{"method":"eth_chainId"}"#));
        for other in [
            r#"[{"method":"eth_chainId"},{"method":"eth_sendTransaction"}]"#,
            r#"{"method":"eth_sendRawTransaction"}"#,
            r#"[{"method":"eth_chainId"},{"method":"eth\u005fsendTransaction"}]"#,
            r#"{"method":"personal_unlockAccount"}"#,
            "[]",
            "not json",
            "\"eth_chainId\"",
        ] {
            assert_eq!(passed(other), None, "{other}");
        }
        let batch = |calls: usize| format!("[{}]", vec![CALL; calls].join(","));
        assert!(passed(&batch(MAX_BATCH)).is_some() && passed(&batch(MAX_BATCH + 1)).is_none());
    }

    /// Nodes in Go take `Method` for `method`, and the last of two.
    #[test]
    fn a_word_that_a_node_may_read_in_another_way_is_refused() {
        for twice in [
            r#"{"method":"eth_chainId","Method":"eth_sendTransaction"}"#,
            r#"{"method":"eth_chainId","method":"eth_sendTransaction"}"#,
            r#"{"method":"eth_sendTransaction","method":"eth_chainId"}"#,
            r#"{"METHOD":"eth_sendTransaction","method":"eth_chainId","id":1}"#,
            r#"{"method":"eth_chainId","\u006dethod":"eth_sendTransaction"}"#,
            r#"{"method":"eth_chainId","more":1}"#,
        ] {
            assert_eq!(passed(twice), None, "{twice}");
            assert_eq!(passed(&format!("[{CALL},{twice}]")), None, "{twice}");
        }
    }
}
