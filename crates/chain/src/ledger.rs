//! Reading: the deployment's events, kept as they come, and its view calls.

mod cache;
mod claims;
mod federation;
mod log;
mod records;
mod round;
mod rounds;

use std::sync::Arc;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolCall;

use crate::contracts::{Federations, Payouts, Rounds, TestToken};
use crate::{Deployment, LedgerError, check_code, connect, provider};
use cache::{Cache, Events};
pub use log::ChainLog;
pub use records::{
    AdmittedRecord, ClaimRecord, ContributionRecord, EpochRecord, FederationRecord, FundingRecord, PotChange,
    PotRecord, PromiseRecord, ProposalRecord, ReadyRecord, RevealRecord, RoundRecord, RoundStatus, SeatRecord,
    StageRecord,
};

/// The chain, read. Clones share what was read.
#[derive(Clone, Debug)]
pub struct Ledger {
    provider: DynProvider,
    deployment: Arc<Deployment>,
    cache: Arc<Cache>,
    /// A block up to which it is enough to have read.
    enough: Option<u64>,
}

impl Ledger {
    /// Over HTTP. Asks nothing yet; `verify` does.
    pub fn connect(url: &str, deployment: Deployment) -> Result<Self, LedgerError> {
        Ok(Self::with_provider(connect(url)?, deployment))
    }

    pub fn with_provider(provider: DynProvider, deployment: Deployment) -> Self {
        let cache = Arc::new(Cache::new(&deployment));
        Self { provider, deployment: Arc::new(deployment), cache, enough: None }
    }

    /// This ledger for whoever knows that nothing happened after `block`: what was read up to there is not asked for
    /// again. It is about events; views ask the contracts always.
    #[must_use]
    pub fn until(&self, block: Option<u64>) -> Self {
        Self { enough: block, ..self.clone() }
    }

    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Whether the node serves the chain of the deployment and the contracts there are ours and know each other.
    pub async fn verify(&self) -> Result<(), LedgerError> {
        let (expected, found) = (self.deployment.chain_id, self.chain_id().await?);
        if expected != found {
            return Err(LedgerError::WrongChain { expected, found });
        }
        let at = &*self.deployment;
        check_code(&self.provider, at).await?;
        let wired = [
            ("Federations", at.federations, self.view(at.federations, Federations::roundsCall {}).await?, at.rounds),
            ("Federations", at.federations, self.view(at.federations, Federations::payoutsCall {}).await?, at.payouts),
            ("Rounds", at.rounds, self.view(at.rounds, Rounds::federationsCall {}).await?, at.federations),
            ("Payouts", at.payouts, self.view(at.payouts, Payouts::federationsCall {}).await?, at.federations),
        ];
        match wired.into_iter().find(|(_, _, found, expected)| found != expected) {
            Some((contract, address, ..)) => Err(LedgerError::WrongWiring { contract, address }),
            None => Ok(()),
        }
    }

    pub async fn chain_id(&self) -> Result<u64, LedgerError> {
        Ok(self.provider.get_chain_id().await?)
    }

    /// Time of the newest block: what every rule means by now.
    pub async fn now(&self) -> Result<u64, LedgerError> {
        provider::block_time(&self.provider).await
    }

    /// Number of the newest block.
    pub async fn head(&self) -> Result<u64, LedgerError> {
        Ok(self.provider.get_block_number().await?)
    }

    /// Number of the newest block that will not be taken back. On the embedded chain, which has one writer, that is
    /// the newest one.
    pub async fn finalized(&self) -> Result<u64, LedgerError> {
        let block = self.provider.get_block(BlockId::Number(BlockNumberOrTag::Finalized)).await?;
        Ok(block.map_or(0, |block| block.header.number))
    }

    /// Balance of an account in the deployment's token.
    pub async fn balance(&self, account: Address) -> Result<U256, LedgerError> {
        self.view(self.deployment.token, TestToken::balanceOfCall { account }).await
    }

    /// Number of the newest block whose events were read.
    pub fn read_until(&self) -> Option<u64> {
        self.cache.last().map(|last| last.number)
    }

    /// Time of that block.
    pub fn read_time(&self) -> Option<u64> {
        self.cache.last().map(|last| last.time)
    }

    /// Calls a view of a contract at the newest block.
    pub async fn view<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, LedgerError> {
        let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
        let answer = self.provider.call(request).latest().await?;
        C::abi_decode_returns(&answer).map_err(|error| LedgerError::Decode(format!("{}: {error}", C::SIGNATURE)))
    }

    /// Every event of the deployment's contracts up to the newest block, in chain order.
    pub(crate) async fn events(&self) -> Result<Events, LedgerError> {
        self.cache.refresh(&self.provider, self.enough).await
    }
}
