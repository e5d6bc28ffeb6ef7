//! Blocks as they are kept, and as JSON-RPC shows them.

use alloy::consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy::consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy::consensus::transaction::Recovered;
use alloy::consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Sealable, Sealed, Transaction, TxEnvelope,
    TxReceipt, TxType,
};
use alloy::eips::eip1559::BaseFeeParams;
use alloy::eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy::primitives::{Address, B256, Bloom, Bytes, U256, keccak256};
use alloy::rpc::types as rpc;
use revm::context::result::ExecutionResult;

/// Base fee of the first block, as on every chain that began with EIP-1559.
const INITIAL_BASE_FEE: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) header: Sealed<Header>,
    pub(crate) txs: Vec<MinedTx>,
}

#[derive(Debug)]
pub(crate) struct MinedTx {
    pub(crate) tx: Recovered<TxEnvelope>,
    pub(crate) receipt: ReceiptEnvelope,
    pub(crate) gas_used: u64,
    pub(crate) price: u128,
    pub(crate) created: Option<Address>,
    /// Index in the block of its first log.
    pub(crate) first_log: u64,
}

/// Header of block 0. The parameters are in its hash, so chains begun differently never share a block.
pub(crate) fn genesis_header(timestamp: u64, gas_limit: u64, parameters: B256) -> Header {
    Header {
        timestamp,
        gas_limit,
        extra_data: Bytes::copy_from_slice(parameters.as_slice()),
        base_fee_per_gas: Some(INITIAL_BASE_FEE),
        ..empty_header()
    }
}

/// Header of the block after `parent` before anything is in it.
pub(crate) fn next_header(parent: &Sealed<Header>, timestamp: u64) -> Header {
    Header {
        parent_hash: parent.hash(),
        number: parent.number.saturating_add(1),
        gas_limit: parent.gas_limit,
        timestamp,
        base_fee_per_gas: parent.next_block_base_fee(BaseFeeParams::ethereum()),
        // Nobody draws lots here; a value that everybody can recompute pretends nothing.
        mix_hash: keccak256(parent.hash()),
        ..empty_header()
    }
}

fn empty_header() -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        // Not computed: the whole history is at hand, and the receipts root binds every log and status.
        state_root: B256::ZERO,
        ..Header::default()
    }
}

impl Block {
    pub(crate) fn seal(mut header: Header, txs: Vec<MinedTx>) -> Self {
        let envelopes: Vec<&TxEnvelope> = txs.iter().map(|mined| mined.tx.inner()).collect();
        let receipts: Vec<&ReceiptEnvelope> = txs.iter().map(|mined| &mined.receipt).collect();
        header.transactions_root = calculate_transaction_root(&envelopes);
        header.receipts_root = calculate_receipt_root(&receipts);
        header.gas_used = txs.iter().map(|mined| mined.gas_used).sum();
        header.logs_bloom = txs.iter().fold(Bloom::ZERO, |bloom, mined| bloom | mined.receipt.bloom());
        Self { header: header.seal_slow(), txs }
    }

    pub(crate) fn rpc(&self, full: bool) -> rpc::Block {
        let transactions = if full {
            let all = (0..self.txs.len()).filter_map(|index| self.rpc_transaction(index));
            rpc::BlockTransactions::Full(all.collect())
        } else {
            rpc::BlockTransactions::Hashes(self.txs.iter().map(|mined| *mined.tx.tx_hash()).collect())
        };
        let size = U256::from(self.header.size());
        rpc::Block {
            header: rpc::Header::from_consensus(self.header.clone(), Some(U256::ZERO), Some(size)),
            uncles: Vec::new(),
            transactions,
            withdrawals: Some(rpc::Withdrawals::default()),
        }
    }

    pub(crate) fn rpc_transaction(&self, index: usize) -> Option<rpc::Transaction> {
        let mined = self.txs.get(index)?;
        Some(rpc::Transaction {
            inner: mined.tx.clone(),
            block_hash: Some(self.header.hash()),
            block_number: Some(self.header.number),
            transaction_index: Some(index as u64),
            effective_gas_price: Some(mined.price),
            block_timestamp: Some(self.header.timestamp),
        })
    }

    pub(crate) fn rpc_receipt(&self, index: usize) -> Option<rpc::TransactionReceipt> {
        let mined = self.txs.get(index)?;
        let logs = self.rpc_logs(index);
        let receipt = ReceiptWithBloom {
            logs_bloom: *mined.receipt.logs_bloom(),
            receipt: Receipt {
                status: Eip658Value::Eip658(mined.receipt.is_success()),
                cumulative_gas_used: mined.receipt.cumulative_gas_used(),
                logs,
            },
        };
        Some(rpc::TransactionReceipt {
            inner: envelope(mined.tx.tx_type(), receipt),
            transaction_hash: *mined.tx.tx_hash(),
            transaction_index: Some(index as u64),
            block_hash: Some(self.header.hash()),
            block_number: Some(self.header.number),
            gas_used: mined.gas_used,
            effective_gas_price: mined.price,
            blob_gas_used: None,
            blob_gas_price: None,
            from: mined.tx.signer(),
            to: mined.tx.to(),
            contract_address: mined.created,
        })
    }

    /// The logs of one transaction.
    pub(crate) fn rpc_logs(&self, index: usize) -> Vec<rpc::Log> {
        let Some(mined) = self.txs.get(index) else {
            return Vec::new();
        };
        let logs = mined.receipt.logs().iter().zip(mined.first_log..);
        logs.map(|(log, log_index)| rpc::Log {
            inner: log.clone(),
            block_hash: Some(self.header.hash()),
            block_number: Some(self.header.number),
            block_timestamp: Some(self.header.timestamp),
            transaction_hash: Some(*mined.tx.tx_hash()),
            transaction_index: Some(index as u64),
            log_index: Some(log_index),
            removed: false,
        })
        .collect()
    }
}

impl MinedTx {
    /// `before` are the transactions that precede it in the block.
    pub(crate) fn new(tx: Recovered<TxEnvelope>, result: ExecutionResult, base_fee: u64, before: &[MinedTx]) -> Self {
        let gas_used = result.tx_gas_used();
        let last = before.last();
        let cumulative = last.map_or(0, |mined| mined.receipt.cumulative_gas_used());
        let first_log = last.map_or(0, |mined| mined.first_log.saturating_add(mined.receipt.logs().len() as u64));
        let success = result.is_success();
        let created = match tx.kind().is_create() {
            true => Some(tx.signer().create(tx.nonce())),
            false => None,
        };
        let logs = match result {
            ExecutionResult::Success { logs, .. } => logs,
            // What was emitted before a revert never happened.
            ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => Vec::new(),
        };
        let receipt = Receipt {
            status: Eip658Value::Eip658(success),
            cumulative_gas_used: cumulative.saturating_add(gas_used),
            logs,
        };
        Self {
            receipt: envelope(tx.tx_type(), receipt.with_bloom()),
            gas_used,
            price: tx.effective_gas_price(Some(base_fee)),
            created,
            first_log,
            tx,
        }
    }
}

fn envelope<T>(kind: TxType, receipt: ReceiptWithBloom<Receipt<T>>) -> ReceiptEnvelope<T> {
    match kind {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    }
}
