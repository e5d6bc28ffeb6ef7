//! The one place where revm is driven.

use std::convert::Infallible;

use alloy::consensus::transaction::Recovered;
use alloy::consensus::{Header, Transaction, TxEnvelope, Typed2718};
use alloy::primitives::U256;
use revm::context::result::{EVMError, ExecResultAndState, ExecutionResult, HaltReason};
use revm::context::{BlockEnv, TxEnv};
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use revm::{Context, Database, ExecuteEvm, MainBuilder, MainContext};

/// The hardfork of geth's development chain and of mainnet: EIP-7825 caps a transaction at 2^24 gas.
const SPEC: SpecId = SpecId::OSAKA;

/// EIP-7825.
pub(crate) const TRANSACTION_GAS_CAP: u64 = 1 << 24;

pub(crate) type Outcome = ExecResultAndState<ExecutionResult<HaltReason>, EvmState>;

/// What is checked before execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// All of it: a transaction for a block.
    Transaction,
    /// Not the nonce: a transaction that waits for its turn, or an estimate.
    AnyNonce,
    /// Neither the nonce nor the gas cap: `eth_call`.
    Call,
}

/// Executes one transaction over `db` without committing.
pub(crate) fn execute<DB: Database<Error = Infallible>>(
    db: DB,
    chain_id: u64,
    block: BlockEnv,
    tx: TxEnv,
    checks: Checks,
) -> Result<Outcome, String> {
    let mut evm = Context::mainnet()
        .with_db(db)
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SPEC);
            cfg.chain_id = chain_id;
            cfg.disable_nonce_check = checks != Checks::Transaction;
            if checks == Checks::Call {
                cfg.tx_gas_limit_cap = Some(u64::MAX);
            }
        })
        .with_block(block)
        .build_mainnet();
    evm.transact(tx).map_err(|error| match error {
        EVMError::Transaction(invalid) => invalid.to_string(),
        other => other.to_string(),
    })
}

/// The environment in which the transactions of the block with this header run.
pub(crate) fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        prevrandao: Some(header.mix_hash),
        ..BlockEnv::default()
    }
}

pub(crate) fn tx_env(tx: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: tx.ty(),
        caller: tx.signer(),
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        ..TxEnv::default()
    }
}
