//! `POST /rpc`. Bodies, batches and the work of a call are bounded; by default the methods that move time are not
//! offered, because whoever can move time can end a challenge window.

use alloy::rpc::json_rpc::{ErrorPayload, Id, Response, ResponsePayload};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::RpcError;
use crate::{Devnet, rpc, transport};

/// A contract creation is at most 48 KiB of code, twice that in hexadecimal.
const MAX_BODY_BYTES: usize = 1 << 20;
const MAX_BATCH: usize = 100;

/// What a caller over HTTP may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read, and send transactions.
    Public,
    /// Also move time and stop the mining: on a loopback address, for development.
    Control,
}

#[derive(Clone, Debug)]
struct Served {
    devnet: Devnet,
    access: Access,
}

pub(crate) fn router(devnet: Devnet, access: Access) -> Router {
    Router::new()
        .route("/rpc", post(serve))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Served { devnet, access })
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<Id>,
    method: String,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

async fn serve(State(served): State<Served>, body: Bytes) -> axum::response::Response {
    let answered = tokio::task::spawn_blocking(move || served.answer(&body)).await;
    match answered {
        Ok(Answer::One(response)) => Json(response).into_response(),
        Ok(Answer::Many(responses)) => Json(responses).into_response(),
        Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

enum Answer {
    One(Response),
    Many(Vec<Response>),
}

impl Served {
    fn answer(&self, body: &[u8]) -> Answer {
        let batch = body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte == b'[');
        if !batch {
            return Answer::One(match serde_json::from_slice(body) {
                Ok(raw) => self.one(raw),
                Err(_) => failure(Id::None, ErrorPayload::parse_error()),
            });
        }
        match serde_json::from_slice::<Vec<&RawValue>>(body) {
            Ok(calls) if calls.is_empty() || calls.len() > MAX_BATCH => {
                let limit = RpcError::limit(format!("a batch has 1 to {MAX_BATCH} calls"));
                Answer::One(failure(Id::None, transport::payload(limit)))
            }
            Ok(calls) => Answer::Many(calls.into_iter().map(|raw| self.one(raw)).collect()),
            Err(_) => Answer::One(failure(Id::None, ErrorPayload::parse_error())),
        }
    }

    fn one(&self, raw: &RawValue) -> Response {
        let Ok(call) = serde_json::from_str::<Call<'_>>(raw.get()) else {
            return failure(Id::None, ErrorPayload::invalid_request());
        };
        let id = call.id.unwrap_or(Id::None);
        if self.access == Access::Public && rpc::is_control(&call.method) {
            return failure(id, transport::payload(RpcError::method(&call.method)));
        }
        match self.devnet.lock().handle(&call.method, call.params) {
            Ok(value) => Response { id, payload: ResponsePayload::Success(value) },
            Err(error) => failure(id, transport::payload(error)),
        }
    }
}

fn failure(id: Id, error: ErrorPayload) -> Response {
    Response { id, payload: ResponsePayload::Failure(error) }
}
