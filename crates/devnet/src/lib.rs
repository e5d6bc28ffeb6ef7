//! The embedded chain: a real EVM (revm, hardfork Osaka) in this process, one block per transaction, served as an
//! alloy transport and as JSON-RPC over HTTP. The only crate that names revm.
//!
//! What it is: the semantics and gas of the EVM, EIP-1559 base fees, receipts, logs and block hashes that a restart
//! reproduces bit for bit. What it is not: a consensus. One writer, no censorship resistance, no state root (the field
//! is zero), no historical state, no system contracts in genesis, no blob or set-code transactions.
//!
//! Time is the injected clock plus an offset that `advance` moves; it grows by at least one second per block.
//! `blockhash(n)` is the hash of the header of block n for the last 256 blocks, zero otherwise, as on any chain.

mod block;
mod calls;
mod chain;
mod config;
mod devnet;
mod error;
mod evm;
mod filters;
mod http;
mod journal;
mod logs;
mod pool;
mod rpc;
mod timing;
mod transport;

pub use config::{Clock, DEFAULT_GAS_LIMIT, DevnetConfig, Durability, system_clock};
pub use devnet::Devnet;
pub use error::DevnetError;
pub use http::Access;
pub use transport::DevnetTransport;
