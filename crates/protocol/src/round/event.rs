//! What happened. Events may be journalled and replayed: the same events in the same order give the same round.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::types::{Answer, Contribution, DirectionPromise, Reveal, Stage, StageAck, VerdictItem};

/// How certain the chain is of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Finality {
    Included,
    /// As the network's own rule has it; the embedded chain is final at once.
    Final,
}

/// Whether we hold the bytes behind a manifest's CIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bodies {
    Missing,
    Stored,
}

/// A root and where its artefact lies (binary CID).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    pub root: B256,
    pub cid: Bytes,
}

/// Inner products of one participant's ciphertext with every direction, in direction order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerRow {
    pub participant: Address,
    pub inner: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    // The chain, in block order. A repeated event is harmless; `at` is block time.
    RoundOpened {
        ctx: B256,
        at: u64,
    },
    StagePosted {
        stage: Stage,
        posting: Posting,
        transcript: B256,
        at: u64,
        finality: Finality,
    },
    /// A participant that the coordinator refused went to the chain (`commitDirect`).
    ContributionCommitted {
        manifest: Contribution,
        signature: Bytes,
        at: u64,
    },
    RoundFinalised,
    RoundVoided,
    RoundExpired,

    // Sites.
    PromiseReceived {
        promise: DirectionPromise,
        signature: Bytes,
    },
    ContributionReceived {
        manifest: Contribution,
        signature: Bytes,
        bodies: Bodies,
    },
    RevealReceived {
        reveal: Reveal,
        entries: Bytes,
        signature: Bytes,
    },
    StageAckReceived {
        member: Address,
        ack: StageAck,
        signature: Bytes,
    },
    /// `values[i·V + v]` = `y_k[i][v]`, i over A in lock-list order.
    ScoreAnswerReceived {
        answer: Answer,
        values: Vec<u64>,
        signature: Bytes,
    },
    /// `T_k` as 2048 big-endian words.
    SumAnswerReceived {
        answer: Answer,
        words: Bytes,
        signature: Bytes,
    },
    /// The researcher wants no more of this round.
    StopRequested,

    // Our own parts, answering an effect.
    ReceiptSigned {
        participant: Address,
        signature: Bytes,
    },
    ArtefactStored {
        stage: Stage,
        posting: Posting,
    },
    AuditCompleted {
        verdicts: Vec<VerdictItem>,
    },
    InnersCompleted {
        rows: Vec<InnerRow>,
    },
    SumCompleted {
        sum: Posting,
    },
    /// Exactly t committee indices whose answers open the sum, and the next model computed from it.
    SumOpened {
        members: Vec<u16>,
        model: Posting,
        zeroed_blocks: Vec<u32>,
    },
    /// No t of these members' answers open the sum.
    SumNotOpened {
        members: Vec<u16>,
    },
    /// Nothing happened but time.
    TimePassed,
}
