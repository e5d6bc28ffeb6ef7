//! What can be wrong, with the remedy where there is one.

use std::path::PathBuf;

use crate::LEAST_PASSWORD;

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Whoever knows where it was taken from says so, with what to do.
    #[error("wrong password")]
    WrongPassword,
    /// The message of a login that does not prove the password.
    #[error("the password was not proven")]
    NotProven,
    #[error("the two passwords differ: nothing was changed")]
    PasswordsDiffer,
    #[error("a password of {0} characters: choose one of {LEAST_PASSWORD} or more")]
    WeakPassword(usize),
    /// A letter was mistyped, or it is a code of another kind.
    #[error("this is not {kind}, or a letter of it is wrong; it begins with {begins:?}")]
    Mistyped { kind: &'static str, begins: &'static str },
    #[error("{0}: does not parse, or is no value that an honest peer sends")]
    Message(&'static str),
    #[error("the vault does not open with this {0}: was it made for another vault, or replaced since?")]
    WrongOpener(&'static str),
    /// The password holds at the coordinator, but the vault was written for an earlier one.
    #[error(
        "the password is right, but this vault is older than it: put the newer vault file back, or use the recovery \
         code that belongs to this one (`almoner participant recover`, `almoner identity recover`)"
    )]
    OlderVault,
    #[error("{what} does not open: the file is damaged, or belongs to another vault")]
    Damaged { what: &'static str },
    #[error("{what} is not sealed, but the site's key is in a vault: run `almoner participant login` once")]
    Unsealed { what: String },
    #[error("{path} is not a vault: {reason}")]
    NotAVault { path: PathBuf, reason: String },
    #[error("{path} does not hold a coordinator's enrolment secrets")]
    NotSecrets { path: PathBuf },
    #[error("{path}: vault version {found}, this program knows {known}: run a newer almoner")]
    Version { path: PathBuf, found: u64, known: u64 },
    #[error("{path} may be read by others: chmod 600 it")]
    Open { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}
