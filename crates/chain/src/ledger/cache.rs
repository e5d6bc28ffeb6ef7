//! The events read so far. A read asks only for what is new; if the last block read is no longer part of the chain,
//! what came after the last event that still stands is read again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::client::BatchRequest;
use alloy::rpc::types::{Block, Log};
use serde_json::{Value, json};

use super::depth::{Depth, Reorganised};
use super::rounds::Rounds;
use super::{ChainLog, block};
use crate::{Deployment, LedgerError};

/// Blocks asked for at once; halved while the node finds it too much.
const PAGE: u64 = 10_000;

/// Everything read, in chain order. Shared, so that a longer list costs pointers and not copies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    logs: Arc<Vec<Arc<ChainLog>>>,
    /// How often something was taken back: logs of one reading only grow.
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
    taken_back: Option<Reorganised>,
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

    /// The last time that the chain took back what was read.
    pub(super) fn taken_back(&self) -> Option<Reorganised> {
        lock(&self.read).taken_back
    }

    /// Reads what is new and returns everything; asks nothing if block `enough` has been read.
    pub(super) async fn refresh(
        &self,
        provider: &DynProvider,
        depth: Depth,
        enough: Option<u64>,
    ) -> Result<Events, LedgerError> {
        let known = lock(&self.read).clone();
        let Some(last) = known.last else {
            let head = head_at(provider, depth.newest(provider).await?).await?;
            let mut logs = Vec::new();
            self.fetch(provider, self.from_block, head.number, &mut logs).await?;
            // It may have been taken back while we read; then its hash is not what we remember, which the next read sees.
            return Ok(self.keep(logs, known, head));
        };
        if enough.is_some_and(|enough| last.number >= enough) {
            return Ok(known.events);
        }
        let newest = depth.newest(provider).await?;
        if newest.as_number().is_some_and(|number| number <= last.number) {
            // Nothing new. A node that is behind says nothing against what others have shown.
            return match block(provider, last.number.into()).await?.map(head) {
                Some(still) if still != last => self.roll_back(provider, depth, known, last).await,
                Some(_) | None => Ok(known.events),
            };
        }
        let news = self.news(provider, last.number, newest).await?;
        if news.head == last {
            return Ok(known.events);
        }
        if news.head.number < last.number || news.still != Some(last) {
            return self.roll_back(provider, depth, known, last).await;
        }
        let mut logs = Vec::clone(&known.events.logs);
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
        Ok(self.keep(logs, known, head))
    }

    /// Forgets what the chain took back, and reads on from there.
    async fn roll_back(
        &self,
        provider: &DynProvider,
        depth: Depth,
        mut known: Read,
        last: Head,
    ) -> Result<Events, LedgerError> {
        let mut logs = Vec::clone(&known.events.logs);
        while let Some((number, hash)) = logs.last().map(|log| (log.block, log.block_hash)) {
            if block(provider, number.into()).await?.is_some_and(|block| block.header.hash == hash) {
                break;
            }
            logs.truncate(logs.partition_point(|log| log.block < number));
        }
        let kept = logs.last().map_or(0, |log| log.block);
        let mut head = head_at(provider, depth.newest(provider).await?).await?;
        if head.number < kept {
            head = head_at(provider, kept.into()).await?;
        }
        self.fetch(provider, self.from_block.max(kept.saturating_add(1)), head.number, &mut logs).await?;
        known.events.reading = known.events.reading.saturating_add(1);
        let Head { number: block, hash: was, .. } = last;
        known.taken_back = Some(Reorganised { count: known.events.reading, block, was, depth, kept });
        Ok(self.keep(logs, known, head))
    }

    fn keep(&self, logs: Vec<Arc<ChainLog>>, known: Read, head: Head) -> Events {
        let Read { events: Events { reading, .. }, taken_back, .. } = known;
        let events = Events { logs: Arc::new(logs), reading };
        *lock(&self.read) = Read { events: events.clone(), last: Some(head), taken_back };
        events
    }

    /// The newest block, whether the last one read still stands, and what came after it: one question to the node.
    async fn news(&self, provider: &DynProvider, last: u64, upto: BlockNumberOrTag) -> Result<News, LedgerError> {
        // From the last block on, because nodes refuse a range of no blocks.
        let filter = self.filter(last, upto);
        let mut batch = BatchRequest::new(provider.client());
        let newest = batch.add_call("eth_getBlockByNumber", &(upto, false))?;
        let still = batch.add_call("eth_getBlockByNumber", &(BlockNumberOrTag::Number(last), false))?;
        let logs = batch.add_call("eth_getLogs", &(filter,))?;
        let (newest, still, logs): (Option<Block>, Option<Block>, _) = match batch.send().await {
            Ok(()) => (newest.await?, still.await?, Some(logs.await?)),
            // More than it gives at once, or it takes no batches.
            Err(error) if error.is_error_resp() => {
                (block(provider, upto).await?, block(provider, last.into()).await?, None)
            }
            Err(error) => return Err(error.into()),
        };
        let head = newest.map(head).ok_or_else(|| gone(&upto.to_string()))?;
        let after = |logs: Vec<Log>| logs.into_iter().filter(|log| log.block_number > Some(last)).collect();
        Ok(News { head, still: still.map(self::head), logs: logs.map(after) })
    }

    /// Events of the contracts. Not alloy's type, whose addresses are in another order every time: the same question is
    /// the same words.
    fn filter(&self, from: u64, to: BlockNumberOrTag) -> Value {
        json!({ "fromBlock": BlockNumberOrTag::Number(from), "toBlock": to, "address": self.contracts })
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
            match provider.raw_request("eth_getLogs".into(), (self.filter(from, end.into()),)).await {
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

async fn head_at(provider: &DynProvider, at: BlockNumberOrTag) -> Result<Head, LedgerError> {
    block(provider, at).await?.map(head).ok_or_else(|| gone(&at.to_string()))
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
