//! The chain as an alloy transport: requests are answered in this process, by the code that answers HTTP.

use std::task::{Context, Poll};

use alloy::rpc::json_rpc::{ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use serde_json::value::to_raw_value;
use tower::Service;

use crate::Devnet;
use crate::error::RpcError;

/// In-process JSON-RPC.
#[derive(Clone, Debug)]
pub struct DevnetTransport {
    devnet: Devnet,
}

impl DevnetTransport {
    pub(crate) fn new(devnet: Devnet) -> Self {
        Self { devnet }
    }
}

impl Service<RequestPacket> for DevnetTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let devnet = self.devnet.clone();
        // Execution and the fsync of a block belong on a thread that may block.
        let answer = tokio::task::spawn_blocking(move || match packet {
            RequestPacket::Single(request) => ResponsePacket::Single(answer(&devnet, &request)),
            RequestPacket::Batch(requests) => {
                ResponsePacket::Batch(requests.iter().map(|r| answer(&devnet, r)).collect())
            }
        });
        Box::pin(async move { answer.await.map_err(TransportErrorKind::custom) })
    }
}

fn answer(devnet: &Devnet, request: &SerializedRequest) -> Response {
    let payload = match devnet.lock().handle(request.method(), request.params()) {
        Ok(value) => ResponsePayload::Success(value),
        Err(error) => ResponsePayload::Failure(payload(error)),
    };
    Response { id: request.id().clone(), payload }
}

pub(crate) fn payload(error: RpcError) -> ErrorPayload {
    ErrorPayload {
        code: error.code,
        message: error.message,
        data: error.data.and_then(|data| to_raw_value(&data).ok()),
    }
}
