use alloy::primitives::{Address, B256, U256};

use super::{ClaimRecord, Ledger};
use crate::LedgerError;
use crate::contracts::Payouts as P;

impl Ledger {
    /// Every payment of a federation, in chain order.
    pub async fn claims(&self, federation: u64) -> Result<Vec<ClaimRecord>, LedgerError> {
        let events = self.events().await?;
        let mut claims = Vec::new();
        for log in events.iter().filter(|log| log.address == self.deployment.payouts) {
            let Some(e) = log.decode::<P::Claimed>().filter(|e| e.federation == federation) else { continue };
            claims.push(ClaimRecord {
                account: e.account,
                cumulative: amount(e.cumulative)?,
                paid: amount(e.paid)?,
                time: log.time,
                block: log.block,
                tx: log.tx,
                log_index: log.index,
            });
        }
        Ok(claims)
    }

    /// What an account has been paid in a federation so far.
    pub async fn claimed_by(&self, federation: u64, account: Address) -> Result<U256, LedgerError> {
        self.view(self.deployment.payouts, P::claimedByCall { federation, account }).await
    }

    /// The root people claim from now.
    pub async fn payout_root(&self, federation: u64) -> Result<B256, LedgerError> {
        self.view(self.deployment.payouts, P::rootOfCall { federation }).await
    }
}

/// A claim is never more than the federation was credited, which fits 128 bits many times over.
fn amount(value: U256) -> Result<u128, LedgerError> {
    u128::try_from(value).map_err(|_| LedgerError::Decode("a claim above 2^128".into()))
}
