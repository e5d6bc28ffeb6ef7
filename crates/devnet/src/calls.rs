//! Execution without a transaction: `eth_call` and `eth_estimateGas`. Fee fields of a request are ignored: a call
//! costs nothing, and the base fee reads as zero in it, as it does on geth.

use alloy::consensus::Header;
use alloy::eips::BlockId;
use alloy::primitives::{Bytes, U256};
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::{Revert, SolError};
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason, OutOfGasError};
use revm::database::CacheDB;

use crate::chain::Chain;
use crate::error::RpcError;
use crate::evm::{self, Checks, TRANSACTION_GAS_CAP};

/// An estimate may be this much above the least gas that suffices (geth's figure).
const ESTIMATE_ERROR: f64 = 0.015;

/// Whether the state or environment asked for is one we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Latest,
    Pending,
}

impl Chain {
    /// Resolves a block parameter where state is read: only the newest state is kept.
    pub(crate) fn at(&self, block: Option<BlockId>) -> Result<At, RpcError> {
        use alloy::eips::BlockNumberOrTag as Tag;
        let tip = &self.tip().header;
        match block {
            None => Ok(At::Latest),
            Some(BlockId::Number(Tag::Latest | Tag::Safe | Tag::Finalized)) => Ok(At::Latest),
            Some(BlockId::Number(Tag::Pending)) => Ok(At::Pending),
            Some(BlockId::Number(Tag::Number(number))) if number == tip.number => Ok(At::Latest),
            Some(BlockId::Number(Tag::Earliest)) if tip.number == 0 => Ok(At::Latest),
            Some(BlockId::Hash(hash)) if hash.block_hash == tip.hash() => Ok(At::Latest),
            Some(_) => Err(RpcError::server(
                "historical state is not kept here; ask of the newest block, as with confirmations = 0",
            )),
        }
    }

    pub(crate) fn call(&self, request: &TransactionRequest, at: At) -> Result<Bytes, RpcError> {
        let header = self.environment(at);
        let gas = request.gas.unwrap_or(header.gas_limit).min(header.gas_limit);
        output(self.simulate(request, &header, gas, Checks::Call)?)
    }

    pub(crate) fn estimate(&self, request: &TransactionRequest, at: At) -> Result<u64, RpcError> {
        let header = self.environment(at);
        let cap = header.gas_limit.min(TRANSACTION_GAS_CAP);
        let mut high = request.gas.unwrap_or(cap).min(cap);
        let result = self.simulate(request, &header, high, Checks::AnyNonce)?;
        let used = result.tx_gas_used();
        // What was refunded had to be there first, a call passes on at most 63/64 of the gas there is, and one that
        // sends money adds a stipend: this nearly always suffices (geth's figure).
        let refunded = result.gas().inner_refunded();
        let likely = used.saturating_add(refunded).saturating_add(2300).saturating_mul(64) / 63;
        output(result)?;
        let mut low = used.saturating_sub(1);
        let enough = |gas| self.simulate(request, &header, gas, Checks::AnyNonce).is_ok_and(|done| done.is_success());
        let mut attempt = likely;
        while low.saturating_add(1) < high {
            if attempt > low && attempt < high {
                if enough(attempt) {
                    high = attempt;
                } else {
                    low = attempt;
                }
            }
            if high.saturating_sub(low) as f64 / (high as f64) < ESTIMATE_ERROR {
                break;
            }
            attempt = low.midpoint(high);
        }
        Ok(high)
    }

    fn environment(&self, at: At) -> Header {
        match at {
            At::Latest => self.tip().header.inner().clone(),
            At::Pending => self.pending(),
        }
    }

    fn simulate(
        &self,
        request: &TransactionRequest,
        header: &Header,
        gas: u64,
        checks: Checks,
    ) -> Result<ExecutionResult, RpcError> {
        let mut env = evm::block_env(header);
        env.basefee = 0;
        let caller = request.from.unwrap_or_default();
        let access_list = request.access_list.clone().unwrap_or_default();
        let tx = TxEnv {
            tx_type: u8::from(!access_list.0.is_empty()),
            caller,
            gas_limit: gas,
            kind: request.to.unwrap_or_default(),
            value: request.value.unwrap_or(U256::ZERO),
            data: request.input.input().cloned().unwrap_or_default(),
            nonce: self.account(caller).nonce,
            access_list,
            chain_id: Some(self.chain_id),
            ..TxEnv::default()
        };
        evm::execute(CacheDB::new(&self.state), self.chain_id, env, tx, checks)
            .map(|outcome| outcome.result)
            .map_err(RpcError::server)
    }
}

/// What a finished execution returns, or the error that clients know how to read.
fn output(result: ExecutionResult) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => {
            let message = match Revert::abi_decode(&output) {
                Ok(revert) => format!("execution reverted: {}", revert.reason),
                Err(_) => "execution reverted".to_owned(),
            };
            Err(RpcError::reverted(message, output))
        }
        ExecutionResult::Halt { reason, .. } => Err(RpcError::server(match reason {
            HaltReason::OutOfGas(OutOfGasError::Basic) => "out of gas".to_owned(),
            other => format!("execution halted: {other:?}"),
        })),
    }
}
