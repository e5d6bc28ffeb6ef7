//! JSON-RPC: one method name and its parameters in, one JSON value or an error out.

mod fees;
mod params;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::{Filter, TransactionRequest};
use revm::DatabaseRef;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::block::Block;
use crate::calls::At;
use crate::chain::Chain;
use crate::error::RpcError;
use crate::filters::Kind;
use params::Params;

type Reply = Result<Box<RawValue>, RpcError>;

/// Methods that move time or stop the mining: for whoever owns the process, never for its network.
pub(crate) fn is_control(method: &str) -> bool {
    method.starts_with("evm_")
}

impl Chain {
    pub(crate) fn handle(&mut self, method: &str, params: Option<&RawValue>) -> Reply {
        let params = Params::parse(params)?;
        if is_control(method) {
            return self.control(method, &params);
        }
        match method {
            "eth_sendRawTransaction" => {
                let raw: Bytes = params.required(0)?;
                reply(&self.submit(&raw)?)
            }
            "eth_newFilter" => {
                let filter = Kind::Logs(params.required(0)?);
                reply(&self.filter_open(filter))
            }
            "eth_newBlockFilter" => reply(&self.filter_open(Kind::Blocks)),
            "eth_getFilterChanges" => reply(&self.filter_changes(params.required(0)?)?),
            "eth_getFilterLogs" => reply(&self.filter_logs(params.required(0)?)?),
            "eth_uninstallFilter" => reply(&self.filter_close(params.required(0)?)),
            _ => self.read(method, &params),
        }
    }

    fn control(&mut self, method: &str, params: &Params) -> Reply {
        let tip = self.tip().header.timestamp;
        match method {
            "evm_increaseTime" => reply(&self.timing.increase(tip, params.seconds(0)?)?),
            "evm_setNextBlockTimestamp" => {
                self.timing.force(tip, params.seconds(0)?)?;
                reply(&())
            }
            "evm_mine" => {
                self.mine_waiting()?;
                reply(&"0x0")
            }
            "evm_setAutomine" => {
                self.automine = params.required(0)?;
                if self.automine {
                    self.mine_waiting()?;
                }
                reply(&())
            }
            other => Err(RpcError::method(other)),
        }
    }

    fn read(&self, method: &str, params: &Params) -> Reply {
        match method {
            "web3_clientVersion" => reply(&concat!("almoner-devnet/", env!("CARGO_PKG_VERSION"))),
            "net_version" => reply(&self.chain_id.to_string()),
            "net_listening" => reply(&true),
            "eth_chainId" => reply(&U64::from(self.chain_id)),
            "eth_syncing" => reply(&false),
            "eth_accounts" => reply(&Vec::<Address>::new()),
            "eth_blockNumber" => reply(&U64::from(self.tip().header.number)),
            "eth_gasPrice" => reply(&U256::from(self.base_fee())),
            "eth_maxPriorityFeePerGas" => reply(&U256::ZERO),
            "eth_feeHistory" => reply(&self.fee_history(params)?),
            "eth_call" | "eth_estimateGas" => self.run(method, params),
            "eth_getBalance" | "eth_getCode" | "eth_getTransactionCount" | "eth_getStorageAt" => {
                self.account_field(method, params)
            }
            "eth_getLogs" => {
                let filter: Filter = params.required(0)?;
                reply(&self.logs(&filter)?)
            }
            _ => self.history(method, params),
        }
    }

    fn run(&self, method: &str, params: &Params) -> Reply {
        let request: TransactionRequest = params.required(0)?;
        let at = self.at(params.optional(1)?)?;
        match method {
            "eth_call" => reply(&self.call(&request, at)?),
            _ => reply(&U64::from(self.estimate(&request, at)?)),
        }
    }

    fn account_field(&self, method: &str, params: &Params) -> Reply {
        let address: Address = params.required(0)?;
        if method == "eth_getStorageAt" {
            let slot: U256 = params.required(1)?;
            self.at(params.optional(2)?)?;
            let Ok(word) = self.state.storage_ref(address, slot);
            return reply(&B256::from(word));
        }
        let at = self.at(params.optional(1)?)?;
        let info = self.account(address);
        match method {
            "eth_getBalance" => reply(&info.balance),
            "eth_getTransactionCount" => reply(&U64::from(match at {
                At::Latest => info.nonce,
                At::Pending => self.pool.next_nonce(address, info.nonce),
            })),
            _ => {
                let Ok(code) = self.state.code_by_hash_ref(info.code_hash);
                reply(&code.original_bytes())
            }
        }
    }

    fn history(&self, method: &str, params: &Params) -> Reply {
        match method {
            "eth_getBlockByNumber" => {
                let tag: BlockNumberOrTag = params.required(0)?;
                let full = params.optional(1)?.unwrap_or(false);
                if tag.is_pending() {
                    return reply(&Block::seal(self.pending(), Vec::new()).rpc(full));
                }
                reply(&self.block(self.resolve(tag)).map(|block| block.rpc(full)))
            }
            "eth_getBlockByHash" => {
                let hash: B256 = params.required(0)?;
                let full = params.optional(1)?.unwrap_or(false);
                reply(&self.block_by_hash(&hash).map(|block| block.rpc(full)))
            }
            "eth_getBlockReceipts" => {
                let block = match params.required::<BlockId>(0)? {
                    BlockId::Hash(hash) => self.block_by_hash(&hash.block_hash),
                    BlockId::Number(tag) => self.block(self.resolve(tag)),
                };
                reply(&block.map(|block| {
                    let all = (0..block.txs.len()).filter_map(|index| block.rpc_receipt(index));
                    all.collect::<Vec<_>>()
                }))
            }
            "eth_getTransactionByHash" => {
                let hash: B256 = params.required(0)?;
                let mined = self.mined(&hash);
                let mined = mined.and_then(|(block, index)| block.rpc_transaction(index));
                reply(&mined.or_else(|| self.waiting(&hash)))
            }
            "eth_getTransactionReceipt" => {
                let hash: B256 = params.required(0)?;
                let mined = self.mined(&hash);
                reply(&mined.and_then(|(block, index)| block.rpc_receipt(index)))
            }
            other => Err(RpcError::method(other)),
        }
    }

    fn waiting(&self, hash: &B256) -> Option<alloy::rpc::types::Transaction> {
        Some(alloy::rpc::types::Transaction {
            inner: self.pool.get(hash)?.clone(),
            block_hash: None,
            block_number: None,
            transaction_index: None,
            effective_gas_price: None,
            block_timestamp: None,
        })
    }
}

fn reply<T: Serialize + ?Sized>(value: &T) -> Reply {
    to_raw_value(value).map_err(|error| RpcError::new(-32603, error.to_string()))
}
