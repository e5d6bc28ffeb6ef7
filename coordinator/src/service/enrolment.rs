//! Enrolment and login: the desk's work, off the executor, and never more of it at a time than fits a second or so.

use std::sync::Arc;

use almoner_proto::wire::enrolment_server::Enrolment;
use almoner_proto::{
    FieldError, LoginFinishRequest, LoginStartRequest, RegisterFinishRequest, RegisterStartRequest, RenewRequest, wire,
};
use almoner_tls::Caller;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::refuse;
use crate::{CoordinatorError, Desk, EnrolmentError};

/// Strangers may call, so what waits is bounded; the others are told to come back.
const WAITING: usize = 256;

#[derive(Debug)]
pub(crate) struct EnrolmentService {
    desk: Arc<Desk>,
    room: Arc<Semaphore>,
}

impl EnrolmentService {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk: Arc::new(desk), room: Arc::new(Semaphore::new(WAITING)) }
    }

    async fn ask<W, T, R>(
        &self,
        request: Request<W>,
        work: impl FnOnce(&Desk, T) -> Result<R, CoordinatorError> + Send + 'static,
    ) -> Result<R, Status>
    where
        T: TryFrom<W, Error = FieldError> + Send + 'static,
        R: Send + 'static,
    {
        let request = T::try_from(request.into_inner()).map_err(|error| refuse(error.into()))?;
        let full = |_| refuse(CoordinatorError::NotNow("too many others are logging in"));
        let place = self.room.clone().try_acquire_owned().map_err(full)?;
        let desk = self.desk.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Kept by the work and not by the caller, who may hang up.
            let _place = place;
            work(&desk, request)
        });
        done.await.map_err(|error| refuse(CoordinatorError::Bug(error.to_string())))?.map_err(refuse)
    }
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    async fn register_start(
        &self,
        request: Request<wire::RegisterStartRequest>,
    ) -> Result<Response<wire::RegisterStartReply>, Status> {
        let reply = self.ask(request, |desk, request: RegisterStartRequest| desk.register_start(request)).await?;
        Ok(Response::new(reply.into()))
    }

    async fn register_finish(
        &self,
        request: Request<wire::RegisterFinishRequest>,
    ) -> Result<Response<wire::RegisterFinishReply>, Status> {
        let reply = self.ask(request, |desk, request: RegisterFinishRequest| desk.register_finish(request)).await?;
        Ok(Response::new(reply.into()))
    }

    async fn login_start(
        &self,
        request: Request<wire::LoginStartRequest>,
    ) -> Result<Response<wire::LoginStartReply>, Status> {
        let line = request.extensions().get::<Caller>().and_then(|caller| caller.server);
        let reply = self.ask(request, move |desk, request: LoginStartRequest| desk.login_start(request, line)).await?;
        Ok(Response::new(reply.into()))
    }

    async fn login_finish(&self, request: Request<wire::LoginFinishRequest>) -> Result<Response<wire::Empty>, Status> {
        self.ask(request, |desk, request: LoginFinishRequest| desk.login_finish(request)).await?;
        Ok(Response::new(wire::Empty {}))
    }
    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewReply>, Status> {
        let holder = request.extensions().get::<Caller>().and_then(|caller| caller.peer.clone());
        let holder = holder.ok_or_else(|| refuse(EnrolmentError::NotOurs.into()))?;
        let work = move |desk: &Desk, request: RenewRequest| desk.renew(&holder, &request.csr);
        Ok(Response::new(self.ask(request, work).await?.into()))
    }
}
