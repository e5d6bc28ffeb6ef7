//! Sites: everything a hospital or validator says to its federation.

use std::pin::Pin;
use std::sync::Arc;

use alloy_sol_types::Eip712Domain;
use almoner_proto::wire::sites_server::Sites;
use almoner_proto::{
    AcknowledgementsReply, AcknowledgementsRequest, ClaimRequest, FieldError, JoinRequest, PromiseRequest,
    ReadyRequest, RevealRequest, RoundNotice, ScoreAnswer, SealedShare, SealedSharesRequest, Signed, SumAnswer,
    TaskRequest, UploadHeader, UploadOffsetReply, WatchRequest, wire, words_to_bytes,
};
use almoner_protocol::Bytes;
use almoner_protocol::round::Event;
use almoner_protocol::types::StageAck;
use almoner_store::Store;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::bundles::Bundles;
use super::{Mailbox, NoticeStream, intake, notices, refuse};
use crate::CoordinatorError;
use crate::access::Speaker;
use crate::claims::Waiting;
use crate::ingress::{Ingress, Told};
use crate::partials::Partials;

pub(crate) struct SitesService {
    pub(crate) mailbox: Mailbox,
    pub(crate) claims: mpsc::Sender<Waiting>,
    pub(crate) notices: watch::Receiver<RoundNotice>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bundles: Arc<Bundles>,
    pub(crate) partials: Arc<Partials>,
    /// What sites sign their messages of a round for.
    pub(crate) rounds: Eip712Domain,
}

impl std::fmt::Debug for SitesService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SitesService").finish_non_exhaustive()
    }
}

fn parse<W, T: TryFrom<W, Error = FieldError>>(request: Request<W>) -> Result<T, Status> {
    T::try_from(request.into_inner()).map_err(|error| refuse(error.into()))
}

fn empty() -> Result<Response<wire::Empty>, Status> {
    Ok(Response::new(wire::Empty {}))
}

impl SitesService {
    async fn round_event(&self, event: Event) -> Result<Response<wire::Empty>, Status> {
        self.mailbox.ask(|reply| Ingress::Told(Told::Event { event: Box::new(event), reply })).await?;
        empty()
    }
}

#[tonic::async_trait]
impl Sites for SitesService {
    type WatchStream = NoticeStream;
    type SealedSharesStream = Pin<Box<dyn Stream<Item = Result<wire::SealedShare, Status>> + Send>>;

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::Empty>, Status> {
        let (caller, request) = (Speaker::of(&request), parse::<_, JoinRequest>(request)?);
        caller.speaks_for(request.join.message.account)?;
        self.mailbox.ask(|reply| Ingress::Join { request, reply }).await?;
        empty()
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<NoticeStream>, Status> {
        let WatchRequest { federation } = request.into_inner().into();
        Ok(Response::new(notices(self.notices.clone(), federation)))
    }

    async fn announce_ready(&self, request: Request<wire::ReadyRequest>) -> Result<Response<wire::Empty>, Status> {
        let (caller, request) = (Speaker::of(&request), parse::<_, ReadyRequest>(request)?);
        caller.speaks_for(request.ready.message.member)?;
        self.mailbox.ask(|reply| Ingress::Ready { request, reply }).await?;
        empty()
    }

    async fn fetch_task(&self, request: Request<wire::TaskRequest>) -> Result<Response<wire::Task>, Status> {
        let TaskRequest { federation, round } = request.into_inner().into();
        let task = self.mailbox.ask(|reply| Ingress::Task { federation, round, reply }).await?;
        Ok(Response::new(task.into()))
    }

    async fn upload(
        &self,
        request: Request<Streaming<wire::UploadChunk>>,
    ) -> Result<Response<wire::UploadReceipt>, Status> {
        let caller = Speaker::of(&request);
        intake::receive(&self.mailbox, &self.partials, self.store.as_ref(), request.into_inner(), caller)
            .await
            .map(Response::new)
    }

    async fn upload_offset(
        &self,
        request: Request<wire::UploadHeader>,
    ) -> Result<Response<wire::UploadOffsetReply>, Status> {
        let (caller, UploadHeader { contribution, .. }) = (Speaker::of(&request), parse(request)?);
        caller.speaks_for(contribution.message.participant)?;
        let manifest = contribution.clone();
        self.mailbox.ask(|reply| Ingress::UploadSizes { manifest, reply }).await?;
        let offset = self.partials.offset(&contribution.message).await;
        Ok(Response::new(UploadOffsetReply { offset }.into()))
    }

    async fn promise(&self, request: Request<wire::PromiseRequest>) -> Result<Response<wire::Empty>, Status> {
        let (caller, request) = (Speaker::of(&request), parse::<_, PromiseRequest>(request)?);
        caller.speaks_for(request.message.validator)?;
        let signature = Bytes::copy_from_slice(&request.signature);
        self.round_event(Event::PromiseReceived { promise: request.message, signature }).await
    }

    async fn reveal(&self, request: Request<wire::RevealRequest>) -> Result<Response<wire::Empty>, Status> {
        let (caller, RevealRequest { reveal, entries }) = (Speaker::of(&request), parse(request)?);
        caller.speaks_for(reveal.message.validator)?;
        let signature = Bytes::copy_from_slice(&reveal.signature);
        self.round_event(Event::RevealReceived { reveal: reveal.message, entries: entries.into(), signature }).await
    }

    async fn acknowledge(&self, request: Request<wire::StageAckMessage>) -> Result<Response<wire::Empty>, Status> {
        let (caller, ack) = (Speaker::of(&request), parse::<_, Signed<StageAck>>(request)?);
        caller.has_signed(&ack.message, &self.rounds, &ack.signature)?;
        self.mailbox.ask(|reply| Ingress::Told(Told::Ack { ack, reply })).await?;
        empty()
    }

    async fn acknowledgements(
        &self,
        request: Request<wire::AcknowledgementsRequest>,
    ) -> Result<Response<wire::AcknowledgementsReply>, Status> {
        let AcknowledgementsRequest { ctx, stage } = parse(request)?;
        let acks = self.mailbox.ask(|reply| Ingress::Acknowledgements { ctx, stage, reply }).await?;
        Ok(Response::new(AcknowledgementsReply { acks }.into()))
    }

    async fn sealed_shares(
        &self,
        request: Request<wire::SealedSharesRequest>,
    ) -> Result<Response<Self::SealedSharesStream>, Status> {
        let SealedSharesRequest { ctx, member } = parse(request)?;
        let bundles = self.mailbox.ask(|reply| Ingress::ShareBundles { ctx, reply }).await?;
        let shares = self.bundles.clone().shares_of(member, bundles).map(|share| {
            let (participant, blob) = share.map_err(refuse)?;
            Ok(SealedShare { participant, blob: blob.0 }.into())
        });
        Ok(Response::new(Box::pin(shares)))
    }

    async fn answer_scores(&self, request: Request<wire::ScoreAnswer>) -> Result<Response<wire::Empty>, Status> {
        let (caller, ScoreAnswer { answer, words }) = (Speaker::of(&request), parse(request)?);
        caller.has_signed(&answer.message, &self.rounds, &answer.signature)?;
        let signature = Bytes::copy_from_slice(&answer.signature);
        self.round_event(Event::ScoreAnswerReceived { answer: answer.message, values: words, signature }).await
    }

    async fn answer_sum(&self, request: Request<wire::SumAnswer>) -> Result<Response<wire::Empty>, Status> {
        let (caller, SumAnswer { answer, words }) = (Speaker::of(&request), parse(request)?);
        caller.has_signed(&answer.message, &self.rounds, &answer.signature)?;
        let signature = Bytes::copy_from_slice(&answer.signature);
        let words = words_to_bytes(&words).into();
        self.round_event(Event::SumAnswerReceived { answer: answer.message, words, signature }).await
    }

    async fn claim(&self, request: Request<wire::ClaimRequest>) -> Result<Response<wire::ClaimReply>, Status> {
        let request: ClaimRequest = parse(request)?;
        let (reply, answer) = oneshot::channel();
        let asked = self.claims.send(Waiting { request, reply }).await.is_ok();
        let answer = if asked { answer.await.ok() } else { None };
        let paid = answer.unwrap_or(Err(CoordinatorError::Stopped)).map_err(refuse)?;
        Ok(Response::new(paid.into()))
    }
}
