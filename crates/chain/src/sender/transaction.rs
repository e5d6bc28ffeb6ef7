//! One transaction: estimated, signed, handed to the node.

use std::sync::atomic::Ordering;

use alloy::consensus::{SignableTransaction, Transaction, TxEip1559, TxEnvelope};
use alloy::eips::BlockNumberOrTag;
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{B256, Bytes, TxKind, U64, U256};
use alloy::providers::Provider;
use alloy::rpc::client::{BatchRequest, Waiter};
use alloy::rpc::types::{FeeHistory, TransactionRequest};
use alloy::signers::SignerSync;

use super::{Fees, Sender, fees};
use crate::LedgerError;

/// A signed transaction as it goes into the outbox.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) nonce: u64,
    pub(super) hash: B256,
    pub(super) raw: Bytes,
    pub(super) gas: u64,
    pub(super) fees: Fees,
    pub(super) to: TxKind,
    pub(super) input: Bytes,
}

impl Signed {
    /// Reads one back from the outbox.
    pub(super) fn from_raw(raw: &[u8]) -> Result<Self, LedgerError> {
        let unreadable = |error: String| LedgerError::Internal(format!("outbox: {error}"));
        let tx = TxEnvelope::decode_2718_exact(raw).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self {
            nonce: tx.nonce(),
            hash: *tx.tx_hash(),
            raw: Bytes::copy_from_slice(raw),
            gas: tx.gas_limit(),
            fees: Fees { max_fee: tx.max_fee_per_gas(), tip: tx.max_priority_fee_per_gas().unwrap_or_default() },
            to: tx.kind(),
            input: tx.input().clone(),
        })
    }
}

/// What the node made of a broadcast.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Taken in, or known already.
    Accepted,
    /// No answer: it may have arrived.
    Unreachable,
    /// A transaction with this nonce is in a block. It may be this one.
    NonceTaken,
    /// Another one with this nonce waits in the node's pool and pays as much.
    Underpriced,
    /// It will not be mined.
    Refused(LedgerError),
}

impl Sender {
    /// Simulates the call, estimates its gas and looks at the fees, in one question to the node; what reverts ends
    /// here, decoded.
    pub(super) async fn quote(&self, to: TxKind, input: Bytes) -> Result<(u64, Fees), LedgerError> {
        let request = TransactionRequest {
            from: Some(self.address()),
            to: Some(to),
            input: input.into(),
            ..TransactionRequest::default()
        };
        // The pending block is the one it will run in at the earliest: deadlines and windows are judged by its time.
        let at = BlockNumberOrTag::Pending;
        let mut batch = BatchRequest::new(self.inner.provider.client());
        let simulated: Waiter<Bytes> = batch.add_call("eth_call", &(request.clone(), at))?;
        let needed: Waiter<U64> = batch.add_call("eth_estimateGas", &(request, at))?;
        let history: Waiter<FeeHistory> = batch.add_call("eth_feeHistory", &fees::question())?;
        batch.send().await?;
        simulated.await?;
        let (needed, history) = (needed.await?.to::<u64>(), history.await?);
        let config = &self.inner.config;
        if needed > config.gas_ceiling {
            return Err(LedgerError::GasCeiling { needed, ceiling: config.gas_ceiling });
        }
        let margin = needed.saturating_mul(config.gas_margin_percent) / 100;
        Ok((needed.saturating_add(margin).min(config.gas_ceiling), Fees::following(&history, config)?))
    }

    pub(super) fn sign(
        &self,
        nonce: u64,
        gas: u64,
        fees: Fees,
        to: TxKind,
        input: Bytes,
    ) -> Result<Signed, LedgerError> {
        let tx = TxEip1559 {
            chain_id: self.inner.chain_id,
            nonce,
            gas_limit: gas,
            max_fee_per_gas: fees.max_fee,
            max_priority_fee_per_gas: fees.tip,
            to,
            value: U256::ZERO,
            access_list: Default::default(),
            input: input.clone(),
        };
        let signature = self.inner.key.signer().sign_hash_sync(&tx.signature_hash());
        let signature = signature.map_err(|error| LedgerError::Key(error.to_string()))?;
        let envelope = TxEnvelope::from(tx.into_signed(signature));
        let raw = Bytes::from(envelope.encoded_2718());
        Ok(Signed { nonce, hash: *envelope.tx_hash(), raw, gas, fees, to, input })
    }

    pub(super) async fn broadcast(&self, signed: &Signed) -> Result<Verdict, LedgerError> {
        self.inner.broadcasts.fetch_add(1, Ordering::Relaxed);
        let Err(error) = self.inner.provider.send_raw_transaction(&signed.raw).await else {
            return Ok(Verdict::Accepted);
        };
        let Some(payload) = error.as_error_resp() else {
            tracing::debug!(hash = %signed.hash, %error, "no answer to a broadcast");
            return Ok(Verdict::Unreachable);
        };
        let message = payload.message.to_lowercase();
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        // Nodes agree on the meaning and not on the words: geth, anvil, nethermind, besu, erigon.
        Ok(if says(&["already known", "already imported", "alreadyknown", "known transaction", "already exists"]) {
            Verdict::Accepted
        } else if says(&["nonce too low", "oldnonce", "nonce is too low", "nonce_too_low"]) {
            Verdict::NonceTaken
        } else if says(&["replacement transaction underpriced", "replacement underpriced", "underpriced"]) {
            Verdict::Underpriced
        } else {
            Verdict::Refused(error.into())
        })
    }
}
