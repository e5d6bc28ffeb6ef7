//! The events read so far. A read asks only for what is new; if the last block read is no longer part of the chain,
//! everything is read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::eips::BlockId;
use alloy::primitives::{Address, B256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::Filter;

use super::ChainLog;
use crate::{Deployment, LedgerError};

/// Blocks asked for at once; halved while the node finds it too much.
const PAGE: u64 = 10_000;
/// Gas figures kept; forgotten all at once when there are more.
const MAX_GAS: usize = 65_536;

/// Shared, so that a longer list costs pointers and not copies.
pub(crate) type Events = Arc<Vec<Arc<ChainLog>>>;

#[derive(Debug)]
pub(super) struct Cache {
    contracts: Vec<Address>,
    from_block: u64,
    read: Mutex<Read>,
    gas: Mutex<HashMap<B256, u64>>,
}

#[derive(Clone, Debug, Default)]
struct Read {
    logs: Events,
    /// Number and hash of the last block read.
    last: Option<(u64, B256)>,
}

impl Cache {
    pub(super) fn new(deployment: &Deployment) -> Self {
        Self {
            contracts: vec![deployment.federations, deployment.rounds, deployment.payouts],
            from_block: deployment.from_block,
            read: Mutex::default(),
            gas: Mutex::default(),
        }
    }

    /// Reads what is new and returns everything.
    pub(super) async fn refresh(&self, provider: &DynProvider) -> Result<Events, LedgerError> {
        let known = lock(&self.read).clone();
        let head = header(provider, BlockId::latest()).await?;
        if known.last == Some(head) {
            return Ok(known.logs);
        }
        let kept = match known.last {
            Some((number, hash)) if number <= head.0 => {
                let still = header(provider, BlockId::number(number)).await?.1 == hash;
                still.then_some((known.logs, number.saturating_add(1)))
            }
            _ => None,
        };
        let (logs, from) = kept.unwrap_or_else(|| (Arc::default(), self.from_block));
        let mut logs = Arc::unwrap_or_clone(logs);
        self.fetch(provider, from, head.0, &mut logs).await?;
        // The head may have been taken back while we read; then its hash is not what we remember, and we read again.
        let read = Read { logs: Arc::new(logs), last: Some(head) };
        *lock(&self.read) = read.clone();
        Ok(read.logs)
    }

    async fn fetch(
        &self,
        provider: &DynProvider,
        mut from: u64,
        to: u64,
        logs: &mut Vec<Arc<ChainLog>>,
    ) -> Result<(), LedgerError> {
        let mut page = PAGE;
        while from <= to {
            let end = to.min(from.saturating_add(page.saturating_sub(1)));
            let filter = Filter::new().address(self.contracts.clone()).from_block(from).to_block(end);
            match provider.get_logs(&filter).await {
                Ok(found) => {
                    for log in found.into_iter().filter(|log| !log.removed) {
                        logs.push(Arc::new(timed(provider, log.try_into()?).await?));
                    }
                    from = end.saturating_add(1);
                    page = page.saturating_mul(2).min(PAGE);
                }
                // Nodes refuse ranges that are too wide or match too much, each in its own words.
                Err(error) if error.is_error_resp() && page > 1 => page /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gas that a transaction used.
    pub(super) async fn gas(&self, provider: &DynProvider, tx: B256) -> Result<u64, LedgerError> {
        if let Some(gas) = lock(&self.gas).get(&tx) {
            return Ok(*gas);
        }
        let receipt = provider.get_transaction_receipt(tx).await?;
        let gas = receipt.ok_or_else(|| LedgerError::Decode(format!("{tx} has logs but no receipt")))?.gas_used;
        let mut known = lock(&self.gas);
        if known.len() >= MAX_GAS {
            known.clear();
        }
        known.insert(tx, gas);
        Ok(gas)
    }
}

/// Block times are asked for where the node does not put them into its logs.
async fn timed(provider: &DynProvider, mut log: ChainLog) -> Result<ChainLog, LedgerError> {
    if log.time == 0 {
        let block = provider.get_block(BlockId::hash(log.block_hash)).await?;
        let block = block.ok_or_else(|| LedgerError::Decode(format!("block {} is gone", log.block)))?;
        log.time = block.header.timestamp;
    }
    Ok(log)
}

async fn header(provider: &DynProvider, block: BlockId) -> Result<(u64, B256), LedgerError> {
    let block = provider.get_block(block).await?;
    let block = block.ok_or_else(|| LedgerError::Decode("the node does not have a block it told of".into()))?;
    Ok((block.header.number, block.header.hash))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are replaced whole, so a panic elsewhere leaves a usable one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
