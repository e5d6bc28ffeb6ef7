//! What a transaction offers: twice the base fee and a modest tip, both under a ceiling.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::U64;
use alloy::providers::Provider;
use alloy::rpc::types::FeeHistory;

use super::{Sender, SenderConfig};
use crate::LedgerError;

const HISTORY_BLOCKS: u64 = 10;
const TIP_PERCENTILE: f64 = 20.0;
/// A replacement must pay at least 10 % more on every node, 12.5 % on some.
const BUMP_EIGHTHS: u128 = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fees {
    pub(super) max_fee: u128,
    pub(super) tip: u128,
}

impl Fees {
    /// Twice the base fee survives five full blocks in a row.
    fn offer(base_fee: u128, tip: u128, ceiling: u128) -> Result<Self, LedgerError> {
        if base_fee > ceiling {
            return Err(LedgerError::FeeCeiling { base_fee, ceiling });
        }
        let max_fee = base_fee.saturating_mul(2).saturating_add(tip).min(ceiling);
        Ok(Self { max_fee, tip: tip.min(max_fee) })
    }

    /// At least an eighth more than before, at least what would be offered now; `None` above the ceiling.
    pub(super) fn bumped(self, now: Self, ceiling: u128) -> Option<Self> {
        let raise = |fee: u128| fee.saturating_mul(BUMP_EIGHTHS).div_ceil(8).saturating_add(1);
        let max_fee = raise(self.max_fee).max(now.max_fee);
        let tip = raise(self.tip).max(now.tip);
        (max_fee <= ceiling).then_some(Self { max_fee, tip: tip.min(max_fee) })
    }
}

/// What to ask a node for: `eth_feeHistory`.
pub(super) fn question() -> (U64, BlockNumberOrTag, [f64; 1]) {
    (U64::from(HISTORY_BLOCKS), BlockNumberOrTag::Latest, [TIP_PERCENTILE])
}

impl Sender {
    pub(super) async fn fees(&self) -> Result<Fees, LedgerError> {
        let (blocks, newest, percentiles) = question();
        let history = self.inner.provider.get_fee_history(blocks.to(), newest, &percentiles).await?;
        Fees::following(&history, &self.inner.config)
    }
}

impl Fees {
    /// What to offer after these blocks.
    pub(super) fn following(history: &FeeHistory, config: &SenderConfig) -> Result<Self, LedgerError> {
        let base_fee = history.next_block_base_fee().or(history.latest_block_base_fee()).unwrap_or_default();
        let mut tips: Vec<u128> = history.reward.iter().flatten().flatten().copied().filter(|tip| *tip > 0).collect();
        tips.sort_unstable();
        let usual = tips.get(tips.len() / 2).copied().unwrap_or_default();
        Self::offer(base_fee, usual.max(config.least_tip), config.fee_ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_stays_under_the_ceiling() {
        assert_eq!(Fees::offer(100, 5, 1000).unwrap(), Fees { max_fee: 205, tip: 5 });
        assert_eq!(Fees::offer(100, 5, 150).unwrap(), Fees { max_fee: 150, tip: 5 });
        assert!(matches!(Fees::offer(151, 5, 150), Err(LedgerError::FeeCeiling { base_fee: 151, ceiling: 150 })));
    }

    #[test]
    fn a_bump_is_an_eighth_or_what_is_due_now() {
        let old = Fees { max_fee: 800, tip: 80 };
        let now = Fees { max_fee: 100, tip: 500 };
        let bumped = old.bumped(now, 10_000).unwrap();
        assert_eq!(bumped, Fees { max_fee: 901, tip: 500 });
        assert_eq!(old.bumped(now, 900), None);
    }
}
