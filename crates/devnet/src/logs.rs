//! `eth_getLogs`: a walk over the blocks asked for, skipping those whose bloom rules a match out.

use alloy::eips::BlockNumberOrTag;
use alloy::rpc::types::{Filter, FilterBlockOption, Log};

use crate::block::Block;
use crate::chain::Chain;
use crate::error::RpcError;

/// More than this in one answer and the caller is asked to narrow the range.
pub(crate) const MAX_LOGS: usize = 10_000;

impl Chain {
    pub(crate) fn logs(&self, filter: &Filter) -> Result<Vec<Log>, RpcError> {
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let block = self.block_by_hash(&hash).ok_or_else(|| RpcError::server("unknown block"))?;
                collect([block].into_iter(), filter)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let from = self.resolve(from_block.unwrap_or_default());
                let to = self.resolve(to_block.unwrap_or_default());
                if from > to {
                    return Err(RpcError::params("invalid block range params"));
                }
                self.logs_between(from, to, filter)
            }
        }
    }

    pub(crate) fn logs_between(&self, from: u64, to: u64, filter: &Filter) -> Result<Vec<Log>, RpcError> {
        let to = to.min(self.tip().header.number);
        collect((from..=to).filter_map(|n| self.block(n)), filter)
    }

    pub(crate) fn resolve(&self, tag: BlockNumberOrTag) -> u64 {
        match tag {
            BlockNumberOrTag::Number(number) => number,
            BlockNumberOrTag::Earliest => 0,
            // Everything included is final here.
            BlockNumberOrTag::Latest
            | BlockNumberOrTag::Safe
            | BlockNumberOrTag::Finalized
            | BlockNumberOrTag::Pending => self.tip().header.number,
        }
    }
}

fn collect<'a>(blocks: impl Iterator<Item = &'a Block>, filter: &Filter) -> Result<Vec<Log>, RpcError> {
    let mut found = Vec::new();
    for block in blocks.filter(|block| filter.matches_bloom(block.header.logs_bloom)) {
        for index in 0..block.txs.len() {
            let logs = block.rpc_logs(index).into_iter();
            found.extend(logs.filter(|log| filter.matches(&log.inner)));
        }
        if found.len() > MAX_LOGS {
            return Err(RpcError::limit(format!("query returned more than {MAX_LOGS} results")));
        }
    }
    Ok(found)
}
