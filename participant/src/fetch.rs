//! What a round claims to be, checked before anything is done for it.
//!
//! Facts come from the chain, whose events the ledger has already held against each other; everything else is found
//! by CID and compared with a root or hash that the chain states.

mod aggregate;
mod artefact;
mod base;
mod policy;
mod seats;
mod terms;

use std::sync::Arc;

use almoner_chain::Ledger;
use almoner_store::Store;

use crate::{Identity, Memory};

pub use aggregate::Opening;
pub use artefact::{bytes, list};
pub use base::{Named, base_model, check_parent, result_of, trace};
pub use policy::{check_policy, scalars_limit};
pub use seats::check_seats;
pub use terms::{Terms, check_task, spec, terms};

/// What a site reads from.
#[derive(Clone, Debug)]
pub struct Sources {
    pub ledger: Ledger,
    pub store: Arc<dyn Store>,
    pub memory: Memory,
    pub identity: Identity,
}
