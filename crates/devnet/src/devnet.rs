use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;

use crate::chain::Chain;
use crate::error::RpcError;
use crate::{Access, DevnetConfig, DevnetError, DevnetTransport, http};

/// An embedded chain. Clones share it.
#[derive(Clone, Debug)]
pub struct Devnet {
    chain: Arc<Mutex<Chain>>,
}

impl Devnet {
    /// Opens or begins the chain kept in the file `path`, re-executing every block it holds.
    pub fn open(path: impl AsRef<Path>, config: &DevnetConfig) -> Result<Self, DevnetError> {
        Ok(Self::with(Chain::open(Some(path.as_ref()), config)?))
    }

    /// A chain that ends with the process.
    pub fn memory(config: &DevnetConfig) -> Result<Self, DevnetError> {
        Ok(Self::with(Chain::open(None, config)?))
    }

    fn with(chain: Chain) -> Self {
        Self { chain: Arc::new(Mutex::new(chain)) }
    }

    /// The in-process transport. It may also move time (`evm_*` methods).
    pub fn transport(&self) -> DevnetTransport {
        DevnetTransport::new(self.clone())
    }

    /// An alloy provider on the in-process transport, without fillers. A transaction is mined when it is accepted,
    /// so its receipt is there at the first look.
    pub fn provider(&self) -> DynProvider {
        let client = RpcClient::new(self.transport(), true).with_poll_interval(Duration::from_millis(1));
        ProviderBuilder::new().disable_recommended_fillers().connect_client(client).erased()
    }

    /// `POST /rpc` for any JSON-RPC client.
    pub fn router(&self, access: Access) -> axum::Router {
        http::router(self.clone(), access)
    }

    /// Moves time on by at least `seconds` and makes an empty block there.
    pub fn advance(&self, seconds: u64) -> Result<(), DevnetError> {
        let mut chain = self.lock();
        let tip = chain.tip().header.timestamp;
        chain.timing.increase(tip, seconds).map_err(refused)?;
        chain.mine_waiting().map_err(refused)
    }

    pub fn chain_id(&self) -> u64 {
        self.lock().chain_id
    }

    /// Number, hash and time of the newest block.
    pub fn tip(&self) -> (u64, B256, u64) {
        let chain = self.lock();
        let header = &chain.tip().header;
        (header.number, header.hash(), header.timestamp)
    }

    pub fn balance(&self, account: Address) -> U256 {
        self.lock().account(account).balance
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Chain> {
        // A block is pushed whole or not at all, so a panic in a reader leaves the chain as it was.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(error: RpcError) -> DevnetError {
    DevnetError::Refused(error.message.into_owned())
}

#[cfg(test)]
mod tests;
