//! One function per duty: what is sent is decided by the pure parts of this crate, written down, then sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use almoner_chain::RoundRecord;
use almoner_crypto::seal::MemberKey;
use almoner_model::Dataset;
use almoner_proto::{
    AcknowledgementsReply, AcknowledgementsRequest, SealedShare, SealedSharesRequest, kind_of, timely, wire,
};
use almoner_protocol::types::{StageAck, transcript};
use almoner_protocol::{Address, AdmitVerdict, Admitted, B256, Stage, Update, list_root, quantise};
use bytes::Bytes;
use tokio::time::Instant;
use tokio_stream::StreamExt;

use super::{Duty, Site, SiteProgress};
use crate::committee::{
    HeldShares, Revealed, answer_scores, answer_sum, check_acknowledgements, check_revealed, forms, judged,
    open_shares, recompute_admission, revealed, signed_scores, signed_sum, stage, valid_set,
};
use crate::contribute::{Attempt, build_contribution, train_delta, upload};
use crate::fetch::{Terms, scalars_limit};
use crate::memory::Promised;
use crate::validate::{build_direction, signed_promise, signed_reveal};
use crate::{Memory, SiteError};

/// Runs a computation where blocking is allowed.
async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SiteError> + Send + 'static,
) -> Result<T, SiteError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SiteError::Stopped)?
}

impl Site {
    pub(super) async fn perform(
        &mut self,
        terms: &Arc<Terms>,
        round: &RoundRecord,
        duty: Duty,
    ) -> Result<(), SiteError> {
        match duty {
            Duty::Promise => self.promise(terms).await,
            Duty::Contribute => self.contribute(terms).await,
            Duty::Reveal => self.reveal(terms).await,
            Duty::AckDirection => self.ack_direction(terms, round).await,
            Duty::AnswerScores => self.answer_scores(terms, round).await,
            Duty::AckAdmit => self.ack_admit(terms, round).await,
            Duty::AnswerSum => self.answer_sum(terms, round).await,
        }
    }

    fn memory(&self) -> &Memory {
        &self.from.memory
    }

    async fn site_seed(&self) -> Result<[u8; 32], SiteError> {
        let entropy = self.entropy.clone();
        Ok(*self.memory().site_seed(move || entropy.draw("site-seed", &[])).await?)
    }

    // ---- participant ------------------------------------------------------------------------------

    async fn contribute(&mut self, terms: &Arc<Terms>) -> Result<(), SiteError> {
        if self.memory().receipt(terms.ctx).await?.is_some() {
            return Ok(());
        }
        let Some(data) = self.training.clone() else { return Ok(()) };
        let limit = scalars_limit(&self.config.policy, &terms.descriptor);
        self.memory().spend_scalars(terms.ctx, terms.descriptor.validators.into(), limit).await?;
        let update = self.update(terms, data).await?;
        let (entropy, ctx) = (self.entropy.clone(), terms.ctx);
        let draw = move || entropy.draw("upload", ctx.as_slice());
        let randomness = self.memory().upload_seed(ctx, draw).await?;
        let (building, account) = (terms.clone(), self.from.identity.account());
        let contributed = compute(move || build_contribution(&building, account, &update, &randomness)).await?;
        let attempt = match &mut self.work {
            Some(work) => std::mem::replace(&mut work.attempt, Attempt::Again),
            None => Attempt::First,
        };
        let manifest = upload(&mut self.client, &self.from.identity, terms.coordinator, contributed, attempt).await?;
        self.memory().keep_receipt(terms.ctx, manifest).await
    }

    async fn update(&self, terms: &Arc<Terms>, data: Arc<Dataset>) -> Result<Update, SiteError> {
        let started = Instant::now();
        let delta = match self.memory().delta(terms.ctx).await? {
            Some(delta) => delta,
            None => self.train(terms, data).await?,
        };
        let scale = terms.scale();
        let update = compute(move || Ok(quantise(&delta, &scale)?)).await?;
        self.tell(SiteProgress::Trained {
            round: terms.descriptor.round,
            clipped: update.clipped(),
            seconds: started.elapsed().as_secs_f64(),
        });
        Ok(update)
    }

    /// What a GPU gave is written down before anything is signed: trained again it would be another update, and a second
    /// manifest is proof against whoever signed it.
    async fn train(&self, terms: &Arc<Terms>, data: Arc<Dataset>) -> Result<Vec<f32>, SiteError> {
        let (seed, device, training) = (self.site_seed().await?, self.device.clone(), terms.clone());
        let delta = compute(move || train_delta(&training, &data, seed, &device)).await?;
        if !self.device.repeats() {
            self.memory().keep_delta(terms.ctx, &delta).await?;
        }
        Ok(delta)
    }

    // ---- validator --------------------------------------------------------------------------------

    async fn promise(&mut self, terms: &Arc<Terms>) -> Result<(), SiteError> {
        let promised = match self.memory().promised(terms.ctx).await? {
            Some(promised) => promised,
            None => {
                let Some(data) = self.evaluation.clone() else { return Ok(()) };
                let (seed, device, judging) = (self.site_seed().await?, self.device.clone(), terms.clone());
                let entries = compute(move || build_direction(&judging, &data, seed, &device)).await?;
                let salt = B256::new(*self.entropy.draw("promise", terms.ctx.as_slice())?);
                let promised = Promised { salt, entries };
                self.memory().keep_promise(terms.ctx, &promised).await?;
                promised
            }
        };
        let request = signed_promise(&self.from.identity, terms, &promised)?;
        self.client.promise(timely::<wire::PromiseRequest>(request)).await?;
        Ok(())
    }

    async fn reveal(&mut self, terms: &Terms) -> Result<(), SiteError> {
        let promised = self.memory().promised(terms.ctx).await?;
        let lost = || SiteError::Config("state: the promised direction is lost; was the journal replaced?".into());
        let request = signed_reveal(&self.from.identity, terms, &promised.ok_or_else(lost)?)?;
        self.client.reveal(wire::RevealRequest::from(request)).await?;
        Ok(())
    }

    // ---- committee member -------------------------------------------------------------------------

    async fn ack_direction(&self, terms: &Arc<Terms>, round: &RoundRecord) -> Result<(), SiteError> {
        let prepared = async {
            let revealed = self.revealed(terms, round).await?;
            self.held(terms, round, &revealed).await
        };
        self.confirmed(round, prepared).await?;
        let seen = posted(round, Stage::Direction)?;
        self.acknowledge(terms.ctx, Stage::Direction, seen).await
    }

    async fn answer_scores(&self, terms: &Arc<Terms>, round: &RoundRecord) -> Result<(), SiteError> {
        let Some(member) = terms.committee_index(self.from.identity.account()) else { return Ok(()) };
        let seen = posted(round, Stage::Direction)?;
        let prepared = async {
            let revealed = self.revealed(terms, round).await?;
            self.score_words(terms, round, &revealed).await
        };
        let certified = self.certified(terms, Stage::Direction, seen);
        let (confirmed, certified, words) = tokio::join!(self.confirm(round), certified, prepared);
        confirmed?;
        certified?;
        let words = words?;
        let answer = signed_scores(&self.from.identity, terms, member, words.to_vec())?;
        self.memory().answer_once(terms.ctx, Stage::Score, answer.answer.message.answerHash).await?;
        self.client.clone().answer_scores(timely::<wire::ScoreAnswer>(answer)).await?;
        Ok(())
    }

    async fn ack_admit(&self, terms: &Arc<Terms>, round: &RoundRecord) -> Result<(), SiteError> {
        let admitted = self.confirmed(round, self.admission(terms, round)).await?;
        // Not posted yet: the value that follows from our own list is the only one we sign.
        let own = transcript(posted(round, Stage::Score)?, Stage::Admit, list_root(&admitted.items));
        self.acknowledge(terms.ctx, Stage::Admit, own).await
    }

    async fn answer_sum(&self, terms: &Arc<Terms>, round: &RoundRecord) -> Result<(), SiteError> {
        let Some(member) = terms.committee_index(self.from.identity.account()) else { return Ok(()) };
        let admit = stage(round, Stage::Admit)?;
        let prepared = async {
            let revealed = self.revealed(terms, round).await?;
            let held = self.held(terms, round, &revealed).await?;
            self.admission(terms, round).await.map(|admitted| (held, admitted))
        };
        let certified = self.certified(terms, Stage::Admit, admit.transcript);
        let (confirmed, certified, prepared) = tokio::join!(self.confirm(round), certified, prepared);
        confirmed?;
        let (held, admitted) = prepared?;
        let own = list_root(&admitted.items);
        if admit.root != own {
            return Err(SiteError::OtherAdmission { stated: admit.root, own });
        }
        certified?;
        let answer = answer_sum(&held, &admitted.items)?;
        let signed = signed_sum(&self.from.identity, terms, member, &answer)?;
        let set: Vec<Address> = admitted.set().map(|item| item.participant).collect();
        // First the set, which outlives the round; then this very answer.
        self.memory().open_once(terms.descriptor.baseModelRoot, &set).await?;
        self.memory().answer_once(terms.ctx, Stage::Open, signed.answer.message.answerHash).await?;
        self.client.clone().answer_sum(timely::<wire::SumAnswer>(signed)).await?;
        Ok(())
    }

    /// The lists that H_direction covers, checked once.
    async fn revealed(&self, terms: &Arc<Terms>, round: &RoundRecord) -> Result<Arc<Revealed>, SiteError> {
        let direction = posted(round, Stage::Direction)?;
        if let Some(known) = self.work.as_ref().and_then(|work| work.revealed.of(direction)) {
            return Ok(known);
        }
        let read = revealed(&self.from, terms, round).await?;
        let own = self.memory().receipt(terms.ctx).await?;
        check_revealed(&self.from.identity, terms, round, &read, own)?;
        let read = Arc::new(read);
        if let Some(work) = &self.work {
            work.revealed.keep(direction, read.clone());
        }
        Ok(read)
    }

    /// The shares dealt to us, fetched and opened once.
    async fn held(
        &self,
        terms: &Arc<Terms>,
        round: &RoundRecord,
        revealed: &Arc<Revealed>,
    ) -> Result<Arc<HeldShares>, SiteError> {
        let direction = posted(round, Stage::Direction)?;
        if let Some(known) = self.work.as_ref().and_then(|work| work.held.of(direction)) {
            return Ok(known);
        }
        let Some(member) = terms.committee_index(self.from.identity.account()) else {
            return Ok(Arc::default());
        };
        let lost = || SiteError::Config("state: the committee key of this round is lost".into());
        let seed = self.memory().known_member_key(terms.descriptor.round).await?.ok_or_else(lost)?;
        let sealed = self.sealed(terms, member, revealed).await?;
        let (opening, lists) = (terms.clone(), revealed.clone());
        let held =
            compute(move || Ok(open_shares(&opening, &MemberKey::from_seed(&seed), member, &lists.lock, &sealed)));
        let held = Arc::new(held.await?);
        let missing = revealed.lock.len() - held.len();
        if missing > 0 {
            tracing::warn!(round = terms.descriptor.round, missing, "shares that do not open");
        }
        if let Some(work) = &self.work {
            work.held.keep(direction, held.clone());
        }
        Ok(held)
    }

    /// Sealed shares by participant, each of whom was locked, and none twice: then it ends.
    async fn sealed(
        &self,
        terms: &Terms,
        member: u16,
        revealed: &Revealed,
    ) -> Result<BTreeMap<Address, Bytes>, SiteError> {
        let request = timely::<wire::SealedSharesRequest>(SealedSharesRequest { ctx: terms.ctx, member });
        let mut stream = self.client.clone().sealed_shares(request).await?.into_inner();
        let mut awaited: BTreeSet<Address> = revealed.lock.iter().map(|item| item.manifest.participant).collect();
        let mut sealed = BTreeMap::new();
        while let Some(share) = stream.next().await {
            let SealedShare { participant, blob } = share?.try_into()?;
            if !awaited.remove(&participant) {
                let reason = format!("{participant} was not locked, or comes twice");
                return Err(SiteError::List { list: "sealed shares", reason });
            }
            sealed.insert(participant, blob);
        }
        Ok(sealed)
    }

    /// This member's scalar answers, derived once: a pass over every direction.
    async fn score_words(
        &self,
        terms: &Arc<Terms>,
        round: &RoundRecord,
        revealed: &Arc<Revealed>,
    ) -> Result<Arc<Vec<u64>>, SiteError> {
        let audit = posted(round, Stage::Audit)?;
        if let Some(known) = self.work.as_ref().and_then(|work| work.words.of(audit)) {
            return Ok(known);
        }
        let (held, judged) =
            tokio::try_join!(self.held(terms, round, revealed), judged(&self.from, terms, round, revealed))?;
        let (terms, lists, valid) = (terms.clone(), revealed.clone(), valid_set(&judged.audit));
        let words = compute(move || {
            let forms = forms(&terms.seed, &lists.directions, terms.descriptor.scale.parameters)?;
            Ok(answer_scores(&held, &valid, &forms))
        });
        let words = Arc::new(words.await?);
        if let Some(work) = &self.work {
            work.words.keep(audit, words.clone());
        }
        Ok(words)
    }

    /// U as the posted scores give it, worked out once.
    async fn admission(&self, terms: &Arc<Terms>, round: &RoundRecord) -> Result<Arc<Admitted>, SiteError> {
        let scores = posted(round, Stage::Score)?;
        if let Some(known) = self.work.as_ref().and_then(|work| work.admitted.of(scores)) {
            return Ok(known);
        }
        let revealed = self.revealed(terms, round).await?;
        let judged = judged(&self.from, terms, round, &revealed).await?;
        let own = match terms.committee_index(self.from.identity.account()) {
            Some(member) => Some((member, self.score_words(terms, round, &revealed).await?)),
            None => None,
        };
        let (terms, revealed) = (terms.clone(), revealed.clone());
        let admitted = compute(move || {
            let own = own.as_ref().map(|(member, words)| (*member, words.as_slice()));
            recompute_admission(&terms, &revealed, &judged, own)
        });
        let admitted = Arc::new(admitted.await?);
        debug_assert!(admitted.set().all(|item| item.verdict == AdmitVerdict::Admitted.number()));
        if let Some(work) = &self.work {
            work.admitted.keep(scores, admitted.clone());
        }
        Ok(admitted)
    }

    /// Writes an acknowledgement down, then sends it.
    async fn acknowledge(&self, ctx: B256, stage: Stage, transcript: B256) -> Result<(), SiteError> {
        self.memory().acknowledge_once(ctx, stage, transcript).await?;
        let ack = self.from.identity.sign(StageAck { ctx, stage: stage.number(), transcript })?;
        self.client.clone().acknowledge(timely::<wire::StageAckMessage>(ack)).await?;
        Ok(())
    }

    /// Asks for the acknowledgements of a stage and holds them against what we see.
    async fn certified(&self, terms: &Terms, stage: Stage, seen: B256) -> Result<(), SiteError> {
        let request = timely::<wire::AcknowledgementsRequest>(AcknowledgementsRequest { ctx: terms.ctx, stage });
        let reply = self.client.clone().acknowledgements(request).await;
        let reply = reply.inspect_err(|status| tracing::debug!(kind = ?kind_of(status), "no acknowledgements"))?;
        let AcknowledgementsReply { acks } = reply.into_inner().try_into()?;
        check_acknowledgements(&self.from.identity, terms, stage, seen, &acks)
    }
}

/// The transcript value of a posted stage.
fn posted(round: &RoundRecord, at: Stage) -> Result<B256, SiteError> {
    Ok(stage(round, at)?.transcript)
}
