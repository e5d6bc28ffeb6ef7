//! Writing: one sender per key owns the nonce and the outbox.
//!
//! A call is simulated and its gas estimated first, so that what the contracts refuse costs nothing and leaves no gap
//! in the nonces. Then it is signed, written into the outbox, and only then broadcast. From there on the transaction
//! is broadcast again and again, at rising fees if need be, until one of those signed for its nonce is in a block: by
//! the call that waits for it, by any later call, or by the next process that opens the same outbox.

mod config;
mod fees;
mod inclusion;
mod outbox;
mod resume;
mod transaction;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, TxKind};
use alloy::providers::{DynProvider, Provider};
use tokio::sync::Semaphore;

use crate::{ChainLog, LedgerError, SigningKey};
pub use config::SenderConfig;
use fees::Fees;
use outbox::Account;
pub use outbox::Outbox;
use transaction::{Signed, Verdict};

/// How often a call starts over because somebody else used the key's nonce.
const RESTARTS: usize = 3;

/// What became of a transaction.
#[derive(Clone, Debug)]
pub struct TxReceipt {
    pub hash: B256,
    pub block: u64,
    /// Time of its block.
    pub time: u64,
    pub gas_used: u64,
    /// The contract it created, if it created one.
    pub created: Option<Address>,
    pub logs: Vec<ChainLog>,
}

/// What sending has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions in blocks.
    pub transactions: u64,
    pub gas: u64,
    /// From the call to the receipt, summed over calls.
    pub waited: Duration,
}

/// The one that sends for a key. Clones share the nonce, the outbox and the counters.
#[derive(Clone, Debug)]
pub struct Sender {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    provider: DynProvider,
    key: SigningKey,
    outbox: Account,
    config: SenderConfig,
    chain_id: u64,
    /// One call at a time goes from simulation to broadcast: the next one must be simulated on top of it.
    turn: Semaphore,
    next_nonce: Mutex<u64>,
    counters: Mutex<Counters>,
    broadcasts: AtomicU64,
}

impl Sender {
    /// Opens the key's outbox: whatever it still holds is broadcast again, and included, before this returns.
    pub async fn new(provider: DynProvider, key: SigningKey, outbox: Outbox) -> Result<Self, LedgerError> {
        Self::with_config(provider, key, outbox, SenderConfig::default()).await
    }

    pub async fn with_config(
        provider: DynProvider,
        key: SigningKey,
        outbox: Outbox,
        config: SenderConfig,
    ) -> Result<Self, LedgerError> {
        let chain_id = provider.get_chain_id().await?;
        let outbox = outbox.account(chain_id, key.address());
        let sender = Self {
            inner: Arc::new(Inner {
                provider,
                key,
                outbox,
                config,
                chain_id,
                turn: Semaphore::new(1),
                next_nonce: Mutex::new(0),
                counters: Mutex::default(),
                broadcasts: AtomicU64::new(0),
            }),
        };
        sender.resume().await?;
        Ok(sender)
    }

    pub fn address(&self) -> Address {
        self.inner.key.address()
    }

    pub fn chain_id(&self) -> u64 {
        self.inner.chain_id
    }

    pub fn provider(&self) -> &DynProvider {
        &self.inner.provider
    }

    /// The nonce of the next transaction.
    pub fn next_nonce(&self) -> u64 {
        *self.inner.next_nonce.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn counters(&self) -> Counters {
        *self.inner.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raw transactions handed to the node, repetitions included.
    pub fn broadcasts(&self) -> u64 {
        self.inner.broadcasts.load(Ordering::Relaxed)
    }

    /// Calls a contract and waits until the transaction is included.
    pub async fn submit(&self, to: Address, calldata: impl Into<Bytes>) -> Result<TxReceipt, LedgerError> {
        self.send(TxKind::Call(to), calldata.into()).await
    }

    /// Creates a contract; `arguments` are the ABI-encoded arguments of its constructor.
    pub async fn create(&self, code: &[u8], arguments: &[u8]) -> Result<TxReceipt, LedgerError> {
        self.send(TxKind::Create, [code, arguments].concat().into()).await
    }

    async fn send(&self, to: TxKind, input: Bytes) -> Result<TxReceipt, LedgerError> {
        let start = Instant::now();
        let mut restarts = 0;
        loop {
            let included = match self.prepare(to, input.clone()).await {
                Ok(signed) => self.included(vec![signed]).await,
                Err(error) => Err(error),
            };
            match included {
                Ok(included) => {
                    self.count(&included, start.elapsed());
                    return self.succeeded(included, to, input).await;
                }
                // Nothing of ours is in a block for that nonce, so doing it again is not doing it twice.
                Err(LedgerError::Displaced { nonce }) if restarts < RESTARTS => {
                    restarts += 1;
                    tracing::warn!(nonce, account = %self.address(), "another transaction took our nonce");
                    self.resync().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// From the call to a transaction that the node knows of.
    async fn prepare(&self, to: TxKind, input: Bytes) -> Result<Signed, LedgerError> {
        let _turn = self.turn().await?;
        let (gas, fees) = self.quote(to, input.clone()).await?;
        let nonce = self.next_nonce();
        let signed = self.sign(nonce, gas, fees, to, input)?;
        self.inner.outbox.insert(&signed).await?;
        self.set_next_nonce(nonce.saturating_add(1));
        match self.broadcast(&signed).await? {
            // Whether it arrived or not: it is in the outbox, and whoever waits for it broadcasts it again.
            Verdict::Accepted | Verdict::Unreachable | Verdict::Underpriced => Ok(signed),
            Verdict::NonceTaken => {
                let displaced = self.check_displaced(std::slice::from_ref(&signed)).await;
                displaced.or_else(inclusion::unknown_for_now).map(|()| signed)
            }
            Verdict::Refused(error) => {
                // It will never be mined, so its nonce is free again.
                self.inner.outbox.settle(nonce, None).await?;
                self.set_next_nonce(nonce);
                Err(error)
            }
        }
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, LedgerError> {
        // Never closed.
        self.inner.turn.acquire().await.map_err(|error| LedgerError::Internal(error.to_string()))
    }

    fn set_next_nonce(&self, nonce: u64) {
        *self.inner.next_nonce.lock().unwrap_or_else(PoisonError::into_inner) = nonce;
    }

    fn count(&self, receipt: &inclusion::Included, waited: Duration) {
        let mut counters = self.inner.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.transactions = counters.transactions.saturating_add(1);
        counters.gas = counters.gas.saturating_add(receipt.receipt.gas_used);
        counters.waited = counters.waited.saturating_add(waited);
    }
}
