//! Why the desk turns somebody away, with what to do about it.

use std::time::Duration;

use almoner_identity::{IdentityError, LockedOut};
use almoner_proto::{ErrorKind, Kinded};
use almoner_protocol::Address;

/// Of one certificate, as long as this process lives.
pub(super) const MAX_RENEWALS: u8 = 8;

/// Why somebody is not enrolled, or not logged in.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    #[error("there is no such invitation here: ask the operator for one")]
    NoInvitation,
    #[error("this invitation was used: ask the operator for another one")]
    Used,
    #[error("this invitation has expired: ask the operator for another one")]
    Expired,
    #[error("this invitation is for account {0}")]
    ForAnother(Address),
    /// One account, one role: its certificate says what it may ask for.
    #[error("account {account} is enrolled here as {role}: enrol with another key")]
    Another { account: Address, role: String },
    #[error("account {0} is not enrolled here: ask the operator for an invitation")]
    NotEnrolled(Address),
    #[error("the signature is not account {0}'s")]
    Signature(Address),
    #[error("this was begun too long ago, or never: begin again")]
    Late,
    #[error("too many attempts: the next one in {} s", .0.seconds)]
    LockedOut(LockedOut),
    #[error("no certificate: {0}")]
    Certificate(String),
    #[error("a certificate comes with an invitation: ask the operator for one")]
    Uninvited,
    #[error("this certificate is not of the federation's authority: whoever issued it renews it")]
    NotOurs,
    #[error("this coordinator issues no certificates: ask the operator for a new one (almoner coordinator issue)")]
    NoAuthority,
    #[error("this certificate is not in the last third of its life: it is renewed then")]
    Early,
    #[error("this certificate was renewed {MAX_RENEWALS} times: ask the operator for a new one")]
    Often,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Every record would be of no use, and nobody would know why.
    #[error(
        "the enrolment secrets are not those that this journal's sites enrolled with: put their file back; without it \
         nobody can log in"
    )]
    OtherSecrets,
}

impl Kinded for EnrolmentError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoInvitation | Self::NotEnrolled(_) | Self::Late | Self::NoAuthority => ErrorKind::NotFound,
            Self::Used | Self::Expired | Self::ForAnother(_) | Self::Another { .. } | Self::Early | Self::Often => {
                ErrorKind::Conflict
            }
            Self::Signature(_) | Self::Uninvited | Self::Certificate(_) | Self::NotOurs | Self::Identity(_) => {
                ErrorKind::Invalid
            }
            Self::LockedOut(locked) => ErrorKind::NotNow(Duration::from_secs(locked.seconds)),
            Self::OtherSecrets => ErrorKind::Internal,
        }
    }
}
