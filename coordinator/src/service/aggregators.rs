//! Aggregators: lease a block range, post its result.

use std::time::Duration;

use almoner_proto::wire::aggregators_server::Aggregators;
use almoner_proto::{FieldError, LeaseRequest, ResultReader, wire};
use tonic::{Request, Response, Status, Streaming};

use super::{Mailbox, refuse};
use crate::ingress::Ingress;

/// How long a lease request is held open when there is no work.
const LEASE_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct AggregatorsService {
    pub(crate) mailbox: Mailbox,
}

#[tonic::async_trait]
impl Aggregators for AggregatorsService {
    async fn lease(&self, request: Request<wire::LeaseRequest>) -> Result<Response<wire::Job>, Status> {
        let request = request.into_inner().try_into();
        let LeaseRequest { worker } = request.map_err(|e: FieldError| refuse(e.into()))?;
        tracing::trace!(worker, "asks for work");
        let ask = self.mailbox.ask(|reply| Ingress::Lease { reply });
        match tokio::time::timeout(LEASE_WAIT, ask).await {
            Ok(job) => Ok(Response::new(job?.into())),
            Err(_) => Ok(Response::new(wire::Job::default())),
        }
    }

    async fn post(&self, request: Request<Streaming<wire::ResultChunk>>) -> Result<Response<wire::Empty>, Status> {
        let (lease, reader) = ResultReader::open(request.into_inner()).await.map_err(|e| refuse(e.into()))?;
        let length = self.mailbox.ask(|reply| Ingress::ResultLength { lease, reply }).await?;
        let bytes = reader.read(length).await.map_err(|e| refuse(e.into()))?;
        self.mailbox.ask(|reply| Ingress::Result { lease, bytes: bytes.into(), reply }).await?;
        Ok(Response::new(wire::Empty {}))
    }
}
