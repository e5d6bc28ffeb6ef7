//! What is to be done now. Every order may be carried out twice: posts are keyed by (round, stage) in the outbox of
//! the sender, artefacts by their content, jobs are pure.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{Fault, Posting, State, VoidReason};
use crate::types::{DirectionPromise, OpenItem, Receipt, Reveal, Stage};

/// A message with its author's EIP-712 signature, as it goes on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    pub message: T,
    pub signature: Bytes,
}

/// A member's signature over the transcript value of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAck {
    pub member: Address,
    pub signature: Bytes,
}

/// A participant's weight in the sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumWeight {
    pub participant: Address,
    pub class: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    // Transactions.
    OpenRound,
    /// Relay the promises (`promise`), then close their list (`postPromises`).
    PostPromises {
        list: Posting,
        promises: Vec<Signed<DirectionPromise>>,
    },
    Lock {
        list: Posting,
        count: u32,
    },
    /// Relay the reveals (`reveal`), then close their list (`postDirections`).
    PostDirections {
        list: Posting,
        reveals: Vec<Signed<Reveal>>,
    },
    PostAudit {
        list: Posting,
    },
    PostScores {
        list: Posting,
    },
    /// Exactly t acknowledgements of H_admit, by address.
    PostAdmit {
        list: Posting,
        admitted: u16,
        acks: Vec<MemberAck>,
    },
    PostSum {
        sum: Posting,
    },
    PostOpenAndModel {
        open: Posting,
        model: Posting,
    },
    Propose {
        settle: Posting,
        payout: Posting,
        total: u128,
    },
    Finalise,
    VoidRound {
        reason: VoidReason,
        faults: Vec<Fault>,
    },
    /// The deadline of this stage is over and it was not posted.
    ExpireRound {
        stage: Stage,
        faults: Vec<Fault>,
    },

    // The content store. Bytes are the artefact whose root is `root`; answer with `ArtefactStored`.
    StoreArtefact {
        stage: Stage,
        root: B256,
        bytes: Bytes,
    },

    // Members.
    /// Ask for signatures over `transcript`; `list` is what it adds: members recompute U before they sign for it.
    AskAcks {
        stage: Stage,
        transcript: B256,
        list: Posting,
    },
    /// Hand the t acknowledgements to all members and ask for their answers: scalars over `participants` for
    /// [`Stage::Score`], `T_k` over them for [`Stage::Open`].
    AskAnswers {
        stage: Stage,
        acks: Vec<MemberAck>,
        participants: Vec<SumWeight>,
    },

    // Aggregator's jobs.
    /// The three are about the same bytes: whoever looks at them once can answer all. `uploads` are the list's.
    RequestAudit {
        lock: Posting,
        uploads: Vec<SumWeight>,
        directions: Posting,
    },
    RequestInners {
        participants: Vec<SumWeight>,
        directions: Posting,
    },
    RequestSum {
        weights: Vec<SumWeight>,
    },
    /// No job: whoever keeps the sum opens it with t of the answers, and makes the next model of it.
    RequestOpen {
        answers: Vec<OpenItem>,
        sum: Posting,
    },

    // Participants and watchers.
    /// Sign this as coordinator and answer with `ReceiptSigned`.
    SignReceipt {
        receipt: Receipt,
    },
    SendReceipt {
        receipt: Receipt,
        signature: Bytes,
    },
    Broadcast {
        state: State,
    },
}
