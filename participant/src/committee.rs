//! A committee member's part: hold shares, say once what it saw, answer once for what the rules ask.
//!
//! | when the chain shows | the member |
//! |---|---|
//! | directions | checks promise, lock and direction lists, acknowledges H_direction |
//! | the audit, and t acknowledgements of H_direction | derives every form itself, answers the scalars of A |
//! | scores | opens them again, computes U itself, acknowledges H_admit |
//! | the sum, and t acknowledgements of H_admit | answers for U |
//!
//! Each acknowledgement and answer is logged durably before it leaves; a second, different one never does.

mod acks;
mod admission;
mod answers;
mod lists;
mod shares;

pub use acks::check_acknowledgements;
pub use admission::{Judged, judged, recompute_admission};
pub use answers::{answer_scores, answer_sum, forms, signed_scores, signed_sum, valid_set};
pub(crate) use lists::stage;
pub use lists::{Revealed, check_revealed, revealed};
pub use shares::{HeldShares, open_shares};
