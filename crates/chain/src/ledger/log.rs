use alloy::primitives::{Address, B256, LogData};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use serde::Serialize;

use crate::LedgerError;

/// An event and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainLog {
    pub address: Address,
    pub data: LogData,
    pub block: u64,
    pub block_hash: B256,
    /// Time of its block; 0 where the node does not say and it was not asked.
    pub time: u64,
    pub tx: B256,
    /// Its place among the logs of the block.
    pub index: u64,
}

impl ChainLog {
    /// Reads it as an event of type `E`; `None` if it is another one.
    pub fn decode<E: SolEvent>(&self) -> Option<E> {
        let signed = self.data.topics().first() == Some(&E::SIGNATURE_HASH);
        signed.then(|| E::decode_log_data(&self.data).ok())?
    }
}

impl TryFrom<Log> for ChainLog {
    type Error = LedgerError;

    fn try_from(log: Log) -> Result<Self, LedgerError> {
        let place = (log.block_number, log.block_hash, log.transaction_hash, log.log_index);
        let (Some(block), Some(block_hash), Some(tx), Some(index)) = place else {
            return Err(LedgerError::Decode("a log does not say where it stands".into()));
        };
        Ok(Self {
            address: log.inner.address,
            data: log.inner.data,
            block,
            block_hash,
            time: log.block_timestamp.unwrap_or_default(),
            tx,
            index,
        })
    }
}
