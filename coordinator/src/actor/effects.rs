//! Carrying out what the round orders: transactions, artefacts, jobs, the opening of the sum. Each may be done twice.

use almoner_crypto::CryptoError;
use almoner_crypto::encrypt::{CHECK_BYTES, WIDE_BLOCK_BYTES};
use almoner_crypto::matrix::EpochSeed;
use almoner_proto::Signed;
use almoner_protocol::round::{Effect, Event, Posting, State};
use almoner_protocol::types::{OpenItem, domain, signing_hash};
use almoner_protocol::{B256, Bytes, Error, Stage, SumOpening};
use almoner_store::cid_from_bytes;

use super::{Actor, Current};
use crate::chain::At;
use crate::{CoordinatorError, Progress, model};

impl Actor {
    fn at(&self) -> Result<At, CoordinatorError> {
        self.current.as_ref().map(Current::at).ok_or(CoordinatorError::NotNow("no round is running"))
    }

    pub(super) fn current_mut(&mut self) -> Result<&mut Current, CoordinatorError> {
        self.current.as_mut().ok_or(CoordinatorError::NotNow("no round is running"))
    }

    /// Does what is ordered and returns what there is to report back.
    pub(super) async fn carry_out(&mut self, effect: Effect) -> Result<Vec<Event>, CoordinatorError> {
        let at = self.at()?;
        if self.is_under_way(&effect).await? {
            return Ok(Vec::new());
        }
        match effect {
            Effect::OpenRound => {
                let current = self.current_mut()?;
                let (descriptor, cids) = (current.round.descriptor().clone(), current.cids.clone());
                let ctx = current.round.ctx();
                let sent = self.chain.open(&descriptor, &cids).await?;
                let _ = self.progress.send(Progress::RoundOpened { round: at.round, ctx });
                let events = self.included(sent).await?;
                // A round begins in the state it is announced in, so no change of state wakes the validators.
                self.announce(at, State::Announced);
                Ok(events)
            }
            Effect::PostPromises { list, promises } => {
                let sent = self.chain.promises(at, &list, &promises).await?;
                self.included(sent).await
            }
            Effect::Lock { list, count } => {
                let sent = self.chain.lock(at, &list, count).await?;
                self.included(sent).await
            }
            Effect::PostDirections { list, reveals } => {
                let sent = self.chain.directions(at, &list, &reveals).await?;
                self.included(sent).await
            }
            Effect::PostAudit { list } => {
                let sent = self.chain.audit(at, &list).await?;
                self.included(sent).await
            }
            Effect::PostScores { list } => {
                let sent = self.chain.scores(at, &list).await?;
                self.included(sent).await
            }
            Effect::PostAdmit { list, admitted, acks } => {
                let sent = self.chain.admit(at, &list, admitted, &acks).await?;
                self.included(sent).await
            }
            Effect::PostSum { sum } => {
                let sent = self.chain.sum(at, &sum).await?;
                self.included(sent).await
            }
            Effect::PostOpenAndModel { open, model } => {
                let sent = self.chain.open_sum(at, &open, &model).await?;
                self.included(sent).await
            }
            Effect::Propose { settle, payout, total } => {
                let sent = self.chain.propose(at, &settle, &payout, total).await?;
                let events = self.included(sent).await?;
                self.pass_window().await?;
                Ok(events)
            }
            Effect::Finalise => {
                let sent = self.chain.finalise(at).await?;
                self.included(sent).await
            }
            Effect::VoidRound { reason, faults } => {
                tracing::warn!(round = at.round, ?reason, ?faults, "the round is given up");
                let sent = self.chain.void(at).await?;
                self.included(sent).await
            }
            Effect::ExpireRound { stage, faults } => {
                tracing::warn!(round = at.round, %stage, ?faults, "the round expires");
                let sent = self.chain.expire(at).await?;
                self.included(sent).await
            }
            Effect::StoreArtefact { stage, root, bytes } => self.store_artefact(stage, root, bytes).await,
            Effect::AskAcks { .. } | Effect::AskAnswers { .. } => {
                self.notify(|_| {});
                Ok(Vec::new())
            }
            order @ (Effect::RequestAudit { .. } | Effect::RequestInners { .. } | Effect::RequestSum { .. }) => {
                self.about_uploads(order).await
            }
            Effect::RequestOpen { answers, sum } => self.open(answers, &sum).await,
            Effect::SignReceipt { receipt } => {
                let deployment = self.chain.ledger.deployment();
                let hash = signing_hash(&receipt, &domain(deployment.chain_id, deployment.rounds));
                let signature = Bytes::from(self.key.sign_hash(hash)?.to_vec());
                Ok(vec![Event::ReceiptSigned { participant: receipt.participant, signature }])
            }
            Effect::SendReceipt { receipt, signature } => {
                let signature: [u8; 65] =
                    signature.as_ref().try_into().map_err(|_| CoordinatorError::Bug("receipt signature".into()))?;
                for waiter in self.receipt_waiters.remove(&receipt.participant).unwrap_or_default() {
                    let _ = waiter.send(Ok(Signed { message: receipt.clone(), signature }));
                }
                Ok(Vec::new())
            }
            Effect::Broadcast { state } => {
                let _ = self.progress.send(Progress::State { round: at.round, state });
                if state.is_over() {
                    // Said when the round is put away, together with whether another one follows.
                    return Ok(Vec::new());
                }
                self.announce(at, state);
                Ok(Vec::new())
            }
        }
    }

    /// Wakes everybody to a running round.
    pub(super) fn announce(&self, at: At, state: State) {
        self.notify(|notice| {
            notice.federation = at.federation;
            notice.round = at.round;
            notice.state = state.to_string();
            notice.next_round = 0;
            notice.reason = String::new();
        });
    }

    /// A transaction of ours is in a block: what the chain says now is what the round hears.
    async fn included(&mut self, receipt: almoner_chain::TxReceipt) -> Result<Vec<Event>, CoordinatorError> {
        tracing::debug!(block = receipt.block, "included");
        self.chain_events().await
    }

    /// On a chain that obeys, the challenge window passes at once.
    pub(super) async fn pass_window(&mut self) -> Result<(), CoordinatorError> {
        if self.config.time_travel {
            let window = self.current_mut()?.round.descriptor().challengeWindow;
            almoner_chain::advance_time(self.chain.ledger.provider(), window + 1).await?;
            self.block_time = self.block_time.max(self.chain.ledger.now().await?);
        }
        Ok(())
    }

    /// Whether the first block of an object is still in the store.
    pub(super) async fn has(&self, cid: &[u8]) -> Result<bool, CoordinatorError> {
        match self.store.fetch(&cid_from_bytes(cid)?).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn fetch(&self, cid: &[u8]) -> Result<Bytes, CoordinatorError> {
        /// Our own lists; the largest holds every direction of the largest model.
        const MAX_LIST: u64 = 4 << 30;
        Ok(self.store.get(&cid_from_bytes(cid)?, MAX_LIST).await?.into())
    }

    async fn store_artefact(&mut self, stage: Stage, root: B256, bytes: Bytes) -> Result<Vec<Event>, CoordinatorError> {
        let cid = Bytes::from(self.store.put(bytes.into()).await?.to_bytes());
        Ok(vec![Event::ArtefactStored { stage, posting: Posting { root, cid } }])
    }

    /// Finds the t answers whose secret fits the check sums, and opens the blocks with it.
    async fn open(&self, answers: Vec<OpenItem>, sum: &Posting) -> Result<Vec<Event>, CoordinatorError> {
        let campaign = self.campaign.as_ref().ok_or(CoordinatorError::NotNow("no federation is served yet"))?;
        let current = self.current.as_ref().ok_or(CoordinatorError::NotNow("no round is running"))?;
        // The check sums are at the end.
        let at = u64::from(current.facts.blocks()) * WIDE_BLOCK_BYTES as u64;
        let check = self.store.range(&cid_from_bytes(&sum.cid)?, at, CHECK_BYTES as u64).await?;
        let descriptor = current.round.descriptor().clone();
        let admitted = current.round.admission();
        let admitted = admitted.ok_or_else(|| CoordinatorError::Bug("a sum of nobody".into()))?;
        let admitted = admitted.items.clone();
        let seed = EpochSeed(current.facts.epoch_seed);
        let found = tokio::task::spawn_blocking(move || {
            let members: Vec<u16> = answers.iter().map(|item| item.member).collect();
            match SumOpening::find(&descriptor, seed, &admitted, &answers, &check) {
                Ok(found) => Ok(Ok(found)),
                Err(Error::Sum(CryptoError::NoSubset { .. })) => Ok(Err(members)),
                Err(error) => Err(error),
            }
        });
        let found = found.await.map_err(|error| CoordinatorError::Bug(error.to_string()))??;
        let (members, opening) = match found {
            Ok(found) => found,
            Err(members) => return Ok(vec![Event::SumNotOpened { members }]),
        };
        let (model, zeroed_blocks) =
            model::keep_next(self.store.as_ref(), &campaign.spec.model, &campaign.base, &sum.cid, opening).await?;
        almoner_failpoint::reached(|| "opened".to_owned());
        Ok(vec![Event::SumOpened { members, model, zeroed_blocks }])
    }
}
