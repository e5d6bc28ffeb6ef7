//! The coordinator: the only listener of a federation. One port carries gRPC for sites, researchers and aggregators,
//! the content store as an IPFS gateway, and whatever the harness mounts beside them (the embedded chain's `/rpc`).
//!
//! It decides nothing: the rules are `almoner_protocol::round`. The handlers in `service/` turn wire into events, the
//! loop in `actor.rs` turns effects into transactions, artefacts and jobs.

mod access;
mod actor;
mod arriving;
mod bounds;
mod campaign;
mod chain;
mod claims;
mod config;
mod enrolment;
mod error;
mod ingress;
mod jobs;
mod model;
mod notice;
mod partials;
mod progress;
mod run;
mod service;
mod summing;
mod work;

pub use access::{Accounts, hear};
pub use config::CoordinatorConfig;
pub use enrolment::{Desk, Enrolment, EnrolmentError, Issuer};
pub use error::CoordinatorError;
pub use jobs::{BlockRange, JobBoard};
pub use progress::{Paid, Progress, Settlement};
pub use run::{Clock, Parts, run};
