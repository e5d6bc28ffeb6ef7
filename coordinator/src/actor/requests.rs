//! What comes in by the mailbox.

use almoner_proto::{Signed, StageArtefact, Task};
use almoner_protocol::round::{Bodies, Event, MemberAck};
use almoner_protocol::types::{Contribution, LockItem, Receipt, StageAck, domain, recover, signing_hash};
use almoner_protocol::{Address, B256, Bytes, Stage};

use super::Actor;
use crate::CoordinatorError;
use crate::campaign::{Campaign, MEMBER, VALIDATOR};
use crate::chain::At;
use crate::ingress::{Ingress, Reply, Told, UploadSizes};
use crate::jobs::BlockRange;
use crate::work::{Look, was_examined};

/// The largest sealed blob, with its length word.
const BLOB: u64 = (1 << 15) + 4;

/// An answer to somebody who may have left.
fn answer<T>(reply: Reply<T>, result: Result<T, CoordinatorError>) {
    let _ = reply.send(result);
}

/// Who waits for what becomes of an event.
enum Asker {
    Plain(Reply<()>),
    /// Of the acknowledgement of a stage.
    Ack(Reply<()>, Stage),
    /// It waits for a receipt, which is sent once it is signed.
    Uploader(Address),
}

impl Actor {
    /// What happens in the round is taken together; what comes between, in its turn.
    pub(super) async fn receive_all(&mut self, messages: impl Iterator<Item = Ingress>) {
        let mut told = Vec::new();
        for message in messages {
            match message {
                Ingress::Told(happened) => told.push(happened),
                other => {
                    self.happen(std::mem::take(&mut told)).await;
                    self.receive(other).await;
                }
            }
        }
        self.happen(told).await;
    }

    fn event(&mut self, told: Told) -> Option<(Event, Asker)> {
        match told {
            Told::Event { event, reply } => Some((*event, Asker::Plain(reply))),
            Told::Contribution { manifest, reply } => Some(self.contribution(manifest, reply)),
            Told::Ack { ack, reply } => match self.acknowledgement(ack) {
                Ok((event, stage)) => Some((event, Asker::Ack(reply, stage))),
                Err(error) => {
                    answer(reply, Err(error));
                    None
                }
            },
        }
    }

    /// Applies events and answers who told of them.
    async fn happen(&mut self, told: Vec<Told>) {
        let (events, askers): (Vec<Event>, Vec<Asker>) = told.into_iter().filter_map(|told| self.event(told)).unzip();
        if events.is_empty() {
            return;
        }
        let mut acked: Vec<Stage> = askers.iter().filter_map(Asker::acknowledges).collect();
        acked.retain(|stage| !self.certified(*stage));
        for (result, asker) in self.apply_all(events).await.into_iter().zip(askers) {
            match asker {
                Asker::Plain(reply) | Asker::Ack(reply, _) => answer(reply, result),
                Asker::Uploader(account) => self.refuse_receipt(account, result),
            }
        }
        // Whoever waits for a certificate waits for t of them.
        if acked.into_iter().any(|stage| self.certified(stage)) {
            self.notify(|_| {});
        }
    }

    /// Whether enough members have acknowledged a stage of the round in hand.
    fn certified(&self, stage: Stage) -> bool {
        let enough = |current: &super::Current| {
            current.round.acks(stage).len() >= usize::from(current.round.descriptor().threshold)
        };
        self.current.as_ref().is_some_and(enough)
    }

    async fn receive(&mut self, message: Ingress) {
        match message {
            Ingress::Join { request, reply } => {
                let result = self.check_join(&request).and_then(|()| self.campaign_mut()?.join(request));
                answer(reply, result);
            }
            Ingress::Ready { request, reply } => {
                let now = self.now();
                let result = self.check_ready(&request).and_then(|()| self.campaign_mut()?.offer(request, now));
                answer(reply, result);
                let opened = self.maybe_open().await;
                self.log_failure("open", opened);
            }
            Ingress::Task { federation, round, reply } => answer(reply, self.task(federation, round)),
            Ingress::UploadSizes { manifest, reply } => answer(reply, self.upload_sizes(&manifest)),
            Ingress::Told(told) => self.happen(vec![told]).await,
            Ingress::Acknowledgements { ctx, stage, reply } => answer(reply, self.acknowledgements(ctx, stage)),
            Ingress::ShareBundles { ctx, reply } => answer(reply, self.share_bundles(ctx).await),
            Ingress::Lease { reply } => self.lease_waiters.push_back(reply),
            Ingress::ResultLength { lease, reply } => {
                let length = self.jobs.leased(lease).map(|(work, range)| work.result_length(range));
                answer(reply, length.ok_or_else(|| CoordinatorError::NotFound(format!("lease {lease} has expired"))));
            }
            Ingress::Result { lease, bytes, reply } => self.result(lease, bytes, reply).await,
            Ingress::Create { spec, initial, reply } => {
                let result = self.create(&spec, initial).await;
                answer(reply, result);
            }
            Ingress::Fund { federation, amount, reply } => {
                let result = self.fund(federation, amount).await;
                answer(reply, result);
            }
            Ingress::Launch { federation, rounds, reply } => {
                let result = self.launch(federation, rounds).await;
                answer(reply, result);
            }
            Ingress::Stop { federation, reply } => {
                let running = self.current.is_some();
                let stopped = self.campaign_of(federation).map(|campaign| campaign.to_run = u32::from(running));
                let result = stopped.and_then(|()| self.save_between_rounds());
                if result.is_ok() && !running {
                    self.notify(|notice| notice.next_round = 0);
                }
                answer(reply, result);
            }
        }
    }

    pub(super) fn campaign_mut(&mut self) -> Result<&mut Campaign, CoordinatorError> {
        self.campaign.as_mut().ok_or(CoordinatorError::NotNow("no federation is served yet"))
    }

    pub(super) fn campaign_of(&mut self, federation: u64) -> Result<&mut Campaign, CoordinatorError> {
        let served = self.campaign.as_ref().map(|campaign| campaign.number);
        let campaign = self.campaign.as_mut().filter(|campaign| campaign.number == federation);
        campaign.ok_or_else(|| CoordinatorError::not_served(federation, served))
    }

    fn check_join(&self, request: &almoner_proto::JoinRequest) -> Result<(), CoordinatorError> {
        let deployment = self.chain.ledger.deployment();
        let Signed { message, signature } = &request.join;
        let hash = signing_hash(message, &domain(deployment.chain_id, deployment.federations));
        expect_signer("join", message.account, hash, signature)?;
        match message.role {
            MEMBER | VALIDATOR => Ok(()),
            role => {
                Err(CoordinatorError::Invalid(format!("join.role: {role} is neither member (0) nor validator (1)")))
            }
        }
    }

    fn check_ready(&self, request: &almoner_proto::ReadyRequest) -> Result<(), CoordinatorError> {
        let deployment = self.chain.ledger.deployment();
        let Signed { message, signature } = &request.ready;
        let hash = signing_hash(message, &domain(deployment.chain_id, deployment.rounds));
        expect_signer("ready", message.member, hash, signature)
    }

    fn task(&self, federation: u64, round: u64) -> Result<Task, CoordinatorError> {
        let current =
            self.current.as_ref().filter(|current| current.at() == At { federation, round }).ok_or_else(|| {
                CoordinatorError::NotFound(format!("round {round} of federation {federation} is not running"))
            })?;
        let stages = super::posted(current)
            .map(|(stage, posted)| StageArtefact { stage, root: posted.root, cid: posted.cid.clone().into() })
            .collect();
        let (ctx, descriptor) = (current.round.ctx(), current.round.descriptor().clone());
        Ok(Task { ctx, descriptor, cids: current.cids.clone(), stages })
    }

    fn running(&self, ctx: B256) -> Result<&super::Current, CoordinatorError> {
        self.current
            .as_ref()
            .filter(|current| current.round.ctx() == ctx)
            .ok_or_else(|| CoordinatorError::NotFound(format!("ctx: round {ctx} is not running")))
    }

    fn upload_sizes(&self, manifest: &Signed<Contribution>) -> Result<UploadSizes, CoordinatorError> {
        let Signed { message, signature } = manifest;
        let current = self.running(message.ctx)?;
        // Nothing of it is received before it is known whose it is, and that it may still come.
        current.round.expects_upload(message, signature)?;
        let blocks = u64::from(current.facts.blocks());
        let sizes = UploadSizes {
            ciphertext: blocks * almoner_crypto::encrypt::DATA_BLOCK_BYTES as u64,
            check: almoner_crypto::encrypt::CHECK_BYTES as u64,
            shares: 10 + u64::from(current.round.descriptor().members) * BLOB,
        };
        if sizes.ciphertext > self.config.upload_limit {
            return Err(CoordinatorError::Invalid("upload: the model is above this coordinator's upload limit".into()));
        }
        Ok(sizes)
    }

    fn contribution(&mut self, manifest: Signed<Contribution>, reply: Reply<Signed<Receipt>>) -> (Event, Asker) {
        let account = manifest.message.participant;
        self.receipt_waiters.entry(account).or_default().push(reply);
        let signature = Bytes::copy_from_slice(&manifest.signature);
        let event = Event::ContributionReceived { manifest: manifest.message, signature, bodies: Bodies::Stored };
        (event, Asker::Uploader(account))
    }

    fn refuse_receipt(&mut self, account: Address, result: Result<(), CoordinatorError>) {
        let Err(error) = result else { return };
        // Only the latest can be the one that failed: earlier ones of this account have their receipt.
        if let Some(reply) = self.receipt_waiters.get_mut(&account).and_then(Vec::pop) {
            answer(reply, Err(error));
        }
    }

    fn acknowledgement(&self, ack: Signed<StageAck>) -> Result<(Event, Stage), CoordinatorError> {
        let deployment = self.chain.ledger.deployment();
        let hash = signing_hash(&ack.message, &domain(deployment.chain_id, deployment.rounds));
        let member = recover(hash, &ack.signature)?;
        let signature = Bytes::copy_from_slice(&ack.signature);
        let stage = Stage::try_from(ack.message.stage)?;
        Ok((Event::StageAckReceived { member, ack: ack.message, signature }, stage))
    }

    fn acknowledgements(&self, ctx: B256, stage: Stage) -> Result<Vec<Signed<StageAck>>, CoordinatorError> {
        let current = self.running(ctx)?;
        let Some(transcript) = current.round.transcript(stage) else { return Ok(Vec::new()) };
        let message = StageAck { ctx, stage: stage.number(), transcript };
        let signed = |ack: MemberAck| {
            let signature = ack.signature.as_ref().try_into();
            let signature = signature.map_err(|_| CoordinatorError::Bug("an acknowledgement's signature".into()))?;
            Ok(Signed { message: message.clone(), signature })
        };
        current.round.acks(stage).into_iter().map(signed).collect()
    }

    async fn share_bundles(&mut self, ctx: B256) -> Result<Vec<(Address, Bytes)>, CoordinatorError> {
        self.read_locked().await?;
        let current = self.running(ctx)?;
        if current.locked.is_empty() {
            return Err(CoordinatorError::NotNow("sealed shares are handed out once the list is locked"));
        }
        let mut bundles = Vec::with_capacity(current.locked.len());
        for item in &current.locked {
            let LockItem { manifest, .. } = item;
            // What came by the chain may never have been here, or have no CID at all: there is no share of it then.
            let here = was_examined(item) || self.has(&manifest.sharesCid).await.unwrap_or(false);
            bundles.push((manifest.participant, if here { manifest.sharesCid.clone() } else { Bytes::new() }));
        }
        Ok(bundles)
    }

    /// Its rows are kept here, and its sums go on to the store, which answers who posted them.
    async fn result(&mut self, lease: u64, bytes: Bytes, reply: Reply<()>) {
        let Some((look, range)) = self.jobs.leased(lease) else { return answer(reply, Ok(())) };
        let (rows, sum) = (Bytes::copy_from_slice(&bytes[..look.rows()]), look.sum.clone());
        let sums = bytes.slice(look.rows()..);
        match self.jobs.post(lease, rows) {
            None => sum.take(range, sums, Some(reply)),
            Some((look, results)) => {
                sum.take(range, sums, None);
                answer(reply, self.all_results(look, &results).await);
            }
        }
    }

    async fn all_results(&mut self, look: Look, results: &[(BlockRange, Bytes)]) -> Result<(), CoordinatorError> {
        let Some(current) = &self.current else { return Ok(()) };
        let finished = match look.finish(results, &current.facts) {
            Ok(looked) => self.looked(looked).await,
            Err(error) => Err(error),
        };
        // It is off the board: what it was to answer is asked for again.
        let events = finished.inspect_err(|error| {
            self.lost |= matches!(error, CoordinatorError::Lost { .. });
            self.try_again_soon();
        })?;
        self.apply_all(events).await.into_iter().collect()
    }
}

impl Asker {
    fn acknowledges(&self) -> Option<Stage> {
        match self {
            Self::Ack(_, stage) => Some(*stage),
            Self::Plain(_) | Self::Uploader(_) => None,
        }
    }
}

fn expect_signer(field: &str, account: Address, hash: B256, signature: &[u8]) -> Result<(), CoordinatorError> {
    let signer = recover(hash, signature)?;
    if signer == account {
        return Ok(());
    }
    Err(CoordinatorError::Invalid(format!("{field}.signature: it is {signer}'s, not {account}'s")))
}
