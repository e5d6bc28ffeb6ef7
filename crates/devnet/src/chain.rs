//! The chain itself: state, blocks, and how one follows the other.

use std::collections::HashMap;
use std::path::Path;

use alloy::consensus::transaction::Recovered;
use alloy::consensus::{Header, Transaction, TxEnvelope, TxType};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use revm::database::{CacheDB, EmptyDB};
use revm::state::AccountInfo;
use revm::{DatabaseCommit, DatabaseRef};

use crate::block::{Block, MinedTx, genesis_header, next_header};
use crate::error::RpcError;
use crate::evm::{self, Checks};
use crate::filters::Filters;
use crate::journal::{BlockRecord, ChainFile, Genesis, Opened};
use crate::pool::Pool;
use crate::timing::Timing;
use crate::{DevnetConfig, DevnetError};

pub(crate) type State = CacheDB<EmptyDB>;

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) chain_id: u64,
    pub(crate) state: State,
    pub(crate) timing: Timing,
    pub(crate) pool: Pool,
    pub(crate) filters: Filters,
    pub(crate) automine: bool,
    /// Index = number; never empty.
    blocks: Vec<Block>,
    by_hash: HashMap<B256, usize>,
    by_tx: HashMap<B256, (usize, usize)>,
    file: Option<ChainFile>,
    /// Set when a block could not be written down: what memory holds must not be built upon.
    broken: bool,
}

impl Chain {
    /// Opens the chain kept at `path`, or one that lives as long as the process.
    pub(crate) fn open(path: Option<&Path>, config: &DevnetConfig) -> Result<Self, DevnetError> {
        let Some(path) = path else {
            return Ok(Self::begin(&Genesis::new(config), config));
        };
        let Opened { file, genesis, blocks } = ChainFile::open(path, config)?;
        same_genesis(&genesis, config)?;
        let mut chain = Self::begin(&genesis, config);
        for record in &blocks {
            chain.replay(record)?;
        }
        chain.timing.resume(chain.tip().header.timestamp);
        chain.file = Some(file);
        Ok(chain)
    }

    fn begin(genesis: &Genesis, config: &DevnetConfig) -> Self {
        let mut state = CacheDB::new(EmptyDB::new());
        for (account, balance) in &genesis.accounts {
            state.insert_account_info(*account, AccountInfo::from_balance(*balance));
        }
        let parameters = keccak256(genesis.encode());
        let header = genesis_header(genesis.timestamp, genesis.gas_limit, parameters);
        let mut chain = Self {
            chain_id: genesis.chain_id,
            state,
            timing: Timing::new(config.clock.clone()),
            pool: Pool::default(),
            filters: Filters::default(),
            automine: true,
            blocks: Vec::new(),
            by_hash: HashMap::new(),
            by_tx: HashMap::new(),
            file: None,
            broken: false,
        };
        chain.push(Block::seal(header, Vec::new()));
        chain
    }

    pub(crate) fn tip(&self) -> &Block {
        // `begin` pushes block 0 and nothing is ever removed.
        self.blocks.last().expect("a chain has a genesis block")
    }

    pub(crate) fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn block_by_hash(&self, hash: &B256) -> Option<&Block> {
        self.blocks.get(*self.by_hash.get(hash)?)
    }

    /// The block of a mined transaction, and its index there.
    pub(crate) fn mined(&self, tx: &B256) -> Option<(&Block, usize)> {
        let (number, index) = self.by_tx.get(tx)?;
        Some((self.blocks.get(*number)?, *index))
    }

    /// Header of the block that would be made now, still empty.
    pub(crate) fn pending(&self) -> Header {
        let tip = &self.tip().header;
        next_header(tip, self.timing.next(tip.timestamp))
    }

    pub(crate) fn account(&self, address: Address) -> AccountInfo {
        let Ok(info) = self.state.basic_ref(address);
        info.unwrap_or_default()
    }

    /// Takes in a signed transaction: mines it at once if its turn has come, else lets it wait.
    pub(crate) fn submit(&mut self, raw: &[u8]) -> Result<B256, RpcError> {
        let tx = decode(raw).map_err(RpcError::server)?;
        let hash = *tx.tx_hash();
        if self.pool.contains(&hash) {
            return Err(RpcError::server("already known"));
        }
        let account = tx.signer();
        let next = self.account(account).nonce;
        if tx.nonce() < next {
            return Err(RpcError::server(format!("nonce too low: next nonce {next}, tx nonce {}", tx.nonce())));
        }
        if self.automine && tx.nonce() == next {
            self.mine(vec![tx])?;
            self.mine_successors(account)?;
            return Ok(hash);
        }
        let env = evm::block_env(&self.pending());
        let overlay = CacheDB::new(&self.state);
        evm::execute(overlay, self.chain_id, env, evm::tx_env(&tx), Checks::AnyNonce).map_err(RpcError::server)?;
        self.pool.insert(tx)?;
        Ok(hash)
    }

    fn mine_successors(&mut self, account: Address) -> Result<(), RpcError> {
        loop {
            let next = self.account(account).nonce;
            self.pool.forget_below(account, next);
            let Some(tx) = self.pool.take(account, next) else {
                return Ok(());
            };
            // The transaction that opened the way is in a block; one that waited and has become invalid is dropped.
            if let Err(error) = self.mine(vec![tx]) {
                tracing::debug!(%account, error = %error.message, "dropped a waiting transaction");
                if self.broken {
                    return Err(error);
                }
            }
        }
    }

    /// Makes a block of everything that waits and can be mined, possibly of nothing.
    pub(crate) fn mine_waiting(&mut self) -> Result<(), RpcError> {
        let mut txs = Vec::new();
        let mut gas = 0_u64;
        let limit = self.tip().header.gas_limit;
        for account in self.pool.accounts() {
            let mut nonce = self.account(account).nonce;
            self.pool.forget_below(account, nonce);
            while let Some(tx) = self.pool.take(account, nonce) {
                gas = gas.saturating_add(tx.gas_limit());
                if gas > limit {
                    self.pool.insert(tx)?;
                    break;
                }
                nonce = nonce.saturating_add(1);
                txs.push(tx);
            }
        }
        self.mine(txs)
    }

    /// Makes one block of these transactions. One that is invalid is left out; if it is the only one there is no block.
    pub(crate) fn mine(&mut self, txs: Vec<Recovered<TxEnvelope>>) -> Result<(), RpcError> {
        if self.broken {
            return Err(RpcError::server("the chain file could not be written; restart"));
        }
        let alone = txs.len() == 1;
        let header = self.pending();
        let timestamp = header.timestamp;
        let (block, refused) = self.execute(header, txs);
        if alone && let Some(reason) = refused {
            return Err(RpcError::server(reason));
        }
        self.keep(&block)?;
        self.timing.used(timestamp);
        self.push(block);
        Ok(())
    }

    /// Runs transactions on the state; returns the block and why the last refused one was refused.
    fn execute(&mut self, header: Header, txs: Vec<Recovered<TxEnvelope>>) -> (Block, Option<String>) {
        let env = evm::block_env(&header);
        let mut mined = Vec::with_capacity(txs.len());
        let mut refused = None;
        for tx in txs {
            let tx_env = evm::tx_env(&tx);
            let checks = Checks::Transaction;
            match evm::execute(&mut self.state, self.chain_id, env.clone(), tx_env, checks) {
                Ok(outcome) => {
                    self.state.commit(outcome.state);
                    mined.push(MinedTx::new(tx, outcome.result, env.basefee, &mined));
                }
                Err(reason) => refused = Some(reason),
            }
        }
        (Block::seal(header, mined), refused)
    }

    fn keep(&mut self, block: &Block) -> Result<(), RpcError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let raw = |mined: &MinedTx| Bytes::from(mined.tx.encoded_2718());
        let record = BlockRecord {
            timestamp: block.header.timestamp,
            hash: block.header.hash(),
            txs: block.txs.iter().map(raw).collect(),
        };
        file.append(&record).map_err(|error| {
            self.broken = true;
            tracing::error!(%error, "a block could not be written down");
            RpcError::server("the chain file could not be written; restart")
        })
    }

    fn replay(&mut self, record: &BlockRecord) -> Result<(), DevnetError> {
        let header = next_header(&self.tip().header, record.timestamp);
        let number = header.number;
        let failed = |reason| DevnetError::Replay { number, reason };
        let txs = record.txs.iter().map(|raw| decode(raw));
        let txs = txs.collect::<Result<_, _>>().map_err(failed)?;
        let (block, refused) = self.execute(header, txs);
        if let Some(reason) = refused {
            return Err(failed(reason));
        }
        if block.header.hash() != record.hash {
            return Err(DevnetError::Diverged { number, recorded: record.hash, found: block.header.hash() });
        }
        self.push(block);
        Ok(())
    }

    fn push(&mut self, block: Block) {
        let number = self.blocks.len();
        let hash = block.header.hash();
        self.state.cache.block_hashes.insert(U256::from(number), hash);
        self.by_hash.insert(hash, number);
        for (index, mined) in block.txs.iter().enumerate() {
            self.by_tx.insert(*mined.tx.tx_hash(), (number, index));
        }
        self.blocks.push(block);
    }
}

fn decode(raw: &[u8]) -> Result<Recovered<TxEnvelope>, String> {
    let tx = TxEnvelope::decode_2718_exact(raw).map_err(|error| error.to_string())?;
    match tx.tx_type() {
        TxType::Legacy | TxType::Eip2930 | TxType::Eip1559 => {}
        TxType::Eip4844 | TxType::Eip7702 => return Err("transaction type not supported".into()),
    }
    let signature = tx.signature();
    // EIP-2: of the two signatures that fit, only the one with the lower s counts.
    let signer = match signature.normalize_s() {
        Some(_) => None,
        None => signature.recover_address_from_prehash(&tx.signature_hash()).ok(),
    };
    let signer = signer.ok_or_else(|| "invalid signature".to_owned())?;
    // Recovered on the line above.
    Ok(Recovered::new_unchecked(tx, signer))
}

fn same_genesis(recorded: &Genesis, config: &DevnetConfig) -> Result<(), DevnetError> {
    let differs = |what| Err(DevnetError::Genesis { what });
    if recorded.chain_id != config.chain_id {
        return differs("chain id");
    }
    if recorded.gas_limit != config.gas_limit {
        return differs("gas limit");
    }
    if recorded.accounts != config.accounts {
        return differs("list of funded accounts");
    }
    Ok(())
}
