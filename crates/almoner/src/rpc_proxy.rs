//! `/rpc` of a coordinator on a node: sites and auditors read the chain through it. Read only, because the node may
//! hold keys or know its operator; and bounded in both directions.

use std::time::Duration;

use almoner_store::Url;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use crate::failure::Failure;

const MAX_CALL_BYTES: usize = 1 << 20;
/// Of the node, after which it is taken to be down.
const SILENCE: Duration = Duration::from_secs(30);
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
}

/// `POST /rpc`, answered by the node.
pub(crate) fn router(url: Url) -> Result<Router, Failure> {
    let host = url.host_str().unwrap_or_default();
    let client = almoner_tls::Client::default().http(host).read_timeout(SILENCE).build()?;
    let node = Node { url, client };
    Ok(Router::new().route("/rpc", post(forward)).layer(DefaultBodyLimit::max(MAX_CALL_BYTES)).with_state(node))
}

async fn forward(State(node): State<Node>, body: Bytes) -> Response {
    if !reads(&body) {
        return (StatusCode::FORBIDDEN, "only calls that read the chain are passed on\n").into_response();
    }
    let sent = node.client.post(node.url).header(header::CONTENT_TYPE, "application/json").body(body).send().await;
    match sent {
        // Passed on as it comes: nothing of the answer is held here.
        Ok(answer) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            (answer.status(), json, Body::from_stream(answer.bytes_stream())).into_response()
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
