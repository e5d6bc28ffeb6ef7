//! `demo --chain URL` on a node that goes away: before it was asked anything, while the contracts are deployed, and in
//! the middle of a round.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;

use alloy_sol_types::SolCall;
use almoner_chain::SigningKey;
use almoner_chain::contracts::{Federations, Rounds};
use almoner_devnet::{Access, Devnet, DevnetConfig, system_clock};
use almoner_protocol::U256;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use super::almoner;

const KEY: [u8; 32] = [7; 32];
const MAX_BODY: usize = 1 << 20;

/// A deployment has every selector of its contract in its code; a call is short.
const MAX_CALL: usize = 1 << 13;

/// When a node stops.
#[derive(Clone, Copy)]
enum Until {
    /// The first transaction.
    Any,
    /// The first call of a function.
    Call([u8; 4]),
}

impl Until {
    fn is(self, body: &[u8]) -> bool {
        let has = |text: &[u8]| body.windows(text.len()).any(|part| part == text);
        let called = match self {
            Self::Any => true,
            Self::Call(selector) => {
                let hex: String = selector.iter().map(|byte| format!("{byte:02x}")).collect();
                body.len() < MAX_CALL && has(hex.as_bytes())
            }
        };
        called && has(b"eth_sendRawTransaction")
    }
}

/// Stops a node when it is sent what it was waiting for.
#[derive(Clone)]
struct Fuse {
    until: Until,
    blown: CancellationToken,
}

async fn burn(State(fuse): State<Fuse>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, MAX_BODY).await.expect("a call of ours");
    if fuse.until.is(&body) {
        fuse.blown.cancel();
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// A node that is gone from some moment on.
struct Node {
    url: String,
    blown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn start(until: Until) -> Self {
        let (tell, told) = std::sync::mpsc::channel::<SocketAddr>();
        let blown = CancellationToken::new();
        let fuse = Fuse { until, blown: blown.clone() };
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let ether = U256::from(10).pow(U256::from(21));
                let account = SigningKey::from_bytes(&KEY).unwrap().address();
                let devnet = Devnet::memory(&DevnetConfig::new(vec![(account, ether)], system_clock())).unwrap();
                let blown = fuse.blown.clone();
                let router = devnet.router(Access::Public).layer(middleware::from_fn_with_state(fuse, burn));
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                // Dropped with its connections, as a process that dies does.
                blown.run_until_cancelled(async { axum::serve(listener, router).await }).await;
            });
        };
        let thread = Some(std::thread::spawn(serve));
        Self { url: format!("http://{}/rpc", told.recv().unwrap()), blown, thread }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.blown.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What `demo` says when its node is gone.
fn demo_on(url: &str, home: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let (key, run) = (home.join("funder.key"), home.join("run"));
    let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(&key, hex).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (key, run) = (key.to_str().unwrap(), run.to_str().unwrap());
    let arguments = ["demo", "--json", "--rounds", "1", "--model", "logistic", "--seed", "1", "--dir", run];
    let output = almoner(&[&arguments[..], &["--chain", url, "--funder", key]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(output.stdout.is_empty(), "no half of a result");
    let said: serde_json::Value = serde_json::from_str(&said).expect("one JSON document");
    assert_eq!(said["error"]["kind"], "peer");
    said["error"]["message"].as_str().unwrap().to_owned()
}

fn gone(url: &str) -> String {
    format!(
        "--chain {url}: the node no longer answers, the run is given up; what is on chain is kept, and can be audited \
         and claimed when the node is back: "
    )
}

#[test]
fn a_node_that_is_down_is_named_and_nothing_is_written() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::start(Until::Any);
    let url = node.url.clone();
    drop(node);
    let said = demo_on(&url, home.path());
    assert!(said.starts_with(&format!("--chain {url}: is the node up?: the node cannot be reached: ")), "{said}");
    assert!(!home.path().join("run").exists());
}

#[test]
fn a_node_that_dies_while_contracts_are_deployed_is_named() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::start(Until::Any);
    let said = demo_on(&node.url, home.path());
    assert!(said.starts_with(&gone(&node.url)), "{said}");
}

fn dies_at(selector: [u8; 4]) {
    let home = tempfile::tempdir().unwrap();
    let node = Node::start(Until::Call(selector));
    let said = demo_on(&node.url, home.path());
    assert!(node.blown.is_cancelled(), "it came so far");
    assert!(said.starts_with(&gone(&node.url)), "{said}");
}

#[test]
fn a_node_that_dies_while_the_federation_is_created_is_named() {
    dies_at(Federations::createCall::SELECTOR);
}

#[test]
fn a_node_that_dies_while_seats_are_given_out_is_named() {
    dies_at(Federations::joinCall::SELECTOR);
}

#[test]
fn a_node_that_dies_in_a_round_is_named() {
    dies_at(Rounds::lockCall::SELECTOR);
}
