//! The outbox of one key on one chain, in the role's journal.

use alloy::primitives::{Address, B256};
use almoner_journal::{Journal, OutboxEntry};

use super::transaction::Signed;
use crate::LedgerError;

/// Where signed transactions are written before they are broadcast. One journal may hold the outboxes of several keys.
#[derive(Clone, Debug)]
pub struct Outbox(Journal);

impl Outbox {
    pub fn new(journal: Journal) -> Self {
        Self(journal)
    }

    /// Forgotten with the process: for a key that sends nothing worth finishing after a crash.
    pub fn memory() -> Result<Self, LedgerError> {
        Ok(Self(Journal::memory()?))
    }

    pub(super) fn account(self, chain_id: u64, address: Address) -> Account {
        let key = [&chain_id.to_be_bytes(), address.as_slice()].concat();
        Account { journal: self.0, key }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    journal: Journal,
    key: Vec<u8>,
}

impl Account {
    pub(super) async fn insert(&self, signed: &Signed) -> Result<(), LedgerError> {
        let (nonce, hash, raw) = (signed.nonce, signed.hash.0, signed.raw.clone());
        self.run(move |journal, key| journal.outbox_insert(key, nonce, hash, &raw)).await
    }

    pub(super) async fn settle(&self, nonce: u64, mined: Option<B256>) -> Result<(), LedgerError> {
        self.run(move |journal, key| journal.outbox_settle(key, nonce, mined.map(|hash| hash.0))).await
    }

    pub(super) async fn pending(&self) -> Result<Vec<OutboxEntry>, LedgerError> {
        self.run(|journal, key| journal.outbox_pending(key)).await
    }

    pub(super) async fn from(&self, nonce: u64) -> Result<Vec<OutboxEntry>, LedgerError> {
        self.run(move |journal, key| journal.outbox_from(key, nonce)).await
    }

    /// An fsync belongs on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal, &[u8]) -> Result<T, almoner_journal::JournalError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let Self { journal, key } = self.clone();
        Ok(tokio::task::spawn_blocking(move || work(&journal, &key)).await??)
    }
}
