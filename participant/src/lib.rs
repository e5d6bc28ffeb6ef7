//! The site agent: what one hospital, or one holder of an evaluation set, runs. It only dials out.
//!
//! The coordinator's notices wake it; what it acts on it reads from the chain and from content-addressed artefacts,
//! and checks. Nothing here trusts the coordinator: a base model is recomputed before it is trained on, a list is held
//! against its root before a member answers for it, and what may be said once is written down before it is said.
//!
//! | folder | what the site does there |
//! |---|---|
//! | `data` | reads its own rows |
//! | `fetch` | verifies what a round claims to be: descriptor, lists, matrix, base model |
//! | `contribute` | trains, encrypts, deals shares, uploads |
//! | `committee` | acknowledges stages and answers for the shares it holds |
//! | `validate` | promises and reveals a direction |
//! | `claim` | finds what it has earned, with the proof, and sees that it is paid |
//! | `enrol` | registers a password and logs in, for what its vault opens with |
//! | `actor` | waits, and does what is due |
//!
//! The steps are functions of plain values, so that tests can act as a site that misbehaves; no misbehaviour is built
//! in. No patient data, weight or gradient is ever logged.

mod actor;
mod claim;
pub mod committee;
mod config;
pub mod contribute;
pub mod data;
mod enrol;
mod entropy;
mod error;
pub mod fetch;
mod identity;
mod memory;
#[cfg(test)]
mod tests;
pub mod validate;

pub use actor::{Duty, SiteParts, SiteProgress, run};
pub use claim::{Claim, ClaimPolicy, Standing, claim_from, claim_of, own_claim};
pub use config::{DataConfig, PolicyConfig, SiteConfig, entity_id};
pub use enrol::{Admitted, Dialog, Registered};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy, system_rng};
pub use error::SiteError;
pub use identity::Identity;
pub use memory::{HomeChain, Memory, Records, seal_secrets};
