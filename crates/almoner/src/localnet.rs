//! A whole federation in one process: chain, store, coordinator, aggregator, hospitals, validators and a harness, over
//! real loopback gRPC. The demo and the tests share it.

pub mod breast_cancer;
mod chain;
mod harness;
pub mod heart;
#[cfg(test)]
mod heart_tests;
mod host;
mod net;
pub mod run_file;
mod scenario;
mod seeds;
mod sites;

pub use chain::{ChainChoice, LocalChain};
pub use harness::{Baseline, Person, RoundReport, RunReport, best_alone, pooled_baseline};
pub use host::CoordinatorHost;
pub use net::{Localnet, NetConfig};
pub use scenario::{Holder, ModelChoice, Scenario, breast_cancer as breast_cancer_scenario, heart as heart_scenario};
pub use seeds::Seeds;
pub use sites::Site;
