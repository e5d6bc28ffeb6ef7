//! What a role must not forget: one SQLite file holding its journal of accepted messages, its state, the answers
//! it has given, and the transactions it has sent. The only crate that names SQLite.
//!
//! Every write is one transaction, and with `synchronous = FULL` a transaction is on the disk when the call returns.
//! Calls block for as long as that takes: an async caller runs them where blocking is allowed.

mod answers;
mod backup;
mod batch;
mod beside;
mod enrolment;
mod error;
mod events;
mod journal;
mod lock;
mod outbox;
mod reader;
mod schema;

pub use answers::Answered;
pub use backup::restore;
pub use batch::Batch;
pub use enrolment::{Credential, Invitation, invite};
pub use error::JournalError;
pub use events::MAX_EVENT_BYTES;
pub use journal::Journal;
pub use outbox::{OutboxEntry, OutboxStatus};
pub use reader::{Given, JournalReader};
