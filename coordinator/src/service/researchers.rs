//! Researchers: create, fund, launch, watch, stop.

use almoner_proto::wire::researchers_server::Researchers;
use almoner_proto::{
    CreateReply, CreateRequest, FundRequest, LaunchRequest, RoundNotice, StopRequest, WatchRequest, wire,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::{Mailbox, NoticeStream, notices, refuse};
use crate::CoordinatorError;
use crate::ingress::Ingress;

#[derive(Debug)]
pub(crate) struct ResearchersService {
    pub(crate) mailbox: Mailbox,
    pub(crate) notices: watch::Receiver<RoundNotice>,
}

#[tonic::async_trait]
impl Researchers for ResearchersService {
    type WatchStream = NoticeStream;

    async fn create(&self, request: Request<wire::CreateRequest>) -> Result<Response<wire::CreateReply>, Status> {
        let CreateRequest { spec, initial } =
            request.into_inner().try_into().map_err(|e: almoner_proto::FieldError| refuse(e.into()))?;
        let federation = self.mailbox.ask(|reply| Ingress::Create { spec, initial, reply }).await?;
        Ok(Response::new(CreateReply { federation }.into()))
    }

    async fn fund(&self, request: Request<wire::FundRequest>) -> Result<Response<wire::Empty>, Status> {
        let FundRequest { federation, amount } =
            request.into_inner().try_into().map_err(|e: almoner_proto::FieldError| refuse(e.into()))?;
        self.mailbox.ask(|reply| Ingress::Fund { federation, amount, reply }).await?;
        Ok(Response::new(wire::Empty {}))
    }

    async fn launch(&self, request: Request<wire::LaunchRequest>) -> Result<Response<wire::Empty>, Status> {
        let LaunchRequest { federation, rounds } =
            request.into_inner().try_into().map_err(|e: almoner_proto::FieldError| refuse(e.into()))?;
        self.mailbox.ask(|reply| Ingress::Launch { federation, rounds, reply }).await?;
        Ok(Response::new(wire::Empty {}))
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<NoticeStream>, Status> {
        let WatchRequest { federation } = request.into_inner().into();
        // A site may be there before its federation; whoever gives orders would wait for one that nobody founds.
        let served = self.notices.borrow().federation;
        if federation != 0 && federation != served {
            return Err(refuse(CoordinatorError::not_served(federation, (served != 0).then_some(served))));
        }
        Ok(Response::new(notices(self.notices.clone(), federation)))
    }

    async fn stop(&self, request: Request<wire::StopRequest>) -> Result<Response<wire::Empty>, Status> {
        let StopRequest { federation } = request.into_inner().into();
        self.mailbox.ask(|reply| Ingress::Stop { federation, reply }).await?;
        Ok(Response::new(wire::Empty {}))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_federation_that_is_not_served_is_not_waited_for() {
        let (notices, receiver) = watch::channel(RoundNotice::default());
        let service = ResearchersService { mailbox: Mailbox(mpsc::channel(1).0), notices: receiver };
        let watch = async |federation| service.watch(Request::new(wire::WatchRequest { federation })).await;
        let none = "federation 1 is not served here, nor is any yet: almoner federation create FILE";
        assert_eq!(watch(1).await.err().expect("none is created yet").message(), none);
        notices.send_modify(|notice| notice.federation = 1);
        let other = "federation 2 is not served here, federation 1 is";
        assert_eq!(watch(2).await.err().expect("another one is").message(), other);
        for federation in [0, 1] {
            let first = watch(federation).await.unwrap().into_inner().next().await.unwrap().unwrap();
            assert_eq!(first.federation, 1);
        }
    }
}
