//! Serves a store as an IPFS trustless gateway: `GET|HEAD /ipfs/{cid}` as a raw block or as the
//! CAR of a file. Any IPFS tool can read from it and nobody needs to trust it.

use std::sync::Arc;

use almoner_tls::Caller;
use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use cid::Cid;
use futures::stream;

use super::format::{self, CAR_TYPE, Format, Params, RAW_TYPE, Scope, Unfit};
use super::room::{LIMITS, Limits, Room, Rooms, Roomy};
use crate::{
    Blame, Block, BlockSource, Store, StoreError,
    car::{self, Dups},
    ids,
    walk::Walk,
};

/// Content never changes under its CID: cached for the longest time caches honour.
const IMMUTABLE: &str = "public, max-age=29030400, immutable";

/// The gateway's routes over `store`; mount it at the root of a listener.
pub fn router(store: Arc<dyn Store>) -> Router {
    within(store, LIMITS)
}

pub(super) fn within(store: Arc<dyn Store>, limits: Limits) -> Router {
    Router::new().route("/ipfs/{cid}", get(serve)).with_state((store, Rooms::new(limits)))
}

async fn serve(
    State((store, rooms)): State<(Arc<dyn Store>, Rooms)>,
    caller: Option<Extension<Caller>>,
    Path(text): Path<String>,
    query: Result<Query<Params>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let room = rooms.of(caller.map(|Extension(caller)| caller).unwrap_or_default());
    match answer(store, room, &text, query, &headers).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(
    store: Arc<dyn Store>,
    room: Room,
    text: &str,
    query: Result<Query<Params>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let cid = ids::cid_from_text(text)?;
    let Query(params) = query.map_err(|_| Problem::BadQuery)?;
    let format = format::choose(&params, headers)?;
    let etag = etag(&cid, format);
    // Asked of the store even where the client's copy would do: a 304 for content we never had
    // would claim too much.
    let place = room.place().await.ok_or(Problem::Full)?;
    let Some(block) = store.block(&cid).await? else {
        return Err(Problem::NotFound(cid.into()));
    };
    if is_known(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common(&cid, &etag)).into_response());
    }
    let block = place.by(Block::from(block)).into_unchecked();
    match format {
        Format::Raw => Ok(raw(&cid, &etag, block)),
        Format::Car(scope, dups) => archive(Roomy { store, room }, &cid, &etag, block, scope, dups),
    }
}

fn raw(cid: &Cid, etag: &str, block: Bytes) -> Response {
    let named = [
        (header::CONTENT_TYPE, value(RAW_TYPE)),
        (header::CONTENT_LENGTH, HeaderValue::from(block.len())),
        (header::CONTENT_DISPOSITION, value(&format!("attachment; filename=\"{cid}.bin\""))),
    ];
    (common(cid, etag), named, block).into_response()
}

fn archive(store: Roomy, cid: &Cid, etag: &str, root: Bytes, scope: Scope, dups: Dups) -> Result<Response, Problem> {
    let body = match scope {
        Scope::Block => {
            let pieces = [car::header(cid), car::prefix(cid, root.len()), root];
            Body::from_stream(stream::iter(pieces.map(Ok::<_, StoreError>)))
        }
        Scope::All => {
            // Refuse a root that is no file now, while there still is a status to say so with.
            Walk::new(cid, u64::MAX)?.accept(root.clone().into(), &store.place())?;
            Body::from_stream(car::send(Arc::new(store), cid, dups)?)
        }
    };
    let kind = format!("{CAR_TYPE}; version=1; order=dfs; dups={}", letter(dups));
    let named = [
        (header::CONTENT_TYPE, value(&kind)),
        (header::CONTENT_DISPOSITION, value(&format!("attachment; filename=\"{cid}.car\""))),
    ];
    Ok((common(cid, etag), named, body).into_response())
}

fn letter(dups: Dups) -> char {
    match dups {
        Dups::Yes => 'y',
        Dups::No => 'n',
    }
}

fn etag(cid: &Cid, format: Format) -> String {
    match format {
        Format::Raw => format!("\"{cid}.raw\""),
        Format::Car(Scope::Block, _) => format!("W/\"{cid}.car.block\""),
        Format::Car(Scope::All, dups) => format!("W/\"{cid}.car.dfs.{}\"", letter(dups)),
    }
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|tag| bare(tag) == bare(etag) || tag.trim() == "*")
}

fn common(cid: &Cid, etag: &str) -> [(HeaderName, HeaderValue); 6] {
    [
        (header::ETAG, value(etag)),
        (header::CACHE_CONTROL, value(IMMUTABLE)),
        (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
        (header::VARY, value("Accept")),
        (HeaderName::from_static("x-ipfs-path"), value(&format!("/ipfs/{cid}"))),
        (HeaderName::from_static("x-ipfs-roots"), value(&cid.to_string())),
    ]
}

fn value(text: &str) -> HeaderValue {
    // Cannot fail: all texts are our constants and base-encoded CIDs, hence visible ASCII.
    HeaderValue::from_str(text).expect("visible ascii")
}

/// An answer other than content.
enum Problem {
    NotFound(Box<Cid>),
    BadQuery,
    Full,
    Unfit(Unfit),
    Store(StoreError),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NotFound(cid) => (StatusCode::NOT_FOUND, format!("{cid} is not here")),
            Self::BadQuery => (StatusCode::BAD_REQUEST, "the query is malformed".into()),
            Self::Full => {
                const FULL: &str = "too many read from here at once: ask again, or another gateway\n";
                return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], FULL).into_response();
            }
            Self::Unfit(Unfit::BadScope) => (StatusCode::BAD_REQUEST, "dag-scope is one of block, entity, all".into()),
            Self::Unfit(Unfit::NotOffered) => (
                StatusCode::NOT_ACCEPTABLE,
                "only verifiable formats are served: add ?format=raw or ?format=car".into(),
            ),
            Self::Store(error) => of_store(&error),
        };
        let nosniff = (header::X_CONTENT_TYPE_OPTIONS, value("nosniff"));
        // What is missing now may be here in a moment.
        let fresh = (header::CACHE_CONTROL, value("no-store"));
        (status, [nosniff, fresh], text + "\n").into_response()
    }
}

/// The caller hears what it can act on; paths and sources of ours stay in the log.
fn of_store(error: &StoreError) -> (StatusCode, String) {
    match error {
        StoreError::BadCid { .. } => (StatusCode::BAD_REQUEST, error.to_string()),
        StoreError::Malformed { .. } => (StatusCode::NOT_ACCEPTABLE, error.to_string()),
        StoreError::Corrupt { .. } => {
            tracing::error!(%error, "a block is damaged");
            (StatusCode::GONE, "a block is damaged here; ask another source".into())
        }
        _ if error.is_missing() => (StatusCode::NOT_FOUND, "a block is not here".into()),
        _ => {
            tracing::warn!(%error, "the store behind the gateway failed");
            let status = match error.blame() {
                Blame::Ours => StatusCode::INTERNAL_SERVER_ERROR,
                Blame::Peer => StatusCode::BAD_GATEWAY,
                Blame::Retry => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, "the store failed; retry later".into())
        }
    }
}
