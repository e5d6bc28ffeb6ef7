//! Waiting for a transaction, and doing what it takes.

use alloy::network::TransactionBuilder;
use alloy::primitives::{Bytes, TxKind};
use alloy::providers::Provider;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use tokio::time::{Instant, sleep};

use super::transaction::{Signed, Verdict};
use super::{Sender, TxReceipt};
use crate::{LedgerError, Revert};

/// The receipt of whichever transaction of a nonce was mined.
#[derive(Debug)]
pub(super) struct Included {
    pub(super) receipt: TransactionReceipt,
}

/// One nonce and everything signed for it, dearest last.
struct Wait {
    attempts: Vec<Signed>,
    started: Instant,
    broadcast: Instant,
    /// When, and at which block, the last fee was offered.
    offered: (Instant, u64),
}

impl Sender {
    pub(super) async fn included(&self, attempts: Vec<Signed>) -> Result<Included, LedgerError> {
        // An embedded chain has the receipt at once: ask before anything else.
        match self.settled(&attempts).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => unknown_for_now(error)?,
        }
        let now = Instant::now();
        let head = self.inner.provider.get_block_number().await.unwrap_or_default();
        let mut wait = Wait { attempts, started: now, broadcast: now, offered: (now, head) };
        loop {
            sleep(self.inner.provider.client().poll_interval()).await;
            match self.settled(&wait.attempts).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) => unknown_for_now(error)?,
            }
            if wait.started.elapsed() >= self.inner.config.give_up_after {
                return Err(wait.gave_up());
            }
            self.urge(&mut wait).await.or_else(unknown_for_now)?;
        }
    }

    /// Broadcasts again, or offers more, when it is time for that.
    async fn urge(&self, wait: &mut Wait) -> Result<(), LedgerError> {
        let config = &self.inner.config;
        if wait.broadcast.elapsed() < config.rebroadcast_every {
            return Ok(());
        }
        wait.broadcast = Instant::now();
        let head = self.inner.provider.get_block_number().await?;
        let blocks = head.saturating_sub(wait.offered.1);
        if blocks >= config.bump_after_blocks || wait.offered.0.elapsed() >= config.bump_after {
            wait.offered = (Instant::now(), head);
            self.bump(wait).await?;
        }
        self.rebroadcast(wait).await
    }

    /// Everything up to our nonce that is in no block: an earlier one that got lost, or was taken back, holds ours up.
    async fn rebroadcast(&self, wait: &Wait) -> Result<(), LedgerError> {
        let (nonce, mined) = (wait.nonce(), self.mined_nonce().await?);
        if mined > nonce {
            return self.check_displaced(&wait.attempts).await;
        }
        for entry in self.inner.outbox.from(mined).await?.into_iter().filter(|entry| entry.nonce <= nonce) {
            let signed = Signed::from_raw(&entry.raw)?;
            if let Verdict::Refused(error) = self.broadcast(&signed).await? {
                tracing::debug!(hash = %signed.hash, %error, "refused for now");
            }
        }
        Ok(())
    }

    /// An error if the nonce of these transactions is used up, and by none of them. Only a node that answers both
    /// questions can tell.
    pub(super) async fn check_displaced(&self, attempts: &[Signed]) -> Result<(), LedgerError> {
        let Some(nonce) = attempts.last().map(|signed| signed.nonce) else { return Ok(()) };
        if self.mined_nonce().await? <= nonce {
            return Ok(());
        }
        // The count was read after the block with it, so a receipt that is still missing now will never come.
        if self.receipt(attempts).await?.is_some() {
            return Ok(());
        }
        self.inner.outbox.settle(nonce, None).await?;
        Err(LedgerError::Displaced { nonce })
    }

    async fn bump(&self, wait: &mut Wait) -> Result<(), LedgerError> {
        let Some(last) = wait.attempts.last().cloned() else { return Ok(()) };
        let now = match self.fees().await {
            Ok(now) => now,
            // Too dear for now: what was offered stands.
            Err(LedgerError::FeeCeiling { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(fees) = last.fees.bumped(now, self.inner.config.fee_ceiling) else { return Ok(()) };
        let signed = self.sign(last.nonce, last.gas, fees, last.to, last.input)?;
        tracing::info!(nonce = signed.nonce, hash = %signed.hash, max_fee = fees.max_fee, "raising the fee");
        self.inner.outbox.insert(&signed).await?;
        wait.attempts.push(signed);
        Ok(())
    }

    /// The receipt, once there is one; its nonce is settled in the outbox then. Should its block be taken back, whoever
    /// looks finds the transaction in the outbox.
    async fn settled(&self, attempts: &[Signed]) -> Result<Option<Included>, LedgerError> {
        let Some(receipt) = self.receipt(attempts).await? else { return Ok(None) };
        let Some(mined) = attempts.iter().find(|signed| signed.hash == receipt.transaction_hash) else {
            return Err(LedgerError::Decode("a receipt of a transaction we did not ask for".into()));
        };
        self.inner.outbox.settle(mined.nonce, Some(mined.hash)).await?;
        Ok(Some(Included { receipt }))
    }

    async fn receipt(&self, attempts: &[Signed]) -> Result<Option<TransactionReceipt>, LedgerError> {
        for signed in attempts.iter().rev() {
            let receipt = self.inner.provider.get_transaction_receipt(signed.hash).await?;
            if let Some(receipt) = receipt.filter(|receipt| receipt.block_number.is_some()) {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    /// Turns an included transaction into what the caller wants to know, or into why it failed.
    pub(super) async fn succeeded(
        &self,
        included: Included,
        to: TxKind,
        input: Bytes,
    ) -> Result<TxReceipt, LedgerError> {
        let receipt = included.receipt;
        let hash = receipt.transaction_hash;
        if !receipt.status() {
            let revert = self.why(to, input).await;
            return Err(LedgerError::Failed { hash, revert });
        }
        let block = receipt.block_number.unwrap_or_default();
        let time = match receipt.logs().first().and_then(|log| log.block_timestamp) {
            Some(time) => time,
            None => {
                let block = self.inner.provider.get_block(block.into()).await?;
                block.map_or(0, |block| block.header.timestamp)
            }
        };
        let created = receipt.contract_address;
        let gas_used = receipt.gas_used;
        let logs = receipt.logs().iter().cloned().map(|log| {
            let mut log = crate::ChainLog::try_from(log)?;
            log.time = time;
            Ok(log)
        });
        let logs = logs.collect::<Result<_, LedgerError>>()?;
        Ok(TxReceipt { hash, block, time, gas_used, created, logs })
    }

    /// The reason, if the call still fails for the same one.
    async fn why(&self, to: TxKind, input: Bytes) -> Option<Box<Revert>> {
        let request = TransactionRequest::default().with_from(self.address()).with_kind(to).with_input(input);
        let error = self.inner.provider.call(request).latest().await.err()?;
        match LedgerError::from(error) {
            LedgerError::Reverted(revert) => Some(revert),
            _ => None,
        }
    }
}

/// A node that is away, or that does not know yet (geth while it indexes), has not said that a transaction is lost:
/// the wait goes on. Everything else ends it.
pub(super) fn unknown_for_now(error: LedgerError) -> Result<(), LedgerError> {
    match error {
        LedgerError::Transport(_) | LedgerError::Refused { .. } => {
            tracing::debug!(%error, "the node cannot say what became of a transaction");
            Ok(())
        }
        error => Err(error),
    }
}

impl Wait {
    fn nonce(&self) -> u64 {
        self.attempts.last().map_or(0, |signed| signed.nonce)
    }

    fn gave_up(&self) -> LedgerError {
        LedgerError::NotMined {
            hash: self.attempts.last().map(|signed| signed.hash).unwrap_or_default(),
            seconds: self.started.elapsed().as_secs(),
        }
    }
}
