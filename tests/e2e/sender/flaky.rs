//! A transport that loses broadcasts, or only the answers to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use almoner_devnet::DevnetTransport;
use tower::Service;

/// How many more are lost.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) lose_broadcasts: AtomicU64,
    pub(crate) lose_answers: AtomicU64,
}

#[derive(Clone, Debug)]
struct Flaky {
    inner: DevnetTransport,
    faults: Arc<Faults>,
}

pub(crate) fn provider(inner: DevnetTransport, faults: Arc<Faults>) -> DynProvider {
    let client = RpcClient::new(Flaky { inner, faults }, true).with_poll_interval(Duration::from_millis(1));
    ProviderBuilder::new().disable_recommended_fillers().connect_client(client).erased()
}

fn lost(count: &AtomicU64) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Service<RequestPacket> for Flaky {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let broadcast = packet.as_single().is_some_and(|call| call.method() == "eth_sendRawTransaction");
        if broadcast && lost(&self.faults.lose_broadcasts) {
            return Box::pin(async { Err(TransportErrorKind::custom_str("lost on the way there")) });
        }
        let answer_lost = broadcast && lost(&self.faults.lose_answers);
        let answer = self.inner.call(packet);
        Box::pin(async move {
            let answer = answer.await?;
            match answer_lost {
                true => Err(TransportErrorKind::custom_str("lost on the way back")),
                false => Ok(answer),
            }
        })
    }
}
