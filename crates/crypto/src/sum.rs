//! The publicly weighted sum over the admitted participants: the only sum of a round that is ever opened.
//!
//! Purpose: add ciphertexts without reading them, and open the total with a secret that fits no other total.
//! Steps: [`SumBlock`] and [`CheckSum`] add words times public weights; [`find_secret`] interpolates `S` from the
//! first t answers that satisfy the check blocks; [`open_block`] subtracts `a_j·S`, centres and rounds by the scale.
//! Attacks answered:
//! - a forged `S` (for one data block some `S` opens any sum with residual zero): [`verify_checks`] comes first and
//!   leaves a single `S` for the committed ciphertexts;
//! - a participant's malformed block: the residual of that block fails and it contributes zero, to everybody;
//! - silent overflow: the weights of a sum are counted and refused beyond 65 535.
//!
//! Not protected: a sum shifted by exactly Δ passes the residual; the addition is recomputed by auditors. Everything
//! here is public and takes the time it takes.

mod accumulate;
mod open;

pub use accumulate::{CheckSum, SumBlock, WEIGHT_MAX, validate_check_file};
pub use open::{OpenedBlock, SumRule, find_secret, open_block, verify_checks};
pub(crate) use open::{check_scale, residual_in_bounds, round};

#[cfg(test)]
mod tests;
