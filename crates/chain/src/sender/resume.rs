//! Taking up where the last process, or a chain that lost blocks, left off.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use alloy::providers::Provider;
use almoner_journal::OutboxStatus;

use super::transaction::{Signed, Verdict};
use super::{Sender, inclusion};
use crate::LedgerError;

impl Sender {
    /// Sends again what was in blocks that the chain took back; whether there was anything of the kind.
    pub async fn recover(&self) -> Result<bool, LedgerError> {
        let mined = self.mined_nonce().await?;
        if mined >= self.next_nonce() {
            return Ok(false);
        }
        let later = self.inner.outbox.from(mined).await?;
        let lost = later.iter().filter(|entry| entry.status == OutboxStatus::Mined).count();
        if lost == 0 {
            return Ok(false);
        }
        tracing::warn!(lost, account = %self.address(), "the chain took transactions of ours back: sending them again");
        self.resume().await?;
        Ok(true)
    }

    /// Sends again whatever the outbox holds that the chain does not, and sets the next nonce.
    pub(super) async fn resume(&self) -> Result<(), LedgerError> {
        let _turn = self.turn().await?;
        let mined = self.mined_nonce().await?;
        // Pending ones, and those that were mined in blocks the chain no longer has: lowest nonce first.
        let mut waiting = BTreeMap::<u64, Vec<Signed>>::new();
        let pending = self.inner.outbox.pending().await?;
        let lost = self.inner.outbox.from(mined).await?;
        for entry in pending.into_iter().chain(lost) {
            let signed = Signed::from_raw(&entry.raw)?;
            let of_nonce = waiting.entry(signed.nonce).or_default();
            if of_nonce.iter().all(|known| known.hash != signed.hash) {
                of_nonce.push(signed);
            }
        }
        for (nonce, mut attempts) in waiting {
            // The dearest last: the one that is waited for, and bumped.
            attempts.sort_by_key(|signed| signed.fees.max_fee);
            self.finish(nonce, attempts).await?;
        }
        self.set_next_nonce(self.mined_nonce().await?);
        Ok(())
    }

    async fn finish(&self, nonce: u64, attempts: Vec<Signed>) -> Result<(), LedgerError> {
        let Some(last) = attempts.last().cloned() else { return Ok(()) };
        tracing::info!(nonce, hash = %last.hash, "finishing a transaction of an earlier run");
        for signed in &attempts {
            self.inner.outbox.insert(signed).await?;
            if let Verdict::Refused(error) = self.broadcast(signed).await? {
                tracing::debug!(nonce, %error, "a transaction of an earlier run is refused");
            }
        }
        let finished = match self.check_displaced(&attempts).await.or_else(inclusion::unknown_for_now) {
            Ok(()) => self.included(attempts).await,
            Err(error) => Err(error),
        };
        match finished {
            Ok(_) => Ok(()),
            Err(LedgerError::Displaced { nonce }) => {
                tracing::warn!(nonce, "another transaction took the nonce of one in the outbox");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The next nonce from the chain, after somebody else used our key.
    pub(super) async fn resync(&self) -> Result<(), LedgerError> {
        let _turn = self.turn().await?;
        let mined = self.mined_nonce().await?;
        let mut next = self.inner.next_nonce.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(mined);
        Ok(())
    }

    /// The first nonce that no block has used.
    pub(super) async fn mined_nonce(&self) -> Result<u64, LedgerError> {
        Ok(self.inner.provider.get_transaction_count(self.address()).latest().await?)
    }
}
