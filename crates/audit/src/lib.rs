//! The audit: recomputes a run from its chain and its content store alone, trusting nobody who took part.
//!
//! [`ChainFacts`] is what the chain says of a federation. [`audit_facts`] walks its rounds in the order of their
//! stages, reads every artefact by CID, recomputes what it should hold, and counts. It goes on after something wrong,
//! but what it names is the first: the later ones are usually its consequences.
//!
//! | stage | file | recomputed |
//! |---|---|---|
//! | ctx | `round/announced.rs` | spec, base model, lists against seats, descriptor, public matrix |
//! | promise, lock | `round/promised.rs`, `round/locked.rs` | lists against the chain, signatures, receipts |
//! | direction | `round/revealed.rs` | promises open, directions are spread and small |
//! | audit, score | `round/audited.rs`, `round/scored.rs` | roots of uploads, inner products, openings, scalars per site |
//! | admit | `round/admitted.rs` | the set that follows from the scores, its certificate |
//! | sum, open, model | `round/summed.rs`, `round/opened.rs` | the addition word by word, the secret, residuals, the model |
//! | settle, payout | `round/settled.rs` | every payment; then `claims.rs`: who was paid what |
//!
//! A store is only a source: the CID of every whole artefact is computed again here, and what is read in block ranges
//! is held against a root that was signed or posted. Memory is that of one model and one block range of one upload.
//!
//! **Not checked here.** Signatures over `H_admit` are calldata, which the contract checked: the code of the contracts is
//! compared with ours instead. An embedded chain is kept by the coordinator, so an audit of it shows that the run is
//! consistent, not that there was no other one.

mod artefacts;
mod audit;
mod claims;
mod error;
mod facts;
mod history;
mod kind;
mod progress;
mod report;
mod round;
mod tally;
mod uploads;
mod wording;

pub use audit::{audit, audit_facts};
pub use error::AuditError;
pub use facts::ChainFacts;
pub use kind::Kind;
pub use progress::Progress;
pub use report::{Count, Finding, Report, RoundPayments, Verdict};
