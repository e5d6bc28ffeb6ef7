//! The events read so far. A read asks only for what is new; if the last block read is no longer part of the chain,
//! everything is read again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::client::BatchRequest;
use alloy::rpc::types::{Block, Filter, Log};

use super::ChainLog;
use super::rounds::Rounds;
use crate::{Deployment, LedgerError};

/// Blocks asked for at once; halved while the node finds it too much.
const PAGE: u64 = 10_000;

/// Everything read, in chain order. Shared, so that a longer list costs pointers and not copies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    logs: Arc<Vec<Arc<ChainLog>>>,
    /// How often everything was read again: logs of one reading only grow.
    pub(super) reading: u64,
}

impl std::ops::Deref for Events {
    type Target = [Arc<ChainLog>];

    fn deref(&self) -> &Self::Target {
        &self.logs
    }
}

#[derive(Debug)]
pub(super) struct Cache {
    contracts: Vec<Address>,
    from_block: u64,
    read: Mutex<Read>,
    /// What follows from the events, so that it is worked out once for each of them.
    pub(super) rounds: Mutex<Rounds>,
}

#[derive(Clone, Debug, Default)]
struct Read {
    events: Events,
    last: Option<Head>,
}

/// The last block read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) number: u64,
    hash: B256,
    pub(super) time: u64,
}

impl Cache {
    pub(super) fn new(deployment: &Deployment) -> Self {
        Self {
            contracts: vec![deployment.federations, deployment.rounds, deployment.payouts],
            from_block: deployment.from_block,
            read: Mutex::default(),
            rounds: Mutex::default(),
        }
    }

    pub(super) fn last(&self) -> Option<Head> {
        lock(&self.read).last
    }

    /// Reads what is new and returns everything; asks nothing if block `enough` has been read.
    pub(super) async fn refresh(&self, provider: &DynProvider, enough: Option<u64>) -> Result<Events, LedgerError> {
        let known = lock(&self.read).clone();
        let Some(last) = known.last else { return self.read_all(provider, known.events.reading).await };
        if enough.is_some_and(|enough| last.number >= enough) {
            return Ok(known.events);
        }
        let news = self.news(provider, last.number).await?;
        if news.head == last {
            return Ok(known.events);
        }
        if news.head.number < last.number || news.still != Some(last) {
            return self.read_all(provider, known.events.reading + 1).await;
        }
        let Events { logs, reading } = known.events;
        let mut logs = Arc::unwrap_or_clone(logs);
        let mut head = news.head;
        match news.logs {
            Some(found) => {
                take(provider, found, &mut logs).await?;
                // A block may have come between the one answer and the other.
                if let Some(log) = logs.last().filter(|log| log.block > head.number) {
                    head = Head { number: log.block, hash: log.block_hash, time: log.time };
                }
            }
            None => self.fetch(provider, last.number.saturating_add(1), head.number, &mut logs).await?,
        }
        Ok(self.keep(logs, reading, head))
    }

    async fn read_all(&self, provider: &DynProvider, reading: u64) -> Result<Events, LedgerError> {
        let head = provider.get_block(BlockId::latest()).await?.map(head);
        let head = head.ok_or_else(|| gone("latest"))?;
        let mut logs = Vec::new();
        self.fetch(provider, self.from_block, head.number, &mut logs).await?;
        // The head may have been taken back while we read; then its hash is not what we remember, and we read again.
        Ok(self.keep(logs, reading, head))
    }

    fn keep(&self, logs: Vec<Arc<ChainLog>>, reading: u64, head: Head) -> Events {
        let events = Events { logs: Arc::new(logs), reading };
        *lock(&self.read) = Read { events: events.clone(), last: Some(head) };
        events
    }

    /// The newest block, whether the last one read still stands, and what came after it: one question to the node.
    async fn news(&self, provider: &DynProvider, last: u64) -> Result<News, LedgerError> {
        // From the last block on, because nodes refuse a range of no blocks.
        let filter = Filter::new().address(self.contracts.clone()).from_block(last);
        let filter = filter.to_block(BlockNumberOrTag::Latest);
        let mut batch = BatchRequest::new(provider.client());
        let newest = batch.add_call("eth_getBlockByNumber", &(BlockNumberOrTag::Latest, false))?;
        let still = batch.add_call("eth_getBlockByNumber", &(BlockNumberOrTag::Number(last), false))?;
        let logs = batch.add_call("eth_getLogs", &(filter,))?;
        let (newest, still, logs): (Option<Block>, Option<Block>, _) = match batch.send().await {
            Ok(()) => (newest.await?, still.await?, Some(logs.await?)),
            // More than it gives at once, or it takes no batches.
            Err(error) if error.is_error_resp() => {
                let (newest, still) = (BlockId::latest(), BlockId::number(last));
                (provider.get_block(newest).await?, provider.get_block(still).await?, None)
            }
            Err(error) => return Err(error.into()),
        };
        let head = newest.map(head).ok_or_else(|| gone("latest"))?;
        let after = |logs: Vec<Log>| logs.into_iter().filter(|log| log.block_number > Some(last)).collect();
        Ok(News { head, still: still.map(self::head), logs: logs.map(after) })
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
                    take(provider, found, logs).await?;
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
}

/// What a node says of the chain since the last block read.
struct News {
    head: Head,
    /// The block that now stands where the last one read stood.
    still: Option<Head>,
    logs: Option<Vec<Log>>,
}

async fn take(provider: &DynProvider, found: Vec<Log>, logs: &mut Vec<Arc<ChainLog>>) -> Result<(), LedgerError> {
    for log in found.into_iter().filter(|log| !log.removed) {
        logs.push(Arc::new(timed(provider, log.try_into()?).await?));
    }
    Ok(())
}

/// Block times are asked for where the node does not put them into its logs.
async fn timed(provider: &DynProvider, mut log: ChainLog) -> Result<ChainLog, LedgerError> {
    if log.time == 0 {
        let block = provider.get_block(BlockId::hash(log.block_hash)).await?;
        log.time = block.ok_or_else(|| gone(&log.block.to_string()))?.header.timestamp;
    }
    Ok(log)
}

fn head(block: Block) -> Head {
    Head { number: block.header.number, hash: block.header.hash, time: block.header.timestamp }
}

fn gone(block: &str) -> LedgerError {
    LedgerError::Decode(format!("the node does not have block {block}, of which it told"))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are replaced whole, or taken out while they are changed, so a panic elsewhere leaves a usable one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
