//! The mailbox of the loop: plain types, each with somebody waiting for the answer.

use almoner_proto::{Job, JoinRequest, ReadyRequest, Signed, Task};
use almoner_protocol::round::Event;
use almoner_protocol::types::{Contribution, Receipt, StageAck};
use almoner_protocol::{Address, B256, Bytes, Stage};
use tokio::sync::oneshot;

use crate::CoordinatorError;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, CoordinatorError>>;

/// The three files of an upload, as sizes the descriptor allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadSizes {
    pub(crate) ciphertext: u64,
    pub(crate) check: u64,
    pub(crate) shares: u64,
}

/// What happens in the round in hand.
#[derive(Debug)]
pub(crate) enum Told {
    /// Promises, reveals, answers.
    Event { event: Box<Event>, reply: Reply<()> },
    /// The files are in the store under the manifest's CIDs.
    Contribution { manifest: Signed<Contribution>, reply: Reply<Signed<Receipt>> },
    /// An acknowledgement; who signed it follows from its signature.
    Ack { ack: Signed<StageAck>, reply: Reply<()> },
}

#[derive(Debug)]
pub(crate) enum Ingress {
    // Sites.
    Join {
        request: JoinRequest,
        reply: Reply<()>,
    },
    Ready {
        request: ReadyRequest,
        reply: Reply<()>,
    },
    Task {
        federation: u64,
        round: u64,
        reply: Reply<Task>,
    },
    /// How large the files of this upload must be; refused if the round would not take it now.
    UploadSizes {
        manifest: Signed<Contribution>,
        reply: Reply<UploadSizes>,
    },
    Told(Told),
    Acknowledgements {
        ctx: B256,
        stage: Stage,
        reply: Reply<Vec<Signed<StageAck>>>,
    },
    /// The sealed-share bundles of the locked participants.
    ShareBundles {
        ctx: B256,
        reply: Reply<Vec<(Address, Bytes)>>,
    },

    // Aggregators.
    /// Answered when there is work; the caller gives up by dropping its end.
    Lease {
        reply: Reply<Job>,
    },
    /// How long the result of this lease is.
    ResultLength {
        lease: u64,
        reply: Reply<usize>,
    },
    Result {
        lease: u64,
        bytes: Bytes,
        reply: Reply<()>,
    },

    // Researchers.
    Create {
        spec: String,
        initial: Vec<i32>,
        reply: Reply<u64>,
    },
    Fund {
        federation: u64,
        amount: u128,
        reply: Reply<()>,
    },
    Launch {
        federation: u64,
        rounds: Option<u32>,
        reply: Reply<()>,
    },
    Stop {
        federation: u64,
        reply: Reply<()>,
    },
}
