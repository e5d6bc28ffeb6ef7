//! Reading: the deployment's events, kept as they come, and its view calls.

mod cache;
mod claims;
mod depth;
mod federation;
mod log;
mod records;
mod round;
mod rounds;

use std::sync::Arc;
use std::time::Duration;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{Block, TransactionRequest};
use alloy::sol_types::SolCall;
use almoner_tls::Client as Tls;

use crate::contracts::{Federations, Payouts, Rounds, TestToken};
use crate::{Deployment, LedgerError, check_code, connect_trusting, provider};
use cache::{Cache, Events};
pub use depth::{Depth, DepthTag, Reorganised};
pub use log::ChainLog;
pub use records::{
    AdmittedRecord, ClaimRecord, ContributionRecord, EpochRecord, FederationRecord, FundingRecord, PotChange,
    PotRecord, PromiseRecord, ProposalRecord, ReadyRecord, RevealRecord, RoundRecord, RoundStatus, SeatRecord,
    StageRecord,
};

/// The chain, read as far as it is deep enough. Clones share what was read.
#[derive(Clone, Debug)]
pub struct Ledger {
    provider: DynProvider,
    deployment: Arc<Deployment>,
    cache: Arc<Cache>,
    depth: Depth,
    /// A block up to which it is enough to have read.
    enough: Option<u64>,
}

impl Ledger {
    /// Over HTTP. Asks nothing yet; `verify` does.
    pub fn connect(url: &str, deployment: Deployment) -> Result<Self, LedgerError> {
        Self::trusting(url, deployment, &Tls::default())
    }

    /// As [`Self::connect`], for a node with a certificate of one's own authority.
    pub fn trusting(url: &str, deployment: Deployment, tls: &Tls) -> Result<Self, LedgerError> {
        Ok(Self::with_provider(connect_trusting(url, tls)?, deployment))
    }

    pub fn with_provider(provider: DynProvider, deployment: Deployment) -> Self {
        let cache = Arc::new(Cache::new(&deployment));
        Self { provider, deployment: Arc::new(deployment), cache, depth: Depth::NONE, enough: None }
    }

    /// The same chain, of which only blocks so deep are there.
    #[must_use]
    pub fn at(&self, depth: Depth) -> Self {
        let cache = if depth == self.depth { self.cache.clone() } else { Arc::new(Cache::new(&self.deployment)) };
        Self { cache, depth, enough: None, ..self.clone() }
    }

    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// How often it is worth asking the node for news.
    pub fn poll_interval(&self) -> Duration {
        self.provider.client().poll_interval()
    }

    /// What the chain took back of what was read here, if that happened again after the first `count` times.
    pub fn reorganised(&self, count: u64) -> Option<Reorganised> {
        self.cache.taken_back().filter(|reorganised| reorganised.count > count)
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
        let at = &*self.deployment;
        // They may have been deployed just now.
        let now = self.at(Depth::NONE);
        // All at once: over a slow line each answer is a trip.
        let (chain, code, rounds, payouts, of_rounds, of_payouts) = tokio::join!(
            self.chain_id(),
            check_code(&self.provider, at),
            now.view(at.federations, Federations::roundsCall {}),
            now.view(at.federations, Federations::payoutsCall {}),
            now.view(at.rounds, Rounds::federationsCall {}),
            now.view(at.payouts, Payouts::federationsCall {}),
        );
        let (expected, found) = (at.chain_id, chain?);
        if expected != found {
            return Err(LedgerError::WrongChain { expected, found });
        }
        code?;
        let wired = [
            ("Federations", at.federations, rounds?, at.rounds),
            ("Federations", at.federations, payouts?, at.payouts),
            ("Rounds", at.rounds, of_rounds?, at.federations),
            ("Payouts", at.payouts, of_payouts?, at.federations),
        ];
        match wired.into_iter().find(|(_, _, found, expected)| found != expected) {
            Some((contract, address, ..)) => Err(LedgerError::WrongWiring { contract, address }),
            None => Ok(()),
        }
    }

    pub async fn chain_id(&self) -> Result<u64, LedgerError> {
        Ok(self.provider.get_chain_id().await?)
    }

    /// Hash of the first block: two chains that began apart never share it.
    pub async fn genesis(&self) -> Result<B256, LedgerError> {
        let first = block(&self.provider, BlockNumberOrTag::Number(0)).await?;
        Ok(first.ok_or_else(|| LedgerError::Decode("there is no first block".into()))?.header.hash)
    }

    /// Time of the newest block: what every rule means by now.
    pub async fn now(&self) -> Result<u64, LedgerError> {
        provider::block_time(&self.provider).await
    }

    /// Number of the newest block that is deep enough.
    pub async fn head(&self) -> Result<u64, LedgerError> {
        match self.depth.newest(&self.provider).await? {
            BlockNumberOrTag::Number(number) => Ok(number),
            BlockNumberOrTag::Latest => Ok(self.provider.get_block_number().await?),
            tag => Ok(block(&self.provider, tag).await?.map_or(0, |block| block.header.number)),
        }
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

    /// Calls a view of a contract at the newest block that is deep enough.
    pub async fn view<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, LedgerError> {
        let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
        let at = BlockId::Number(self.depth.newest(&self.provider).await?);
        let answer = self.provider.call(request).block(at).await?;
        C::abi_decode_returns(&answer).map_err(|error| LedgerError::Decode(format!("{}: {error}", C::SIGNATURE)))
    }

    /// Every event of the deployment's contracts in blocks that are deep enough, in chain order.
    pub(crate) async fn events(&self) -> Result<Events, LedgerError> {
        self.cache.refresh(&self.provider, self.depth, self.enough).await
    }
}

async fn block(provider: &DynProvider, at: BlockNumberOrTag) -> Result<Option<Block>, LedgerError> {
    Ok(provider.get_block(BlockId::Number(at)).await?)
}
