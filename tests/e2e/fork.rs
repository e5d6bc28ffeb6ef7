//! A chain that goes its own way from where another one stands: what a coordinator can show to a site that reads the
//! chain through it. Blocks are made by the real contracts, so it can show nothing that they refuse.

use std::path::Path;
use std::sync::Arc;

use alloy_sol_types::SolCall;
use almoner::localnet::run_file::{CHAIN_FILE, RunFile};
use almoner_chain::{Ledger, LedgerError, Outbox, Revert, Sender, SigningKey, TxReceipt};
use almoner_devnet::{Devnet, DevnetConfig};
use almoner_protocol::Address;

pub(crate) struct Fork {
    pub(crate) devnet: Devnet,
    pub(crate) ledger: Ledger,
    /// The coordinator's.
    pub(crate) sender: Sender,
}

impl Fork {
    /// Leaves the chain of the run in `dir` at its newest block.
    pub(crate) async fn of(dir: &Path, coordinator: SigningKey) -> Self {
        let run = RunFile::read(dir).unwrap();
        let path = (1..).map(|n| dir.join(format!("fork-{n}.log"))).find(|path| !path.exists()).unwrap();
        std::fs::copy(dir.join(CHAIN_FILE), &path).unwrap();
        // Blocks count the seconds, as they do on the chain of a seeded run.
        let devnet = Devnet::open(&path, &DevnetConfig::new(run.genesis, Arc::new(|| 0))).unwrap();
        let sender = Sender::new(devnet.provider(), coordinator, Outbox::memory().unwrap()).await.unwrap();
        Self { ledger: Ledger::with_provider(devnet.provider(), run.deployment), devnet, sender }
    }

    /// Calls `Rounds` as the coordinator.
    pub(crate) async fn rounds<C: SolCall>(&self, arguments: Vec<u8>) -> Result<TxReceipt, LedgerError> {
        call::<C>(&self.sender, self.ledger.deployment().rounds, arguments).await
    }
}

/// Calls a contract with arguments that were encoded already.
pub(crate) async fn call<C: SolCall>(
    sender: &Sender,
    to: Address,
    arguments: Vec<u8>,
) -> Result<TxReceipt, LedgerError> {
    sender.submit(to, [C::SELECTOR.as_slice(), &arguments].concat()).await
}

/// The error that the contracts refused a call with.
pub(crate) fn reverted(result: Result<TxReceipt, LedgerError>) -> Revert {
    result.expect_err("the contracts refuse it").revert().expect("refused by the contracts").clone()
}
