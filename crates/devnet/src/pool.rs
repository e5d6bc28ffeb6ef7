//! Transactions that wait: for an earlier nonce, or for a block while automining is off. Not kept across a restart,
//! as on any node; their senders broadcast again.

use std::collections::{BTreeMap, HashSet};

use alloy::consensus::transaction::Recovered;
use alloy::consensus::{Transaction, TxEnvelope};
use alloy::primitives::{Address, B256};

use crate::error::RpcError;

const MAX_WAITING: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    waiting: BTreeMap<(Address, u64), Recovered<TxEnvelope>>,
    hashes: HashSet<B256>,
}

impl Pool {
    pub(crate) fn contains(&self, hash: &B256) -> bool {
        self.hashes.contains(hash)
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&Recovered<TxEnvelope>> {
        self.hashes.contains(hash).then(|| self.waiting.values().find(|tx| tx.tx_hash() == hash))?
    }

    /// Adds a transaction; one with the same nonce gives way if the new one pays at least a tenth more.
    pub(crate) fn insert(&mut self, tx: Recovered<TxEnvelope>) -> Result<(), RpcError> {
        let key = (tx.signer(), tx.nonce());
        if let Some(old) = self.waiting.get(&key) {
            let raised = |old: u128, new: u128| new >= old.saturating_add(old / 10).max(1);
            let tip =
                |tx: &Recovered<TxEnvelope>| tx.max_priority_fee_per_gas().unwrap_or_else(|| tx.max_fee_per_gas());
            if !raised(old.max_fee_per_gas(), tx.max_fee_per_gas()) || !raised(tip(old), tip(&tx)) {
                return Err(RpcError::server("replacement transaction underpriced"));
            }
            self.hashes.remove(old.tx_hash());
        } else if self.waiting.len() >= MAX_WAITING {
            return Err(RpcError::server("txpool is full"));
        }
        self.hashes.insert(*tx.tx_hash());
        self.waiting.insert(key, tx);
        Ok(())
    }

    pub(crate) fn take(&mut self, account: Address, nonce: u64) -> Option<Recovered<TxEnvelope>> {
        let tx = self.waiting.remove(&(account, nonce))?;
        self.hashes.remove(tx.tx_hash());
        Some(tx)
    }

    /// Forgets what can no longer be mined, `nonce` being the account's next.
    pub(crate) fn forget_below(&mut self, account: Address, nonce: u64) {
        let stale: Vec<u64> =
            self.waiting.range((account, 0)..(account, nonce)).map(|((_, nonce), _)| *nonce).collect();
        for nonce in stale {
            self.take(account, nonce);
        }
    }

    /// The first nonce from `nonce` on for which nothing waits.
    pub(crate) fn next_nonce(&self, account: Address, mut nonce: u64) -> u64 {
        while self.waiting.contains_key(&(account, nonce)) {
            nonce = nonce.saturating_add(1);
        }
        nonce
    }

    pub(crate) fn accounts(&self) -> Vec<Address> {
        let mut accounts: Vec<_> = self.waiting.keys().map(|(account, _)| *account).collect();
        accounts.dedup();
        accounts
    }
}
