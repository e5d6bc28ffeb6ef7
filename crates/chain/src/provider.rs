//! Connections to nodes, and the clock of those that are for development.

use std::time::Duration;

use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::ClientBuilder;
use alloy::transports::http::reqwest::Url;
use alloy::transports::layers::{RateLimitRetryPolicy, RetryBackoffLayer};
use alloy::transports::{TransportError, TransportErrorKind};
use almoner_tls::Client as Tls;

use crate::LedgerError;
use crate::transport::Bounded;

/// How often a node on this machine is asked, and how often one elsewhere.
const LOCAL_POLL: Duration = Duration::from_millis(4);
const REMOTE_POLL: Duration = Duration::from_secs(2);
/// How long one answer may take, all of it. A node that says nothing is a node that is down.
const ANSWER: Duration = Duration::from_secs(30);

/// A provider for a node's HTTP address. Calls that were rate-limited or found no connection are repeated; repeating
/// is harmless for reads, and for a signed transaction, whose hash stays the same.
pub fn connect(url: &str) -> Result<DynProvider, LedgerError> {
    connect_trusting(url, &Tls::default())
}

/// As [`connect`], for a node with a certificate of one's own authority.
pub fn connect_trusting(url: &str, tls: &Tls) -> Result<DynProvider, LedgerError> {
    connect_within(url, tls, ANSWER)
}

fn connect_within(url: &str, tls: &Tls, answer: Duration) -> Result<DynProvider, LedgerError> {
    let url: Url = url.parse().map_err(|_| LedgerError::Internal(format!("{url} is not a URL")))?;
    let host = url.host_str().unwrap_or_default();
    let local = almoner_tls::is_loopback(host);
    let policy = RateLimitRetryPolicy::default().or(unreachable_for_now);
    let http =
        tls.http(host).timeout(answer).gzip(true).build().map_err(|error| LedgerError::Internal(error.to_string()))?;
    let retry = RetryBackoffLayer::new_with_policy(4, 250, 10_000, policy);
    let client = ClientBuilder::default().layer(retry).transport(Bounded::new(http, url), local);
    let client = client.with_poll_interval(if local { LOCAL_POLL } else { REMOTE_POLL });
    // No fillers: the sender fills every field itself and owns the nonce.
    Ok(ProviderBuilder::new().disable_recommended_fillers().connect_client(client).erased())
}

/// The chain that a node serves: the first thing to ask it, before anything is written for it.
pub async fn chain_id(provider: &DynProvider) -> Result<u64, LedgerError> {
    Ok(provider.get_chain_id().await?)
}

fn unreachable_for_now(error: &TransportError) -> bool {
    match error.as_transport_err() {
        Some(TransportErrorKind::Custom(source)) => {
            source.downcast_ref::<alloy::transports::http::reqwest::Error>().is_some_and(|error| error.is_connect())
        }
        _ => false,
    }
}

/// Moves the time of an embedded chain or of anvil on by at least `seconds` and makes a block there. Other nodes
/// refuse: their time is not ours to move.
pub async fn advance_time(provider: &DynProvider, seconds: u64) -> Result<(), LedgerError> {
    let target = block_time(provider).await?.saturating_add(seconds);
    let mut missing = seconds;
    loop {
        provider.raw_request::<_, serde_json::Value>("evm_increaseTime".into(), (missing,)).await?;
        provider.raw_request::<_, serde_json::Value>("evm_mine".into(), ()).await?;
        // A node may count from its clock and not from its last block, which may be ahead of it.
        missing = target.saturating_sub(block_time(provider).await?);
        if missing == 0 {
            return Ok(());
        }
    }
}

pub(crate) async fn block_time(provider: &DynProvider) -> Result<u64, LedgerError> {
    let block = provider.get_block(alloy::eips::BlockId::latest()).await?;
    let block = block.ok_or_else(|| LedgerError::Decode("there is no latest block".into()))?;
    Ok(block.header.timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_says_nothing_is_one_that_may_come_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // It takes connections and never answers: what a half-open line looks like.
            let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", silent.local_addr().unwrap());
            let node = connect_within(&url, &Tls::default(), Duration::from_millis(100)).unwrap();
            let error = chain_id(&node).await.unwrap_err();
            assert!(error.is_retryable(), "{error}");
        });
    }
}
