//! Everything this crate refuses. Each variant names the field or list to look at.

use alloy_primitives::Address;
use almoner_crypto::CryptoError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("stage {0} does not exist")]
    UnknownStage(u8),
    #[error("signature refused: {0}")]
    Signature(&'static str),
    #[error("{0:?} is not a federation: write chain id:address of Federations:number")]
    FederationName(String),

    /// Nothing else of the file is looked at.
    #[error("version {found} of this file is not known, this program reads version {known}: run a newer almoner")]
    FileVersion { found: u32, known: u32 },

    #[error("{list} list, item {item}: {reason}")]
    ListItem { list: &'static str, item: usize, reason: &'static str },
    #[error("{list} list: {reason}")]
    List { list: &'static str, reason: &'static str },

    #[error("base model file: {0}")]
    ModelFile(&'static str),
    #[error("federation file: {0}")]
    SpecSyntax(String),
    #[error("federation file, {field}: {reason}")]
    Spec { field: String, reason: String },

    #[error("descriptor, {field}: {reason}")]
    Descriptor { field: &'static str, reason: String },
    #[error("descriptor, {field}: it says {stated}, but {derived} follows from the spec and the lists")]
    DescriptorDiffers { field: &'static str, stated: String, derived: String },

    #[error("update, coordinate {index}: not a finite number")]
    NotFinite { index: usize },
    #[error("{what}: {have} entries where {want} are expected")]
    Length { what: &'static str, have: usize, want: usize },
    #[error("direction refused: {0}")]
    Direction(&'static str),
    #[error("the sum does not open: {0}")]
    Sum(CryptoError),

    #[error("{opened} scalars are open and {more} more are asked for; this site's limit is {limit}")]
    ScalarsSpent { opened: u32, more: u32, limit: u32 },

    #[error("{0} does not fit its integer type")]
    Overflow(&'static str),
    #[error("{account} is in the {list} list, but not in the {missing_from} list")]
    Stranger { account: Address, list: &'static str, missing_from: &'static str },
    #[error("the {left} list and the {right} list do not name the same accounts")]
    ListsDisagree { left: &'static str, right: &'static str },
}

impl Error {
    pub(crate) fn spec(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Spec { field: field.into(), reason: reason.into() }
    }

    pub(crate) fn descriptor(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Descriptor { field, reason: reason.into() }
    }
}
