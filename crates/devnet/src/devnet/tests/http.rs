use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Fixture;
use crate::{Access, Devnet};

async fn post(devnet: &Devnet, access: Access, body: String) -> (StatusCode, Value) {
    let request = Request::post("/rpc").body(Body::from(body)).unwrap();
    let response = devnet.router(access).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn call(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[tokio::test]
async fn single_calls_and_batches_are_answered() {
    let devnet = Fixture::new().memory();
    let one = call(1, "eth_chainId", json!([]));
    let (status, reply) = post(&devnet, Access::Public, one.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(reply, json!({"jsonrpc": "2.0", "id": 1, "result": "0x7a69"}));

    let batch = json!([
        call(2, "eth_blockNumber", json!([])),
        call(3, "eth_nothing", json!([])),
        call(4, "eth_getBalance", json!(["0x12"])),
        {"id": "text", "method": "net_version"},
    ]);
    let (_, replies) = post(&devnet, Access::Public, batch.to_string()).await;
    assert_eq!(replies[0]["result"], "0x0");
    assert_eq!(replies[1]["error"]["code"], -32601);
    assert_eq!(replies[2]["error"]["code"], -32602);
    assert_eq!((&replies[3]["id"], &replies[3]["result"]), (&json!("text"), &json!("31337")));
}

#[tokio::test]
async fn time_is_moved_only_by_whoever_controls_the_node() {
    let devnet = Fixture::new().memory();
    let mine = call(1, "evm_mine", json!([])).to_string();
    let (_, refused) = post(&devnet, Access::Public, mine.clone()).await;
    assert_eq!(refused["error"]["code"], -32601);
    assert_eq!(devnet.tip().0, 0);
    post(&devnet, Access::Control, mine).await;
    assert_eq!(devnet.tip().0, 1);
}

#[tokio::test]
async fn what_is_too_long_or_malformed_is_refused() {
    let devnet = Fixture::new().memory();
    let (status, _) = post(&devnet, Access::Public, " ".repeat((1 << 20) + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let many = Value::from(vec![call(1, "eth_chainId", json!([])); 101]);
    for (body, code) in [
        (many.to_string(), -32005),
        ("[]".to_owned(), -32005),
        ("{".to_owned(), -32700),
        ("[{]".to_owned(), -32700),
        ("{}".to_owned(), -32600),
        (call(1, "eth_getLogs", json!({"a": 1})).to_string(), -32602),
        (call(1, "eth_sendRawTransaction", json!(["0x02c0"])).to_string(), -32000),
    ] {
        let (_, reply) = post(&devnet, Access::Public, body).await;
        assert_eq!(reply["error"]["code"], code);
    }
}
