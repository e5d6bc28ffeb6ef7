//! The sender against a chain that loses things.

mod flaky;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::sol_types::SolCall;
use almoner_chain::contracts::ARTEFACTS;
use almoner_chain::contracts::TestToken::transferCall;
use almoner_chain::{LedgerError, Outbox, Sender, SenderConfig, SigningKey};
use almoner_devnet::{Devnet, DevnetConfig, system_clock};
use almoner_journal::Journal;
use flaky::Faults;

struct Chain {
    devnet: Devnet,
    faults: Arc<Faults>,
    provider: DynProvider,
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32]).unwrap()
}

fn config() -> DevnetConfig {
    DevnetConfig::new(vec![(key().address(), U256::from(10_u64.pow(19)))], system_clock())
}

impl Chain {
    fn new() -> Self {
        Self::of(Devnet::memory(&config()).unwrap())
    }

    fn of(devnet: Devnet) -> Self {
        let faults = Arc::new(Faults::default());
        let provider = flaky::provider(devnet.transport(), faults.clone());
        Self { devnet, faults, provider }
    }

    async fn sender(&self, journal: &Journal) -> Result<Sender, LedgerError> {
        let config = SenderConfig {
            rebroadcast_every: Duration::from_millis(5),
            bump_after: Duration::from_millis(20),
            give_up_after: Duration::from_millis(400),
            ..SenderConfig::default()
        };
        Sender::with_config(self.provider.clone(), key(), Outbox::new(journal.clone()), config).await
    }

    async fn mined(&self) -> u64 {
        self.devnet.provider().get_transaction_count(key().address()).await.unwrap()
    }

    async fn automine(&self, on: bool) {
        self.devnet.provider().raw_request::<_, ()>("evm_setAutomine".into(), (on,)).await.unwrap();
    }
}

async fn token(sender: &Sender) -> Address {
    sender.create(&ARTEFACTS.token.bytecode, &[]).await.unwrap().created.unwrap()
}

fn transfer(amount: u64) -> Vec<u8> {
    transferCall { to: Address::repeat_byte(9), value: U256::from(amount) }.abi_encode()
}

#[tokio::test]
async fn a_refused_call_costs_nothing_and_leaves_no_gap() {
    let (chain, journal) = (Chain::new(), Journal::memory().unwrap());
    let sender = chain.sender(&journal).await.unwrap();
    let token = token(&sender).await;
    let too_much = transferCall { to: Address::repeat_byte(9), value: U256::MAX }.abi_encode();
    for _ in 0..3 {
        let error = sender.submit(token, too_much.clone()).await.unwrap_err();
        assert!(error.revert().unwrap().is("ERC20InsufficientBalance"), "{error}");
        sender.submit(token, transfer(1)).await.unwrap();
    }
    assert_eq!((chain.mined().await, sender.next_nonce()), (4, 4));
    assert_eq!(sender.counters().transactions, 4);
}

#[tokio::test]
async fn many_at_once_take_their_turns() {
    let (chain, journal) = (Chain::new(), Journal::memory().unwrap());
    let sender = chain.sender(&journal).await.unwrap();
    let token = token(&sender).await;
    let sent = (0..20).map(|amount| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.submit(token, transfer(amount)).await.unwrap().block })
    });
    let mut blocks = Vec::new();
    for sent in sent.collect::<Vec<_>>() {
        blocks.push(sent.await.unwrap());
    }
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!((blocks.len(), chain.mined().await), (20, 21));
}

#[tokio::test]
async fn a_lost_answer_is_not_a_second_transaction() {
    let (chain, journal) = (Chain::new(), Journal::memory().unwrap());
    let sender = chain.sender(&journal).await.unwrap();
    let token = token(&sender).await;
    chain.faults.lose_answers.store(1, Ordering::Relaxed);
    sender.submit(token, transfer(1)).await.unwrap();
    assert_eq!(chain.mined().await, 2);
}

#[tokio::test]
async fn a_lost_broadcast_is_repeated() {
    let (chain, journal) = (Chain::new(), Journal::memory().unwrap());
    let sender = chain.sender(&journal).await.unwrap();
    let token = token(&sender).await;
    chain.faults.lose_broadcasts.store(3, Ordering::Relaxed);
    sender.submit(token, transfer(1)).await.unwrap();
    assert_eq!(chain.mined().await, 2);
    // The creation, three that were lost, one that arrived; more if a fee was raised meanwhile.
    assert!(sender.broadcasts() >= 5);
}

#[tokio::test]
async fn what_was_written_down_is_finished_by_the_next_process() {
    let (chain, journal) = (Chain::new(), Journal::memory().unwrap());
    let sender = chain.sender(&journal).await.unwrap();
    let token = token(&sender).await;
    chain.faults.lose_broadcasts.store(u64::MAX, Ordering::Relaxed);
    let error = sender.submit(token, transfer(5)).await.unwrap_err();
    assert!(matches!(error, LedgerError::NotMined { .. }) && error.is_retryable());
    drop(sender);
    assert_eq!(chain.mined().await, 1);

    chain.faults.lose_broadcasts.store(0, Ordering::Relaxed);
    let again = chain.sender(&journal).await.unwrap();
    assert_eq!((chain.mined().await, again.next_nonce()), (2, 2));
    // Once more changes nothing.
    drop(again);
    chain.sender(&journal).await.unwrap();
    assert_eq!(chain.mined().await, 2);
}

#[tokio::test]
async fn a_stuck_transaction_pays_more_until_it_is_mined_once() {
    let (chain, journal) = (Chain::new(), Journal::memory().unwrap());
    let sender = chain.sender(&journal).await.unwrap();
    let token = token(&sender).await;
    chain.automine(false).await;
    let waiting = {
        let sender = sender.clone();
        tokio::spawn(async move { sender.submit(token, transfer(5)).await.unwrap() })
    };
    let account = [&31_337_u64.to_be_bytes()[..], key().address().as_slice()].concat();
    while journal.outbox_pending(&account).unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    chain.automine(true).await;
    let receipt = waiting.await.unwrap();
    assert_eq!((chain.mined().await, receipt.block), (2, 2));
    assert!(journal.outbox_pending(&account).unwrap().is_empty());
}

#[tokio::test]
async fn a_nonce_taken_by_another_program_is_noticed() {
    let chain = Chain::new();
    let (ours, theirs) = (Journal::memory().unwrap(), Journal::memory().unwrap());
    let sender = chain.sender(&ours).await.unwrap();
    let token = token(&sender).await;
    let other = chain.sender(&theirs).await.unwrap();
    for _ in 0..2 {
        other.submit(token, transfer(1)).await.unwrap();
        sender.submit(token, transfer(2)).await.unwrap();
    }
    assert_eq!(chain.mined().await, 5);
}

#[tokio::test]
async fn blocks_that_the_chain_lost_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chain");
    let journal = Journal::memory().unwrap();
    let chain = Chain::of(Devnet::open(&path, &config()).unwrap());
    let sender = chain.sender(&journal).await.unwrap();
    let token = token(&sender).await;
    let early = std::fs::read(&path).unwrap();
    for amount in 1..4 {
        sender.submit(token, transfer(amount)).await.unwrap();
    }
    drop((sender, chain));

    std::fs::write(&path, early).unwrap();
    let chain = Chain::of(Devnet::open(&path, &config()).unwrap());
    assert_eq!(chain.mined().await, 1);
    let sender = chain.sender(&journal).await.unwrap();
    assert_eq!((chain.mined().await, sender.next_nonce()), (4, 4));
}

#[tokio::test]
async fn gas_and_fees_have_ceilings() {
    let (chain, journal) = (Chain::new(), Journal::memory().unwrap());
    let token = token(&chain.sender(&journal).await.unwrap()).await;
    let check = async |config: SenderConfig| {
        let outbox = Outbox::new(journal.clone());
        let sender = Sender::with_config(chain.provider.clone(), key(), outbox, config).await.unwrap();
        sender.submit(token, transfer(1)).await.unwrap_err()
    };
    let low_gas = check(SenderConfig { gas_ceiling: 30_000, ..SenderConfig::default() }).await;
    assert!(matches!(low_gas, LedgerError::GasCeiling { ceiling: 30_000, .. }), "{low_gas}");
    let low_fee = check(SenderConfig { fee_ceiling: 5, ..SenderConfig::default() }).await;
    assert!(matches!(low_fee, LedgerError::FeeCeiling { ceiling: 5, .. }), "{low_fee}");
    assert_eq!(chain.mined().await, 1);
}
