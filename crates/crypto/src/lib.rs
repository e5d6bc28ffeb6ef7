//! SA-50, version 0: the encryption under which Almoner sums updates and opens scores.
//!
//! An upload is `a_j·s + e + Δ·m` over `Z_q[X]/(X^2048 + 1)`: one uniform secret `s`, used once, public matrix
//! blocks `a_j`, small noise `e`. Everything after it is linear, so weighted sums of ciphertexts and of shares of `s`
//! open weighted sums of updates, and an inner product of a ciphertext opens with an inner product of the shares.
//!
//! | step | module | who runs it |
//! |---|---|---|
//! | arithmetic modulo `q` and the transform | [`ring`] | everybody |
//! | the public matrix of an epoch | [`matrix`] | everybody |
//! | SHA-256 trees over words and lists | [`tree`] | everybody |
//! | draw a secret, encrypt an update, check blocks | [`encrypt`] | a participant |
//! | Shamir shares of the secret, weighted sums of shares | [`share`] | a participant, the committee |
//! | X-Wing HPKE around a share | [`seal`] | a participant, the committee |
//! | one scalar per participant and direction | [`score`] | the committee, the aggregator, auditors |
//! | the sum over the admitted participants | [`sum`] | the aggregator adds; coordinator, participants and auditors open |
//!
//! The crate is pure: no files, clocks or operating-system randomness; seeds and generators are arguments.
//!
//! **Not protected in version 0.** A small residual proves nothing about a single scalar (one equation, one unknown);
//! norm audits by masked projections and the Z-check come later. No formal proof, no outside review: research-grade.

#![forbid(unsafe_code)]

pub mod encrypt;
mod error;
pub mod matrix;
pub mod ring;
pub mod score;
pub mod seal;
pub mod share;
mod subsets;
pub mod sum;
#[cfg(test)]
mod testing;
pub mod tree;
mod widest;
mod words;

pub use error::{CryptoError, Result};
pub use subsets::SUBSETS_MAX;
pub use widest::widest;
