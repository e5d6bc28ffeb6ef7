//! A server that answers like a Kubo daemon's RPC, as far as this client uses it: enough to
//! test the client, no proof that a real daemon agrees.

use std::sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use cid::Cid;
use serde::Deserialize;

use crate::{MemoryStore, Store, Url, car::CarReader, testing::serve};

#[derive(Debug, Default)]
pub(crate) struct Daemon {
    pub(crate) blocks: MemoryStore,
    pub(crate) pins: Mutex<Vec<String>>,
    pub(crate) token: Option<String>,
    pub(crate) pin_error: Mutex<String>,
    pub(crate) forget_root: AtomicBool,
    pub(crate) hang: AtomicBool,
}

#[derive(Deserialize)]
struct Args {
    arg: Option<String>,
    #[serde(rename = "pin-roots")]
    pin_roots: Option<String>,
}

type Shared = State<Arc<Daemon>>;

pub(crate) async fn start(daemon: Arc<Daemon>) -> Url {
    let routes = Router::new()
        .route("/api/v0/version", post(version))
        .route("/api/v0/dag/import", post(import))
        .route("/api/v0/block/get", post(get))
        .route("/api/v0/pin/add", post(pin))
        .route("/api/v0/pin/rm", post(unpin))
        .route("/api/v0/pin/ls", post(list))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(daemon);
    serve(routes).await
}

fn failure(message: &str) -> Response {
    let body = format!(r#"{{"Message":"{message}","Code":0,"Type":"error"}}"#);
    (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
}

async fn version(State(daemon): Shared, headers: HeaderMap) -> Response {
    let given = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned());
    if given != daemon.token.as_ref().map(|t| format!("Bearer {t}")) {
        return (StatusCode::FORBIDDEN, "403 - Forbidden").into_response();
    }
    r#"{"Version":"0.0.0-fake","Commit":"","Repo":"16","System":"","Golang":""}"#.into_response()
}

/// The single file part between its headers and the closing boundary.
fn part(headers: &HeaderMap, body: &Bytes) -> Bytes {
    let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
    let boundary = kind.split("boundary=").nth(1).expect("a multipart body");
    let start = body.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = std::str::from_utf8(&body[..start]).unwrap();
    assert!(head.starts_with(&format!("--{boundary}")) && head.contains("filename="), "{head}");
    let tail = format!("\r\n--{boundary}--");
    let end = body.windows(tail.len()).rposition(|w| w == tail.as_bytes()).unwrap();
    body.slice(start..end)
}

async fn import(State(daemon): Shared, Query(args): Query<Args>, headers: HeaderMap, body: Bytes) -> Response {
    if daemon.hang.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let archive = part(&headers, &body);
    // The root comes last among {roots: [cid], version: 1}: 36 bytes before the final nine.
    let header_len = usize::from(archive[0]) + 1;
    let root = Cid::try_from(&archive[header_len - 9 - 36..header_len - 9]).unwrap();
    let mut reader = CarReader::new(futures::stream::iter([Ok(archive)]));
    while let Some(section) = reader.next().await.unwrap() {
        let cid = Cid::read_bytes(&section[..]).unwrap();
        daemon.blocks.insert(&cid, section.slice(cid.encoded_len()..)).unwrap();
    }
    if args.pin_roots.as_deref() == Some("true") {
        daemon.pins.lock().unwrap().push(root.to_string());
    }
    if daemon.forget_root.load(Ordering::Relaxed) {
        return "{\"Stats\":{\"BlockCount\":1,\"BlockBytesCount\":1}}\n".into_response();
    }
    let error = daemon.pin_error.lock().unwrap().clone();
    format!("{{\"Root\":{{\"Cid\":{{\"/\":\"{root}\"}},\"PinErrorMsg\":\"{error}\"}}}}\n").into_response()
}

async fn get(State(daemon): Shared, Query(args): Query<Args>) -> Response {
    let cid = Cid::try_from(args.arg.unwrap()).unwrap();
    match daemon.blocks.block(&cid).await.unwrap() {
        Some(block) => block.into_response(),
        None => failure(&format!("block was not found locally (offline): ipld: could not find {cid}")),
    }
}

async fn pin(State(daemon): Shared, Query(args): Query<Args>) -> Response {
    let cid = args.arg.unwrap();
    daemon.pins.lock().unwrap().push(cid.clone());
    format!(r#"{{"Pins":["{cid}"]}}"#).into_response()
}

async fn unpin(State(daemon): Shared, Query(args): Query<Args>) -> Response {
    let cid = args.arg.unwrap();
    let mut pins = daemon.pins.lock().unwrap();
    let Some(at) = pins.iter().position(|p| *p == cid) else {
        return failure("not pinned or pinned indirectly");
    };
    pins.remove(at);
    format!(r#"{{"Pins":["{cid}"]}}"#).into_response()
}

async fn list(State(daemon): Shared) -> Response {
    let pins = daemon.pins.lock().unwrap();
    let keys: Vec<_> = pins.iter().map(|p| format!(r#""{p}":{{"Type":"recursive","Name":""}}"#)).collect();
    format!(r#"{{"Keys":{{{}}}}}"#, keys.join(",")).into_response()
}
