//! A server that answers like a Kubo daemon's RPC, as far as this client uses it: enough to
//! test the client and who uses it, no proof that a real daemon agrees.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use cid::Cid;
use serde::Deserialize;
use tokio::sync::watch;

use crate::{MemoryStore, Store, car::CarReader};

/// What the daemon does instead of an import.
#[derive(Clone, Debug, Default)]
pub enum Refuses {
    #[default]
    Nothing,
    /// It imports, and cannot pin.
    Pinning(String),
    /// It imports, and does not say so.
    Confirming,
    /// It takes everything and never answers.
    Answering,
}

/// The daemon. It may be served again elsewhere: what it has is here.
#[derive(Debug, Default)]
pub struct FakeKubo {
    /// The blocks it holds, pinned or not: it collects no garbage.
    pub blocks: MemoryStore,
    /// Asked for with every call.
    token: Option<String>,
    pins: watch::Sender<BTreeSet<Cid>>,
    refuses: Mutex<Refuses>,
}

#[derive(Deserialize)]
struct Args {
    arg: Option<String>,
    #[serde(rename = "pin-roots")]
    pin_roots: Option<String>,
}

type Shared = State<Arc<FakeKubo>>;

impl FakeKubo {
    /// One that wants this bearer token.
    pub fn with_token(token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::default() }
    }

    /// Roots pinned as whole files.
    pub fn pins(&self) -> BTreeSet<Cid> {
        self.pins.borrow().clone()
    }

    /// Waits until the pins are as they should be.
    pub async fn until(&self, mut right: impl FnMut(&BTreeSet<Cid>) -> bool) {
        // Cannot fail: the sender is here.
        self.pins.subscribe().wait_for(|pins| right(pins)).await.expect("the daemon is there");
    }

    pub fn refuse(&self, what: Refuses) {
        *self.refuses.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn refuses(&self) -> Refuses {
        self.refuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its RPC.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/api/v0/version", post(version))
            .route("/api/v0/dag/import", post(import))
            .route("/api/v0/block/get", post(get))
            .route("/api/v0/pin/add", post(pin))
            .route("/api/v0/pin/rm", post(unpin))
            .route("/api/v0/pin/ls", post(list))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(middleware::from_fn_with_state(self.clone(), admit))
            .with_state(self)
    }
}

async fn admit(State(daemon): Shared, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given != daemon.token.as_ref().map(|token| format!("Bearer {token}")).as_deref() {
        return (StatusCode::FORBIDDEN, "403 - Forbidden").into_response();
    }
    next.run(request).await
}

fn failure(message: &str) -> Response {
    let body = format!(r#"{{"Message":"{message}","Code":0,"Type":"error"}}"#);
    (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
}

async fn version() -> Response {
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
    let refuses = daemon.refuses();
    if matches!(refuses, Refuses::Answering) {
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
    let error = match refuses {
        Refuses::Nothing | Refuses::Answering => String::new(),
        Refuses::Pinning(error) => error,
        Refuses::Confirming => {
            return "{\"Stats\":{\"BlockCount\":1,\"BlockBytesCount\":1}}\n".into_response();
        }
    };
    if args.pin_roots.as_deref() == Some("true") && error.is_empty() {
        daemon.pins.send_modify(|pins| _ = pins.insert(root));
    }
    format!("{{\"Root\":{{\"Cid\":{{\"/\":\"{root}\"}},\"PinErrorMsg\":\"{error}\"}}}}\n").into_response()
}

/// The root that a call is about.
fn root(args: &Args) -> Cid {
    Cid::try_from(args.arg.as_deref().unwrap()).unwrap()
}

async fn get(State(daemon): Shared, Query(args): Query<Args>) -> Response {
    let cid = root(&args);
    match daemon.blocks.block(&cid).await.unwrap() {
        Some(block) => block.into_response(),
        None => failure(&format!("block was not found locally (offline): ipld: could not find {cid}")),
    }
}

async fn pin(State(daemon): Shared, Query(args): Query<Args>) -> Response {
    let cid = root(&args);
    daemon.pins.send_modify(|pins| _ = pins.insert(cid));
    format!(r#"{{"Pins":["{cid}"]}}"#).into_response()
}

async fn unpin(State(daemon): Shared, Query(args): Query<Args>) -> Response {
    let cid = root(&args);
    let mut was = false;
    daemon.pins.send_modify(|pins| was = pins.remove(&cid));
    if was { format!(r#"{{"Pins":["{cid}"]}}"#).into_response() } else { failure("not pinned or pinned indirectly") }
}

async fn list(State(daemon): Shared, Query(args): Query<Args>) -> Response {
    let cid = root(&args);
    if !daemon.pins.borrow().contains(&cid) {
        return failure(&format!("path '{cid}' is not pinned"));
    }
    format!(r#"{{"Keys":{{"{cid}":{{"Type":"recursive","Name":""}}}}}}"#).into_response()
}
