use alloy::consensus::Transaction;
use alloy::eips::BlockNumberOrTag;
use alloy::primitives::U64;
use alloy::rpc::types::FeeHistory;

use super::params::Params;
use crate::block::Block;
use crate::chain::Chain;
use crate::error::RpcError;

/// The limits of geth.
const MAX_BLOCKS: u64 = 1024;
const MAX_PERCENTILES: usize = 100;

impl Chain {
    /// Base fee of the next block.
    pub(super) fn base_fee(&self) -> u64 {
        self.pending().base_fee_per_gas.unwrap_or_default()
    }

    pub(super) fn fee_history(&self, params: &Params) -> Result<FeeHistory, RpcError> {
        let asked: u64 = params.required::<U64>(0)?.to();
        let newest: BlockNumberOrTag = params.required(1)?;
        let percentiles: Vec<f64> = params.optional(2)?.unwrap_or_default();
        if percentiles.len() > MAX_PERCENTILES || !percentiles.is_sorted() {
            return Err(RpcError::params("invalid reward percentiles"));
        }
        let newest = self.resolve(newest);
        if newest > self.tip().header.number {
            return Err(RpcError::server("request beyond head block"));
        }
        let count = asked.clamp(1, MAX_BLOCKS).min(newest.saturating_add(1));
        let oldest = newest.saturating_add(1).saturating_sub(count);
        let blocks: Vec<&Block> = (oldest..=newest).filter_map(|n| self.block(n)).collect();
        let after = match self.block(newest.saturating_add(1)) {
            Some(block) => block.header.base_fee_per_gas.unwrap_or_default(),
            None => self.base_fee(),
        };
        let fees = blocks.iter().filter_map(|b| b.header.base_fee_per_gas);
        Ok(FeeHistory {
            base_fee_per_gas: fees.chain([after]).map(u128::from).collect(),
            gas_used_ratio: blocks.iter().map(|b| b.header.gas_used as f64 / b.header.gas_limit as f64).collect(),
            base_fee_per_blob_gas: vec![1; blocks.len().saturating_add(1)],
            blob_gas_used_ratio: vec![0.0; blocks.len()],
            oldest_block: oldest,
            reward: (!percentiles.is_empty()).then(|| blocks.iter().map(|b| tips(b, &percentiles)).collect()),
        })
    }
}

/// The tips at these percentiles of the block's gas; zero for an empty block.
fn tips(block: &Block, percentiles: &[f64]) -> Vec<u128> {
    let base = block.header.base_fee_per_gas.unwrap_or_default();
    let mut paid: Vec<(u128, u64)> =
        block.txs.iter().map(|mined| (mined.tx.effective_tip_per_gas(base).unwrap_or(0), mined.gas_used)).collect();
    paid.sort_unstable();
    let at = |percentile: &f64| {
        let threshold = block.header.gas_used as f64 * percentile / 100.0;
        let mut sum = 0.0;
        let found = paid.iter().find(|(_, gas)| {
            sum += *gas as f64;
            sum >= threshold
        });
        found.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(at).collect()
}
