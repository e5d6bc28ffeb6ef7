//! Wire to domain and back: one fallible conversion per message, whose error names the field.
//!
//! A conversion checks form and bounds only. Whether a signature is the right account's, or a root the right one, is
//! for the rules in `almoner-protocol` to say.

mod aggregators;
mod artefacts;
mod claims;
mod enrolment;
mod field;
mod researchers;
mod sites;

pub use aggregators::{Job, JobUpload, LeaseRequest, MAX_DIRECTIONS, MAX_UPLOADS};
pub use artefacts::{
    RoundNotice, StageArtefact, Task, TaskRequest, UploadHeader, UploadOffsetReply, UploadReceipt, WatchRequest,
};
pub use claims::{ClaimReply, ClaimRequest};
pub use enrolment::{
    Admission, LoginFinishRequest, LoginStartReply, LoginStartRequest, RegisterFinishReply, RegisterFinishRequest,
    RegisterStartReply, RegisterStartRequest, RenewReply, RenewRequest,
};
pub use field::{Amount, Signature, Signed, words_from_bytes, words_to_bytes};
pub use researchers::{CreateReply, CreateRequest, FundRequest, LaunchRequest, StopRequest};
pub use sites::{
    AcknowledgementsReply, AcknowledgementsRequest, JoinRequest, PromiseRequest, ReadyRequest, RevealRequest,
    ScoreAnswer, SealedShare, SealedSharesRequest, StageAckMessage, SumAnswer,
};

#[cfg(test)]
mod tests;
