//! What this crate refuses, in one enum. No variant carries a secret: ids, positions and counts only.

use thiserror::Error;

/// Shorthand for results of this crate.
pub type Result<T, E = CryptoError> = core::result::Result<T, E>;

/// Why an input was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CryptoError {
    /// A byte string or vector has another length than its format says.
    #[error("{what}: expected {expected} items, got {actual}")]
    Length { what: &'static str, expected: usize, actual: usize },
    /// A word lies outside its field: at least `q`, or for a 48-bit word at least `q/4`.
    #[error("{what}: word {position} is out of range")]
    WordOutOfRange { what: &'static str, position: usize },
    /// A coefficient of our own update is larger than the round allows.
    #[error("update coefficient {position} exceeds the round's bound")]
    UpdateOutOfRange { position: usize },
    /// The message scale does not fit the modulus: not a power of two, or the range rule fails.
    #[error("scale {delta} with updates up to {update_max} does not fit the modulus")]
    Scale { delta: u64, update_max: u64 },
    /// The weights of a sum exceed what 48-bit words can carry in 64 bits.
    #[error("weights sum to {total}, more than 65535")]
    Weight { total: u64 },
    /// A threshold or committee size that cannot be dealt.
    #[error("threshold {threshold} of {members} members is not possible")]
    Threshold { threshold: usize, members: usize },
    /// Fewer answers than the threshold.
    #[error("{needed} answers needed, got {got}")]
    TooFewAnswers { needed: usize, got: usize },
    /// Members must be named once each, in ascending order.
    #[error("member {member} is repeated or out of order")]
    MemberOrder { member: u16 },
    /// A check block of an opened sum is not small: the secret is not the sum of the committed ones.
    #[error("check block {block} has a residual out of bounds at position {position}")]
    CheckResidual { block: usize, position: usize },
    /// No subset of the answers opens within the bounds.
    #[error("none of {tried} subsets of the answers opens within the bounds")]
    NoSubset { tried: u32 },
    /// A committee key that X-Wing refuses.
    #[error("malformed committee key")]
    Key,
    /// A sealed share that does not open: wrong key, round, sender, position, or a changed byte.
    #[error("sealed share does not open")]
    Unseal,
}

/// The usual length check.
pub(crate) fn expect_len(what: &'static str, actual: usize, expected: usize) -> Result<()> {
    if actual == expected { Ok(()) } else { Err(CryptoError::Length { what, expected, actual }) }
}
