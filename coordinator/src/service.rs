//! Handlers: each turns wire into one message for the loop and its answer into wire.

mod aggregators;
mod bundles;
mod enrolment;
mod intake;
mod researchers;
mod sites;

pub(crate) use aggregators::AggregatorsService;
pub(crate) use bundles::Bundles;
pub(crate) use enrolment::EnrolmentService;
pub(crate) use researchers::ResearchersService;
pub(crate) use sites::SitesService;

use std::pin::Pin;

use almoner_proto::{RoundNotice, status, wire};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use crate::CoordinatorError;
use crate::ingress::{Ingress, Reply};

/// The way into the loop.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(pub(crate) mpsc::Sender<Ingress>);

impl Mailbox {
    /// Sends one message and waits for its answer. A full mailbox makes the caller wait, not the loop grow.
    pub(crate) async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Ingress) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let asked = self.0.send(message(reply)).await.is_ok();
        let answer = if asked { answer.await.ok() } else { None };
        answer.unwrap_or(Err(CoordinatorError::Stopped)).map_err(refuse)
    }
}

/// The status a caller gets; the log gets the whole error where the fault is ours.
pub(crate) fn refuse(error: CoordinatorError) -> Status {
    if error.is_full_disk() || almoner_proto::Kinded::kind(&error) == almoner_proto::ErrorKind::Internal {
        tracing::error!(%error, "request failed");
    } else {
        tracing::debug!(%error, "request refused");
    }
    status(&error)
}

pub(crate) type NoticeStream = Pin<Box<dyn Stream<Item = Result<wire::RoundNotice, Status>> + Send>>;

/// The notices of one federation; a notice of none yet reaches everybody.
pub(crate) fn notices(receiver: watch::Receiver<RoundNotice>, federation: u64) -> NoticeStream {
    let own = move |notice: &RoundNotice| notice.federation == federation || federation == 0;
    Box::pin(WatchStream::new(receiver).filter(own).map(|notice| Ok(notice.into())))
}
