//! Why a site refuses or fails: one variant per thing that may differ, with what it should have been.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use almoner_chain::LedgerError;
use almoner_crypto::CryptoError;
use almoner_identity::IdentityError;
use almoner_journal::JournalError;
use almoner_model::ModelError;
use almoner_proto::{ErrorKind, FieldError, Kinded, WireError, is_from_peer};
use almoner_protocol::{Address, B256, Stage, U256};
use almoner_store::{Blame, StoreError};
use almoner_tls::{CertificateRefused, Client as Tls};

use crate::data::DataError;

/// How long the chain is left alone before it is read again.
const MOVED: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    // Ours: settings, data, disk.
    #[error("site configuration: {0}")]
    Config(String),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("training: {0}")]
    Model(#[from] ModelError),
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// What it said and opened so far would not count there.
    #[error(
        "state = {state:?} is of {kept}, but the coordinator now names {found}: ask its operator why, and check it \
         elsewhere; for a federation that did begin anew, name a new file in `state`, which counts opened scalars from zero"
    )]
    OtherChain { state: PathBuf, kept: String, found: String },
    #[error("no randomness from the operating system")]
    Entropy,
    #[error(transparent)]
    Identity(IdentityError),
    /// The journal is sealed, and the site was started with a plain key.
    #[error("the journal was sealed with the site's vault: key = the vault's file")]
    VaultNeeded,
    #[error("the coordinator enrols nobody: its operator names a file for it, enrolment = \"enrolment.key\"")]
    NoEnrolment,
    /// Whoever was given the invitation of another uses it otherwise.
    #[error("this invitation enrols as {role}; it is not used up: use it with `almoner {command} enrol`")]
    InvitedAs { role: String, command: &'static str },
    #[error("a computation was stopped before it finished")]
    Stopped,
    /// The coordinator is there and does not take our certificate.
    #[error(transparent)]
    Certificate(CertificateRefused),
    /// For the operator to mend; until then there is nothing for the site to do.
    #[error("this site does not join: {0}")]
    NotJoined(Arc<SiteError>),

    // Between us and the others.
    #[error("coordinator: {0}")]
    Wire(#[from] WireError),
    #[error("chain: {0}")]
    Ledger(#[from] LedgerError),
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// A stage was posted while we looked: to be looked at again.
    #[error("round {round} moved on while it was being read")]
    Moved { round: u64 },

    /// The journal is a copy: whether this was answered before, and how, nobody knows.
    #[error(
        "the journal was restored from a copy, and this site may have answered in round {round}, or for its base model, \
         after the copy was made: it takes no part"
    )]
    Restored { round: u64 },

    // Refusals: what a round claims is not so.
    #[error(transparent)]
    Rule(#[from] almoner_protocol::Error),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// Somebody wants this site to train on a model that does not follow from the rounds before.
    #[error("round {round} starts from model {stated}, but {own} follows from the rounds before: refused")]
    TrapModel { round: u64, stated: B256, own: B256 },
    /// The root is that of the right model, the file behind the CID another one: a newcomer would find nothing to start from.
    #[error("the base model's file has CID {found}, the chain says {stated}")]
    BaseCid { stated: String, found: String },
    #[error("{what} has root {found}, the chain says {stated}")]
    Root { what: &'static str, stated: B256, found: B256 },
    #[error("{list} list: {reason}")]
    List { list: &'static str, reason: String },
    #[error("the coordinator's task differs from the chain in {field}")]
    OtherTask { field: &'static str },
    #[error("the descriptor's deadlines imply that it was opened at {implied}, its block says {block}")]
    OpeningTime { implied: u64, block: u64 },
    #[error("site policy: {0}")]
    Policy(String),
    #[error("receipt refused: {0}")]
    Receipt(&'static str),
    /// We hold the coordinator's receipt for an upload that is not in the list it locked.
    #[error("our upload has a receipt, but the lock list leaves it out")]
    Omitted,
    #[error("upload of {participant} in the lock list: {reason}")]
    LockItem { participant: Address, reason: &'static str },
    #[error("the scores of {participant} are not what the posted answers open to")]
    ScoreRow { participant: Address },
    #[error("the score list holds another answer of ours for {participant} than we gave")]
    ForgedAnswer { participant: Address },
    #[error("the admit list has root {stated}, but {own} follows from the scores")]
    OtherAdmission { stated: B256, own: B256 },
    #[error("the rules admit {have} uploads, {need} are the least: no sum may be opened")]
    TooFewAdmitted { have: usize, need: usize },
    #[error("{have} acknowledgements of stage {stage}, {need} are needed")]
    Acknowledgements { stage: Stage, have: usize, need: usize },
    #[error("an acknowledgement of stage {stage}: {reason}")]
    BadAcknowledgement { stage: Stage, reason: &'static str },
    #[error("no good share of {participant} was dealt to us: we cannot answer for a sum that contains it")]
    ShareMissing { participant: Address },
    #[error("the opening does not match the posted sum: {0}")]
    Opening(&'static str),
    #[error("claim: {0}")]
    Claim(&'static str),
    /// Our node is behind the coordinator's: to be looked at again.
    #[error("claim: said to be paid in block {block}, our node is at {head}")]
    NotThere { block: u64, head: u64 },
    #[error("claim: said to be paid in block {block}, but the chain has paid {claimed} of {cumulative}")]
    Unpaid { block: u64, cumulative: U256, claimed: U256 },
    #[error("claim: {due} were due, but the balance grew by {grew}")]
    Short { due: U256, grew: U256 },
}

impl SiteError {
    /// Who did not answer, if that is what happened: they may be back by themselves.
    pub fn away(&self) -> Option<&'static str> {
        match self {
            Self::Wire(WireError::Status(status)) if !is_from_peer(status) && self.may_pass() => Some("coordinator"),
            Self::Ledger(_) if self.may_pass() => Some("chain"),
            Self::Store(_) if self.may_pass() => Some("store"),
            _ => None,
        }
    }

    /// The same, or that the coordinator refuses our certificate, if that is what the line to it ended with: the request
    /// that failed only says that it did.
    pub(crate) fn explained(self, tls: &Tls) -> Self {
        if self.away() != Some("coordinator") {
            return self;
        }
        tls.refusal().map_or(self, Self::Certificate)
    }

    pub(crate) fn is_shut_out(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }

    fn may_pass(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotNow(_))
    }
}

impl From<FieldError> for SiteError {
    fn from(error: FieldError) -> Self {
        Self::Wire(error.into())
    }
}

impl From<tonic::Status> for SiteError {
    fn from(status: tonic::Status) -> Self {
        Self::Wire(status.into())
    }
}

impl Kinded for SiteError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::Data(_) | Self::Model(_) | Self::Policy(_) | Self::OtherChain { .. } => {
                ErrorKind::Invalid
            }
            // A coordinator that answers nonsense; all else about a vault is its operator's to mend.
            Self::Identity(IdentityError::Message(_)) => ErrorKind::PeerFault,
            Self::Identity(_) | Self::VaultNeeded | Self::NoEnrolment | Self::InvitedAs { .. } => ErrorKind::Invalid,
            Self::Certificate(_) => ErrorKind::NotAllowed,
            Self::Journal(JournalError::AnswerConflict { .. }) | Self::Restored { .. } => ErrorKind::Conflict,
            Self::Journal(_) | Self::Entropy | Self::Stopped => ErrorKind::Internal,
            Self::NotJoined(error) => error.kind(),
            Self::Wire(error) => error.kind(),
            Self::Ledger(error) if error.is_retryable() => ErrorKind::SOON,
            Self::Ledger(
                LedgerError::Inconsistent { .. } | LedgerError::WrongCode { .. } | LedgerError::TooLong { .. },
            ) => ErrorKind::PeerFault,
            Self::Ledger(_) => ErrorKind::Internal,
            Self::Store(error) => match error.blame() {
                Blame::Peer => ErrorKind::PeerFault,
                Blame::Retry => ErrorKind::SOON,
                Blame::Ours => ErrorKind::Internal,
            },
            Self::Moved { .. } => ErrorKind::NotNow(MOVED),
            // Members acknowledge one after another; nodes hear of blocks one after another.
            Self::Acknowledgements { .. } | Self::NotThere { .. } => ErrorKind::SOON,
            Self::Rule(_)
            | Self::Crypto(_)
            | Self::TrapModel { .. }
            | Self::BaseCid { .. }
            | Self::Root { .. }
            | Self::List { .. }
            | Self::OtherTask { .. }
            | Self::OpeningTime { .. }
            | Self::Receipt(_)
            | Self::Omitted
            | Self::LockItem { .. }
            | Self::ScoreRow { .. }
            | Self::ForgedAnswer { .. }
            | Self::OtherAdmission { .. }
            | Self::TooFewAdmitted { .. }
            | Self::BadAcknowledgement { .. }
            | Self::ShareMissing { .. }
            | Self::Opening(_)
            | Self::Claim(_)
            | Self::Unpaid { .. }
            | Self::Short { .. } => ErrorKind::PeerFault,
        }
    }
}
