//! The chain as the rest of Almoner sees it: contract bindings, a ledger that reads, a sender that writes. The only
//! crate that names alloy's providers.
//!
//! Everything the ledger says comes from events of the deployment's contracts and from their view calls. It recomputes
//! every ctx and every transcript value it reads and refuses a chain that contradicts itself. The sender writes a
//! signed transaction down before it broadcasts it, so that a restart at any instruction sends it again and never
//! sends another in its place.

mod code;
pub mod contracts;
mod deployment;
mod error;
mod key;
mod ledger;
mod provider;
mod revert;
mod sender;
mod transport;

pub use code::check_code;
pub use deployment::{Deployment, deploy};
pub use error::LedgerError;
pub use key::SigningKey;
pub use ledger::{
    AdmittedRecord, ChainLog, ClaimRecord, ContributionRecord, Depth, DepthTag, EpochRecord, FederationRecord,
    FundingRecord, Ledger, PotChange, PotRecord, PromiseRecord, ProposalRecord, ReadyRecord, Reorganised, RevealRecord,
    RoundRecord, RoundStatus, SeatRecord, StageRecord,
};
pub use provider::{advance_time, chain_id, connect, connect_trusting};
pub use revert::Revert;
pub use sender::{Counters, Outbox, Sender, SenderConfig, TxReceipt};

pub use alloy::providers::DynProvider;
