//! Models: from a federation file's layer list to a Burn module, and from there to flat vectors.
//!
//! The only crate that names Burn. Everything outside it sees a model as a flat `f32` vector in one
//! documented order: per linear layer the weight `[inputs, outputs]` row by row, then the bias.
//! All randomness (first weights, batch order, noise) comes from [`HostRng`], never from Burn, whose
//! generator is one static per process and would let two hospitals in one process disturb each other.
//! Training is synchronous: run it on a blocking thread.

mod batches;
mod clipped;
mod dataset;
mod device;
mod error;
mod export;
mod import;
mod init;
mod metrics;
mod model;
mod net;
mod network;
mod rng;
mod standardise;
mod train;

pub use batches::{BatchOrder, Batches};
pub use clipped::{TENSORS_HELD, per_example_clipped_gradient};
pub use dataset::Dataset;
pub use device::{ComputeDevice, DeviceChoice};
pub use error::ModelError;
pub use export::export_f32;
pub use import::import_f32;
pub use init::initial_weights;
pub use metrics::Metrics;
pub use model::{Model, evaluate, predict};
pub use network::Network;
pub use rng::HostRng;
pub use standardise::Standardiser;
pub use train::{TrainPlan, train, train_observed};
