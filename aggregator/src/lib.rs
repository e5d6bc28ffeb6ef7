//! The aggregator: a worker without state. It leases a block range, reads the ciphertexts of that range by CID,
//! verifies, multiplies and sums them, and posts the result.
//!
//! Every block of 2048 coefficients is independent, so a range is the unit of work. One participant's range is held
//! at a time (3 MiB), never participants × model. A worker sees ciphertexts and directions; whatever it answers is
//! checked by residuals before it is posted on chain, and recomputed by auditors.

mod actor;
mod config;
mod error;
mod job;

pub use actor::{AggregatorProgress, Parts, run};
pub use config::AggregatorConfig;
pub use error::AggregatorError;
pub use job::{RangeReader, perform};
