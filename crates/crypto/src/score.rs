//! One scalar per participant and direction: the inner product of its update with a public vector.
//!
//! Purpose: measure what an update is worth to a validator without opening the update.
//! Steps: a member turns the revealed [`Direction`] into a [`LinearForm`] itself and answers one word per
//! participant ([`answer`]); the aggregator takes the inner product of the ciphertext, block by block
//! ([`inner_partial`]), adds the middle of the dropped bits ([`finish_inner`]); anyone opens with [`open_score`].
//! Attacks answered:
//! - a form of somebody's choice opens a single coordinate: a `LinearForm` can only be made here, from the epoch seed
//!   and a direction, and has no wire format;
//! - wrong answers: up to half of the answers beyond t may be lies and are outvoted; more are met with the residuals
//!   of the t-subsets, and a scalar beyond the range rule is refused;
//! - malformed words in a ciphertext: refused while they are read.
//!
//! Not protected: a residual is one equation with one unknown, and where t answers or t + 1 are all there are (m = 4)
//! there is nothing to outvote: a lie of whole units moves a score, at best visibly ([`ScoreOpening::off`]). The Z-check
//! that answers this is not part of version 0. Each opened scalar costs the secret one dimension
//! ([`FORMS_PER_SECRET_MAX`]); whoever answers keeps that count.

mod form;
mod inner;
mod open;

pub use form::{Direction, LinearForm, answer, linear_form};
pub use inner::{finish_inner, inner_partial};
pub use open::{ScoreOpening, open_score};

/// Most forms ever answered on one secret (scores and later audits together).
pub const FORMS_PER_SECRET_MAX: u32 = 48;

#[cfg(test)]
mod tests;
