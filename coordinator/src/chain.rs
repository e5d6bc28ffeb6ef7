//! The coordinator's transactions: one function per call of the contracts it makes.
//!
//! Arguments are the structs of `almoner_protocol::types`, whose ABI encoding is the contracts' own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use alloy_sol_types::SolCall;
use almoner_chain::contracts::{Federations, Payouts, Rounds, TestToken};
use almoner_chain::{Depth, Ledger, Sender, TxReceipt};
use almoner_proto::ClaimRequest;
use almoner_protocol::round::{MemberAck, Posting, Signed};
use almoner_protocol::types::{Descriptor, DirectionPromise, Join, OpenCids, Ready, Reveal};
use almoner_protocol::{Address, B256, Bytes, SolValue, U256};
use tokio::sync::broadcast;

use crate::{CoordinatorError, Progress};

/// A sender bound to one deployment, that reports what each step cost.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// As far as it is acted on.
    pub(crate) ledger: Ledger,
    /// With the blocks that may still be taken back: what need not be sent again.
    pub(crate) shallow: Ledger,
    sender: Sender,
    progress: broadcast::Sender<Progress>,
    /// Newest block with a transaction of ours.
    included: Arc<AtomicU64>,
}

type Sent = Result<TxReceipt, CoordinatorError>;

fn call<C: SolCall>(arguments: Vec<u8>) -> Vec<u8> {
    [C::SELECTOR.as_slice(), &arguments].concat()
}

fn unzip<T: Clone>(signed: &[Signed<T>]) -> (Vec<T>, Vec<Bytes>) {
    signed.iter().map(|s| (s.message.clone(), s.signature.clone())).unzip()
}

impl Chain {
    pub(crate) fn new(ledger: Ledger, sender: Sender, progress: broadcast::Sender<Progress>) -> Self {
        let shallow = ledger.at(Depth::NONE);
        Self { ledger, shallow, sender, progress, included: Arc::default() }
    }

    /// Whether what is in a block is acted on later than at once.
    pub(crate) fn waits(&self) -> bool {
        self.ledger.depth() != Depth::NONE
    }

    /// Sends again what the chain took back; whether there was any of it.
    pub(crate) async fn recover(&self) -> Result<bool, CoordinatorError> {
        Ok(self.sender.recover().await?)
    }

    /// Whether the newest blocks were read as far as there was ever a transaction of ours: a node that is behind has not
    /// said that anything is gone.
    pub(crate) fn is_read(&self) -> bool {
        self.shallow.read_until().unwrap_or(0) >= self.included.load(Ordering::Relaxed)
    }

    /// Newest block that we know of.
    pub(crate) fn newest(&self) -> u64 {
        self.ledger.read_until().unwrap_or(0).max(self.included.load(Ordering::Relaxed))
    }

    async fn send(&self, round: u64, step: &'static str, to: Address, data: Vec<u8>) -> Sent {
        let start = Instant::now();
        let receipt = self.sender.submit(to, data).await?;
        self.included.fetch_max(receipt.block, Ordering::Relaxed);
        let seconds = start.elapsed().as_secs_f64();
        tracing::info!(round, step, gas = receipt.gas_used, "transaction included");
        // Nobody listening is fine.
        let _ = self.progress.send(Progress::Sent { round, step, gas: receipt.gas_used, seconds });
        Ok(receipt)
    }

    async fn federations(&self, round: u64, step: &'static str, data: Vec<u8>) -> Sent {
        self.send(round, step, self.ledger.deployment().federations, data).await
    }

    async fn rounds(&self, round: u64, step: &'static str, data: Vec<u8>) -> Sent {
        self.send(round, step, self.ledger.deployment().rounds, data).await
    }

    // ---- the federation ----

    pub(crate) async fn create(&self, params: Federations::CreateParams) -> Sent {
        self.federations(0, "create", Federations::createCall { p: params }.abi_encode()).await
    }

    pub(crate) async fn join(&self, consent: Join, class: u16, signature: Bytes) -> Sent {
        let data = call::<Federations::joinCall>((consent, class, signature).abi_encode_params());
        self.federations(0, "join", data).await
    }

    pub(crate) async fn fund(&self, federation: u64, amount: u128) -> Sent {
        self.approve(amount).await?;
        self.federations(0, "fund", Federations::fundCall { federation, amount }.abi_encode()).await
    }

    pub(crate) async fn post_bond(&self, federation: u64, amount: u128) -> Sent {
        self.approve(amount).await?;
        self.federations(0, "bond", Federations::postBondCall { federation, amount }.abi_encode()).await
    }

    /// What an account has posted as its bond.
    pub(crate) async fn bond(&self, federation: u64, account: Address) -> Result<u128, CoordinatorError> {
        let call = Federations::bondOfCall { federation, account };
        Ok(self.shallow.view(self.ledger.deployment().federations, call).await?.amount)
    }

    async fn approve(&self, amount: u128) -> Sent {
        let deployment = self.ledger.deployment();
        let data = TestToken::approveCall { spender: deployment.federations, value: U256::from(amount) }.abi_encode();
        self.send(0, "approve", deployment.token, data).await
    }

    pub(crate) async fn draw_epoch(&self, federation: u64, round: u64, epoch: u32) -> Sent {
        self.federations(round, "epoch", Federations::drawEpochCall { federation, epoch }.abi_encode()).await
    }

    pub(crate) async fn register_matrix(&self, federation: u64, round: u64, epoch: u32, root: B256) -> Sent {
        self.federations(round, "matrix", Federations::registerMatrixCall { federation, epoch, root }.abi_encode())
            .await
    }

    pub(crate) async fn claim(&self, federation: u64, claims: &[ClaimRequest]) -> Sent {
        let data = Payouts::claimBatchCall {
            federation,
            accounts: claims.iter().map(|claim| claim.account).collect(),
            cumulatives: claims.iter().map(|claim| U256::from(claim.cumulative)).collect(),
            proofs: claims.iter().map(|claim| claim.proof.clone()).collect(),
        };
        self.send(0, "claim", self.ledger.deployment().payouts, data.abi_encode()).await
    }

    // ---- the round ----

    pub(crate) async fn ready(&self, round: u64, offers: &[Signed<Ready>]) -> Sent {
        self.rounds(round, "ready", call::<Rounds::readyCall>(unzip(offers).abi_encode_params())).await
    }

    pub(crate) async fn open(&self, descriptor: &Descriptor, cids: &OpenCids) -> Sent {
        let data = call::<Rounds::openCall>((descriptor.clone(), cids.clone()).abi_encode_params());
        self.rounds(descriptor.round, "open", data).await
    }

    pub(crate) async fn promises(&self, at: At, list: &Posting, promises: &[Signed<DirectionPromise>]) -> Sent {
        if !promises.is_empty() {
            let data = call::<Rounds::promiseDirectionsCall>(unzip(promises).abi_encode_params());
            self.rounds(at.round, "promise", data).await?;
        }
        self.post::<Rounds::postPromisesCall>(at, "promises", list).await
    }

    pub(crate) async fn lock(&self, at: At, list: &Posting, count: u32) -> Sent {
        let arguments = (at.federation, at.round, list.root, count, list.cid.clone());
        self.rounds(at.round, "lock", call::<Rounds::lockCall>(arguments.abi_encode_params())).await
    }

    pub(crate) async fn directions(&self, at: At, list: &Posting, reveals: &[Signed<Reveal>]) -> Sent {
        if !reveals.is_empty() {
            let data = call::<Rounds::revealCall>(unzip(reveals).abi_encode_params());
            self.rounds(at.round, "reveal", data).await?;
        }
        self.post::<Rounds::postDirectionsCall>(at, "directions", list).await
    }

    pub(crate) async fn audit(&self, at: At, list: &Posting) -> Sent {
        self.post::<Rounds::postAuditCall>(at, "audit", list).await
    }

    pub(crate) async fn scores(&self, at: At, list: &Posting) -> Sent {
        self.post::<Rounds::postScoresCall>(at, "score", list).await
    }

    pub(crate) async fn admit(&self, at: At, list: &Posting, admitted: u16, acks: &[MemberAck]) -> Sent {
        let (signers, signatures): (Vec<Address>, Vec<Bytes>) =
            acks.iter().map(|ack| (ack.member, ack.signature.clone())).unzip();
        let arguments =
            (at.federation, at.round, list.root, list.cid.clone(), admitted, signers, signatures).abi_encode_params();
        self.rounds(at.round, "admit", call::<Rounds::admitCall>(arguments)).await
    }

    pub(crate) async fn sum(&self, at: At, sum: &Posting) -> Sent {
        self.post::<Rounds::postSumCall>(at, "sum", sum).await
    }

    pub(crate) async fn open_sum(&self, at: At, open: &Posting, model: &Posting) -> Sent {
        let arguments = (at.federation, at.round, open.root, open.cid.clone(), model.root, model.cid.clone());
        self.rounds(at.round, "model", call::<Rounds::openSumCall>(arguments.abi_encode_params())).await
    }

    pub(crate) async fn propose(&self, at: At, settle: &Posting, payout: &Posting, total: u128) -> Sent {
        let arguments =
            (at.federation, at.round, settle.root, settle.cid.clone(), payout.root, payout.cid.clone(), total);
        self.rounds(at.round, "propose", call::<Rounds::proposeCall>(arguments.abi_encode_params())).await
    }

    pub(crate) async fn finalise(&self, at: At) -> Sent {
        self.rounds(at.round, "finalise", call::<Rounds::finaliseCall>(at.arguments())).await
    }

    pub(crate) async fn void(&self, at: At) -> Sent {
        self.rounds(at.round, "void", call::<Rounds::voidRoundCall>(at.arguments())).await
    }

    pub(crate) async fn expire(&self, at: At) -> Sent {
        self.rounds(at.round, "expire", call::<Rounds::expireCall>(at.arguments())).await
    }

    /// The four stages that carry a root and a CID and nothing else.
    async fn post<C: SolCall>(&self, at: At, step: &'static str, list: &Posting) -> Sent {
        let arguments = (at.federation, at.round, list.root, list.cid.clone()).abi_encode_params();
        self.rounds(at.round, step, call::<C>(arguments)).await
    }
}

/// Which round of which federation a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) federation: u64,
    pub(crate) round: u64,
}

impl At {
    fn arguments(self) -> Vec<u8> {
        (self.federation, self.round).abi_encode_params()
    }
}
