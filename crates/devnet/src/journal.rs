//! The chain on disk: an append-only file of raw transactions and block times, from which everything else is
//! computed again.
//!
//! `"ALMC" version u8`, then records `length u32 ‖ keccak256(body)[0..8] ‖ body`. The first body is the genesis
//! (chain id u64, timestamp u64, gas limit u64, then address 20 ‖ balance 32 each), every other one a block
//! (timestamp u64, block hash 32, then length u32 ‖ raw transaction each). Integers are big-endian.
//!
//! A record cut short by a crash is at the end of the file and is cut off; damage anywhere else is an error.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};

use crate::{DevnetConfig, DevnetError, Durability};

const MAGIC: &[u8] = b"ALMC\0";
const CHECK_BYTES: usize = 8;
/// A block's transactions weigh at most what its gas buys, at four gas a byte.
const MAX_RECORD: usize = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Genesis {
    pub(crate) chain_id: u64,
    pub(crate) timestamp: u64,
    pub(crate) gas_limit: u64,
    pub(crate) accounts: Vec<(Address, U256)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockRecord {
    pub(crate) timestamp: u64,
    pub(crate) hash: B256,
    pub(crate) txs: Vec<Bytes>,
}

#[derive(Debug)]
pub(crate) struct ChainFile {
    file: File,
    durability: Durability,
}

/// A chain file with what it held.
pub(crate) struct Opened {
    pub(crate) file: ChainFile,
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<BlockRecord>,
}

impl ChainFile {
    /// Opens the file, or begins it with the genesis that `config` describes.
    pub(crate) fn open(path: &Path, config: &DevnetConfig) -> Result<Opened, DevnetError> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DevnetError::InUse { path: path.into() },
            TryLockError::Error(error) => DevnetError::Io(error),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (records, end) = records(&bytes, path)?;
        // Cut what a crash left unfinished, so that the next record does not follow half of one.
        file.set_len(end as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut this = Self { file, durability: config.durability };
        let mut records = records.into_iter();
        let genesis = match records.next() {
            Some((offset, body)) => Genesis::decode(body).ok_or_else(|| corrupt(path, offset))?,
            None => {
                let genesis = Genesis::new(config);
                this.begin(&genesis)?;
                genesis
            }
        };
        let blocks = records
            .map(|(offset, body)| BlockRecord::decode(body).ok_or_else(|| corrupt(path, offset)))
            .collect::<Result<_, _>>()?;
        Ok(Opened { file: this, genesis, blocks })
    }

    pub(crate) fn append(&mut self, block: &BlockRecord) -> std::io::Result<()> {
        self.write(&block.encode())
    }

    fn begin(&mut self, genesis: &Genesis) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(MAGIC)?;
        self.write(&genesis.encode())
    }

    fn write(&mut self, body: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(body.len())
            .ok()
            .filter(|_| body.len() <= MAX_RECORD)
            .ok_or_else(|| std::io::Error::other("block record too long"))?;
        let mut record = Vec::with_capacity(body.len() + 4 + CHECK_BYTES);
        record.extend_from_slice(&length.to_be_bytes());
        record.extend_from_slice(&keccak256(body)[..CHECK_BYTES]);
        record.extend_from_slice(body);
        self.file.write_all(&record)?;
        match self.durability {
            Durability::Fsync => self.file.sync_data()?,
            Durability::Buffered => {}
        }
        almoner_failpoint::reached(|| "block".into());
        Ok(())
    }
}

type Records<'a> = Vec<(usize, &'a [u8])>;

/// The records of a file, and where the last whole one ends.
fn records<'a>(bytes: &'a [u8], path: &Path) -> Result<(Records<'a>, usize), DevnetError> {
    // Nothing, or a header cut short: the chain was not begun.
    if MAGIC.starts_with(bytes) && bytes.len() < MAGIC.len() {
        return Ok((Vec::new(), 0));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(DevnetError::Format { path: path.into() });
    }
    let mut found = Vec::new();
    let mut at = MAGIC.len();
    loop {
        let mut reader = Reader(&bytes[at..]);
        let Some((length, check)) = reader.u32().zip(reader.take(CHECK_BYTES)) else {
            return Ok((found, at));
        };
        let length = length as usize;
        if length > MAX_RECORD {
            return Err(corrupt(path, at));
        }
        let Some(body) = reader.take(length) else {
            return Ok((found, at));
        };
        if keccak256(body)[..CHECK_BYTES] != *check {
            // The last record of a file that grew before its bytes were written.
            return if reader.0.is_empty() { Ok((found, at)) } else { Err(corrupt(path, at)) };
        }
        found.push((at, body));
        at = bytes.len() - reader.0.len();
    }
}

fn corrupt(path: &Path, offset: usize) -> DevnetError {
    DevnetError::Corrupt { path: PathBuf::from(path), offset: offset as u64 }
}

impl Genesis {
    pub(crate) fn new(config: &DevnetConfig) -> Self {
        Self {
            chain_id: config.chain_id,
            timestamp: (config.clock)(),
            gas_limit: config.gas_limit,
            accounts: config.accounts.clone(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [self.chain_id, self.timestamp, self.gas_limit] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        for (account, balance) in &self.accounts {
            out.extend_from_slice(account.as_slice());
            out.extend_from_slice(&balance.to_be_bytes::<32>());
        }
        out
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let (chain_id, timestamp, gas_limit) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let mut accounts = Vec::new();
        while !reader.0.is_empty() {
            let account = Address::from_slice(reader.take(20)?);
            accounts.push((account, U256::from_be_slice(reader.take(32)?)));
        }
        Some(Self { chain_id, timestamp, gas_limit, accounts })
    }
}

impl BlockRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(self.hash.as_slice());
        for tx in &self.txs {
            // Transactions come over a body bounded far below 4 GiB; one that were not would fail the record's own
            // bound before it is written.
            let length = u32::try_from(tx.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(tx);
        }
        out
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let timestamp = reader.u64()?;
        let hash = B256::from_slice(reader.take(32)?);
        let mut txs = Vec::new();
        while !reader.0.is_empty() {
            let length = reader.u32()? as usize;
            txs.push(Bytes::copy_from_slice(reader.take(length)?));
        }
        Some(Self { timestamp, hash, txs })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }
}
