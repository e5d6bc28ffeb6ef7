mod chain_file;
mod http;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, bytes};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{Filter, TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;

use crate::{Devnet, DevnetConfig};

const START: u64 = 1_700_000_000;
const ETHER: u128 = 1_000_000_000_000_000_000;

/// Logs 42, then returns the hash of the previous block.
const LOGGER: Bytes = bytes!("60178060093d393df3602a60005260206000a0600143034060005260206000f3");
/// Reverts with its calldata.
const REVERTER: Bytes = bytes!("600a8060093d393df3366000600037366000fd");

struct Fixture {
    config: DevnetConfig,
    key: PrivateKeySigner,
    clock: Arc<AtomicU64>,
}

impl Fixture {
    fn new() -> Self {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let clock = Arc::new(AtomicU64::new(START));
        let read = clock.clone();
        let accounts = vec![(key.address(), U256::from(100 * ETHER))];
        let config = DevnetConfig::new(accounts, Arc::new(move || read.load(Ordering::Relaxed)));
        Self { config, key, clock }
    }

    fn memory(&self) -> Devnet {
        Devnet::memory(&self.config).unwrap()
    }

    fn raw(&self, nonce: u64, to: TxKind, input: Bytes, edit: impl FnOnce(&mut TxEip1559)) -> Vec<u8> {
        let mut tx = TxEip1559 {
            chain_id: 31_337,
            nonce,
            gas_limit: 1_000_000,
            max_fee_per_gas: 3_000_000_000,
            max_priority_fee_per_gas: 1,
            to,
            value: U256::ZERO,
            access_list: Default::default(),
            input,
        };
        edit(&mut tx);
        let signature = self.key.sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
    }

    fn create(&self, nonce: u64, code: Bytes) -> Vec<u8> {
        self.raw(nonce, TxKind::Create, code, |_| {})
    }

    fn call(&self, nonce: u64, to: Address) -> Vec<u8> {
        self.raw(nonce, TxKind::Call(to), Bytes::new(), |_| {})
    }
}

async fn send(provider: &DynProvider, raw: &[u8]) -> TransactionReceipt {
    let hash = *provider.send_raw_transaction(raw).await.unwrap().tx_hash();
    let receipt = provider.get_transaction_receipt(hash).await.unwrap();
    receipt.expect("mined at once")
}

/// Sends what is not mined yet.
async fn accept(provider: &DynProvider, raw: &[u8]) {
    let _ = provider.send_raw_transaction(raw).await.unwrap();
}

async fn refused(provider: &DynProvider, raw: &[u8]) -> String {
    let error = provider.send_raw_transaction(raw).await.unwrap_err();
    error.as_error_resp().unwrap().message.to_string()
}

#[tokio::test]
async fn a_transaction_is_a_block_with_its_receipt_and_logs() {
    let fixture = Fixture::new();
    let (devnet, key) = (fixture.memory(), fixture.key.address());
    let provider = devnet.provider();
    let created = send(&provider, &fixture.create(0, LOGGER)).await;
    let logger = created.contract_address.unwrap();
    assert_eq!(logger, key.create(0));
    assert_eq!(provider.get_code_at(logger).await.unwrap(), LOGGER.slice(9..));

    let called = send(&provider, &fixture.call(1, logger)).await;
    assert!(called.status());
    assert_eq!(called.block_number, Some(2));
    assert_eq!(called.logs()[0].data().data, Bytes::from(U256::from(42).to_be_bytes_vec()));

    let found = provider.get_logs(&Filter::new().from_block(0).address(logger)).await;
    assert_eq!(found.unwrap(), called.logs());
    let block = provider.get_block_by_number(2.into()).full().await.unwrap().unwrap();
    assert_eq!(block.header.hash, block.header.inner.hash_slow());
    assert_eq!(block.transactions.len(), 1);
    assert_eq!(block.header.gas_used, called.gas_used);
    let spent = created.effective_gas_price * u128::from(created.gas_used)
        + called.effective_gas_price * u128::from(called.gas_used);
    assert_eq!(devnet.balance(key), U256::from(100 * ETHER - spent));
}

#[tokio::test]
async fn blockhash_is_the_hash_of_the_header() {
    let fixture = Fixture::new();
    let devnet = fixture.memory();
    let provider = devnet.provider();
    let created = send(&provider, &fixture.create(0, LOGGER)).await;
    let call = TransactionRequest::default().with_to(created.contract_address.unwrap());
    // A pending block follows the tip; the latest one is the tip itself.
    let (_, tip, _) = devnet.tip();
    assert_eq!(provider.call(call.clone()).pending().await.unwrap(), Bytes::from(tip));
    let parent = provider.get_block_by_number(0.into()).await.unwrap().unwrap().header.hash;
    assert_eq!(provider.call(call).latest().await.unwrap(), Bytes::from(parent));
}

#[tokio::test]
async fn a_revert_carries_its_data_in_calls_and_estimates() {
    let fixture = Fixture::new();
    let provider = fixture.memory().provider();
    let created = send(&provider, &fixture.create(0, REVERTER)).await;
    let data = bytes!("deadbeef01");
    let request = TransactionRequest::default()
        .with_from(fixture.key.address())
        .with_to(created.contract_address.unwrap())
        .with_input(data.clone());
    let call = provider.call(request.clone()).await.unwrap_err();
    assert_eq!(call.as_error_resp().unwrap().as_revert_data(), Some(data.clone()));
    let estimate = provider.estimate_gas(request).await.unwrap_err();
    assert_eq!(estimate.as_error_resp().unwrap().as_revert_data(), Some(data));
}

#[tokio::test]
async fn an_estimate_suffices_and_is_tight() {
    let fixture = Fixture::new();
    let provider = fixture.memory().provider();
    let request = TransactionRequest::default().with_from(fixture.key.address()).with_deploy_code(LOGGER);
    let estimate = provider.estimate_gas(request).await.unwrap();
    let raw = fixture.raw(0, TxKind::Create, LOGGER, |tx| tx.gas_limit = estimate);
    let receipt = send(&provider, &raw).await;
    assert!(receipt.status());
    assert!(estimate <= receipt.gas_used + receipt.gas_used / 50);
}

#[tokio::test]
async fn what_cannot_be_mined_is_refused_by_name() {
    let fixture = Fixture::new();
    let provider = fixture.memory().provider();
    let to = TxKind::Call(Address::ZERO);
    let check = async |edit: fn(&mut TxEip1559), expected: &str| {
        let raw = fixture.raw(0, to, Bytes::new(), edit);
        let message = refused(&provider, &raw).await;
        assert!(message.contains(expected), "{message}");
    };
    check(|tx| tx.gas_limit = (1 << 24) + 1, "gas limit").await;
    check(|tx| tx.gas_limit = 20_999, "gas").await;
    check(|tx| tx.max_fee_per_gas = 7, "base").await;
    check(|tx| tx.chain_id = 1, "chain").await;
    check(|tx| tx.value = U256::from(1000 * ETHER), "fund").await;
    let raw = fixture.call(0, Address::ZERO);
    send(&provider, &raw).await;
    assert!(refused(&provider, &raw).await.contains("nonce too low"));
    assert_eq!(provider.get_block_number().await.unwrap(), 1);
}

#[tokio::test]
async fn later_nonces_wait_for_earlier_ones() {
    let fixture = Fixture::new();
    let provider = fixture.memory().provider();
    let to = Address::ZERO;
    let key = fixture.key.address();
    accept(&provider, &fixture.call(1, to)).await;
    accept(&provider, &fixture.call(2, to)).await;
    assert_eq!(refused(&provider, &fixture.call(2, to)).await, "already known");
    let same_nonce = fixture.raw(2, TxKind::Call(to), bytes!("00"), |_| {});
    assert!(refused(&provider, &same_nonce).await.contains("underpriced"));
    assert_eq!(provider.get_block_number().await.unwrap(), 0);
    accept(&provider, &fixture.call(0, to)).await;
    assert_eq!(provider.get_block_number().await.unwrap(), 3);
    assert_eq!(provider.get_transaction_count(key).await.unwrap(), 3);
}

#[tokio::test]
async fn without_automining_a_block_takes_what_waits() {
    let fixture = Fixture::new();
    let provider = fixture.memory().provider();
    let set = async |on: bool| {
        let done = provider.raw_request::<_, ()>("evm_setAutomine".into(), (on,));
        done.await.unwrap();
    };
    set(false).await;
    for nonce in 0..3 {
        let raw = fixture.call(nonce, Address::ZERO);
        accept(&provider, &raw).await;
    }
    let pending = provider.get_transaction_count(fixture.key.address()).pending();
    assert_eq!(pending.await.unwrap(), 3);
    set(true).await;
    let receipts = provider.get_block_receipts(1.into()).await.unwrap().unwrap();
    let gas: Vec<u64> = receipts.iter().map(|r| r.inner.cumulative_gas_used()).collect();
    assert_eq!(gas, [21_000, 42_000, 63_000]);
}

#[tokio::test]
async fn time_moves_with_the_clock_and_never_back() {
    let fixture = Fixture::new();
    let devnet = fixture.memory();
    let time = || devnet.tip().2 - START;
    assert_eq!(time(), 0);
    devnet.advance(0).unwrap();
    assert_eq!(time(), 1, "a block is later than its parent");
    devnet.advance(3600).unwrap();
    assert_eq!(time(), 3601, "counted from the tip");
    fixture.clock.fetch_add(100, Ordering::Relaxed);
    devnet.advance(0).unwrap();
    assert_eq!(time(), 3701, "the clock goes on underneath");
    fixture.clock.store(0, Ordering::Relaxed);
    devnet.advance(0).unwrap();
    assert_eq!(time(), 3702, "a clock set back stops nothing");

    let provider = devnet.provider();
    let at = |t: u64| provider.raw_request::<_, ()>("evm_setNextBlockTimestamp".into(), (t,));
    assert!(at(START).await.is_err());
    at(START + 5000).await.unwrap();
    provider.raw_request::<_, String>("evm_mine".into(), ()).await.unwrap();
    assert_eq!(time(), 5000);
}

#[tokio::test]
async fn a_log_filter_tells_each_log_once() {
    let fixture = Fixture::new();
    let provider = fixture.memory().provider();
    let filter = provider.new_filter(&Filter::new()).await.unwrap();
    let created = send(&provider, &fixture.create(0, LOGGER)).await;
    let logger = created.contract_address.unwrap();
    send(&provider, &fixture.call(1, logger)).await;
    let changes = async || provider.get_filter_changes::<alloy::rpc::types::Log>(filter).await;
    assert_eq!(changes().await.unwrap().len(), 1);
    assert_eq!(changes().await.unwrap().len(), 0);
    assert!(provider.uninstall_filter(filter).await.unwrap());
    assert!(changes().await.is_err());
}

#[tokio::test]
async fn fees_follow_eip_1559() {
    let fixture = Fixture::new();
    let provider = fixture.memory().provider();
    send(&provider, &fixture.call(0, Address::ZERO)).await;
    let fees = provider.get_fee_history(10, Default::default(), &[20.0]).await.unwrap();
    assert_eq!(fees.oldest_block, 0);
    assert_eq!(fees.base_fee_per_gas.len(), 3);
    assert!(fees.base_fee_per_gas.is_sorted_by(|a, b| a > b), "blocks are near empty");
    assert_eq!(fees.reward.unwrap(), [[0], [1]]);
    assert_eq!(provider.get_gas_price().await.unwrap(), fees.base_fee_per_gas[2]);
}
