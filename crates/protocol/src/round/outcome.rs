//! How a round ends without a result, and who is answerable for it.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::types::Stage;

/// Why a round was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VoidReason {
    /// Fewer than `N_min` uploads.
    TooFewUploads { have: usize, need: usize },
    /// Fewer than `N_min` participants are left after the audit, or after their scalars were opened.
    TooFewValid { have: usize, need: usize },
    /// Fewer than t members acknowledged a stage.
    TooFewAcks { stage: Stage, have: usize, need: usize },
    /// Fewer than t members answered at a stage.
    TooFewAnswers { stage: Stage, have: usize, need: usize },
    /// The admitted set differs by one participant from a set admitted before over the same base model.
    SetTooClose,
    /// The researcher stopped it.
    Stopped,
    /// The chain says so; we did not ask for it.
    OnChain,
}

/// Something a named account did not do, or did wrongly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    NoPromise {
        validator: Address,
    },
    NoReveal {
        validator: Address,
    },
    NoUpload {
        participant: Address,
    },
    NoAck {
        member: Address,
        stage: Stage,
    },
    NoAnswer {
        member: Address,
        stage: Stage,
    },
    /// The audit's or the opening's verdict on a participant (`docs/PROTOCOL.md`, section 7).
    Refused {
        participant: Address,
        stage: Stage,
        verdict: u8,
    },
    /// No t of these members' answers open the sum.
    WrongAnswers {
        members: Vec<Address>,
    },
    /// The stage was ours to post, and nobody kept us from it.
    NotPosted {
        coordinator: Address,
        stage: Stage,
    },
}

/// The end of a round that pays nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub cause: Cause,
    pub faults: Vec<Fault>,
    /// Whether the chain says so too.
    pub confirmation: Confirmation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    Void(VoidReason),
    /// The stage whose deadline passed.
    Expired(Option<Stage>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confirmation {
    Ordered,
    OnChain,
}
