//! A coordinator's second face: a port before the coordinator that passes everything on, but for what a test has it
//! show or keep. A site that dials it takes messages, store and chain from there, as its file says.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use alloy_sol_types::SolCall;
use almoner_chain::contracts::Rounds::roundOfCall;
use almoner_devnet::{Access, Devnet};
use almoner_proto::wire::sites_client::SitesClient;
use almoner_proto::{PromiseRequest, RevealRequest, Signed, Task, sites_client, wire};
use almoner_protocol::types::StageAck;
use almoner_protocol::{MAX_PARAMETERS, Stage};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;
use tower::ServiceExt;

use crate::hand::channel;

const SITES: &str = "/almoner.v0.Sites/";
/// Far above every call of a chain.
const MAX_CALL_BYTES: usize = 1 << 20;

/// What was said to the face. It was passed on before, and answered, unless it is said to be kept.
#[derive(Debug)]
enum Said {
    Promise(PromiseRequest),
    Reveal(RevealRequest),
    /// Kept: the coordinator behind does not know of it.
    Acknowledged(Signed<StageAck>),
    /// For the acknowledgements of a stage.
    Asked,
    /// An answer to the sum, while those are held.
    AnsweredSum,
}

/// The chain that a face shows.
#[derive(Clone, Debug, Default)]
pub(crate) enum Shown {
    /// The one that everybody sees.
    #[default]
    True,
    /// One that went another way. What is acknowledged on it is kept, and no task is told.
    Fork(Devnet),
    /// The events of a while ago, until the contract is first asked what it holds of a round: as if a block had come
    /// between the two questions.
    Late(Devnet),
}

pub(crate) struct Face {
    pub(crate) url: String,
    port: Arc<Port>,
    said: mpsc::UnboundedReceiver<Said>,
}

#[derive(Debug)]
struct Port {
    behind: Channel,
    shown: Mutex<Shown>,
    task: fn(&mut Task),
    said: mpsc::UnboundedSender<Said>,
    holds_sums: watch::Sender<bool>,
}

/// Serves a router on a port of its own, for as long as the test runs.
pub(crate) async fn listen(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

impl Face {
    /// Opens one before the coordinator at `url`.
    pub(crate) async fn open(url: &str) -> Self {
        Self::with_task(url, |_| {}).await
    }

    /// One that tells sites another task than the coordinator does.
    pub(crate) async fn with_task(url: &str, task: fn(&mut Task)) -> Self {
        let (sender, said) = mpsc::unbounded_channel();
        let (behind, holds_sums) = (channel(url).await, watch::Sender::new(false));
        let port = Arc::new(Port { behind, shown: Mutex::default(), task, said: sender, holds_sums });
        let router = Router::new().fallback(serve).with_state(port.clone());
        Self { url: listen(router).await, port, said }
    }

    pub(crate) fn show(&self, shown: Shown) {
        *self.port.shown.lock().unwrap() = shown;
    }

    /// Whether answers to the sum are held: the coordinator does not know of them until they are held no more.
    pub(crate) fn hold_sums(&self, held: bool) {
        self.port.holds_sums.send_replace(held);
    }

    /// Waits for one that is held.
    pub(crate) async fn held_sum(&mut self) {
        self.wait(|said| matches!(said, Said::AnsweredSum).then_some(())).await;
    }

    /// Whether the chain that everybody sees is shown.
    pub(crate) fn is_true(&self) -> bool {
        matches!(self.port.shown(), Shown::True)
    }

    /// Waits for something to be said; what else is said before is passed over.
    async fn wait<T>(&mut self, wanted: impl Fn(Said) -> Option<T>) -> T {
        loop {
            let said = self.said.recv().await.expect("the port is open");
            if let Some(found) = wanted(said) {
                return found;
            }
        }
    }

    pub(crate) async fn promise(&mut self) -> PromiseRequest {
        self.wait(|said| if let Said::Promise(promise) = said { Some(promise) } else { None }).await
    }

    pub(crate) async fn reveal(&mut self) -> RevealRequest {
        self.wait(|said| if let Said::Reveal(reveal) = said { Some(reveal) } else { None }).await
    }

    /// The next one of this stage; one of an earlier stage may still have been on its way.
    pub(crate) async fn kept(&mut self, stage: Stage) -> Signed<StageAck> {
        let of = |ack: &Signed<StageAck>| ack.message.stage == stage.number();
        self.wait(|said| if let Said::Acknowledged(ack) = said { Some(ack).filter(of) } else { None }).await
    }

    pub(crate) async fn asked(&mut self) {
        self.wait(|said| matches!(said, Said::Asked).then_some(())).await;
    }
}

async fn serve(State(port): State<Arc<Port>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match path.strip_prefix(SITES) {
        Some("FetchTask") => unary(request, async move |message| port.task(message).await).await,
        Some("Acknowledge") => unary(request, async move |message| port.acknowledge(message).await).await,
        Some("Acknowledgements") => unary(request, async move |message| port.acknowledgements(message).await).await,
        Some("Promise") => unary(request, async move |message| port.promise(message).await).await,
        Some("Reveal") => unary(request, async move |message| port.reveal(message).await).await,
        Some("AnswerSum") => port.sum(request).await,
        _ if path == "/rpc" => port.chain(request).await,
        _ => port.pass(request).await,
    }
}

/// Answers one call as a server of the service does.
async fn unary<M, R, F>(request: Request, answer: impl FnOnce(M) -> F + Clone + Send + Sync + 'static) -> Response
where
    M: prost::Message + Default + 'static,
    R: prost::Message + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    let service = tower::service_fn(move |request: tonic::Request<M>| {
        let answered = answer.clone()(request.into_inner());
        async move { answered.await.map(tonic::Response::new) }
    });
    tonic::server::Grpc::new(ProstCodec::<R, M>::default()).unary(service, request).await.map(Body::new)
}

impl Port {
    fn shown(&self) -> Shown {
        self.shown.lock().unwrap().clone()
    }

    fn client(&self) -> SitesClient<Channel> {
        sites_client(self.behind.clone(), MAX_PARAMETERS)
    }

    fn tell(&self, said: Said) {
        // A test that is over listens no more.
        let _ = self.said.send(said);
    }

    async fn pass(&self, request: Request) -> Response {
        match self.behind.clone().oneshot(request.map(tonic::body::Body::new)).await {
            Ok(response) => response.map(Body::new),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }

    async fn sum(&self, request: Request) -> Response {
        if *self.holds_sums.borrow() {
            self.tell(Said::AnsweredSum);
            // The port has the sender.
            let _ = self.holds_sums.subscribe().wait_for(|held| !held).await;
        }
        self.pass(request).await
    }

    async fn chain(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_CALL_BYTES).await.unwrap();
        let shown = {
            let mut shown = self.shown.lock().unwrap();
            if matches!(*shown, Shown::Late(_)) && asks_for_a_round(&body) {
                *shown = Shown::True;
            }
            shown.clone()
        };
        let request = Request::from_parts(parts, Body::from(body));
        match shown {
            Shown::True => self.pass(request).await,
            Shown::Fork(other) | Shown::Late(other) => {
                let answered: Result<Response, Infallible> = other.router(Access::Public).oneshot(request).await;
                answered.unwrap()
            }
        }
    }

    async fn task(&self, request: wire::TaskRequest) -> Result<wire::Task, Status> {
        if matches!(self.shown(), Shown::Fork(_)) {
            return Err(Status::not_found("not running"));
        }
        let mut task: Task = self.client().fetch_task(request).await?.into_inner().try_into().unwrap();
        (self.task)(&mut task);
        Ok(task.into())
    }

    async fn acknowledge(&self, ack: wire::StageAckMessage) -> Result<wire::Empty, Status> {
        if matches!(self.shown(), Shown::Fork(_)) {
            self.tell(Said::Acknowledged(ack.try_into().unwrap()));
            return Ok(wire::Empty {});
        }
        Ok(self.client().acknowledge(ack).await?.into_inner())
    }

    async fn acknowledgements(
        &self,
        request: wire::AcknowledgementsRequest,
    ) -> Result<wire::AcknowledgementsReply, Status> {
        let acks = self.client().acknowledgements(request).await?.into_inner();
        self.tell(Said::Asked);
        Ok(acks)
    }

    async fn promise(&self, promise: wire::PromiseRequest) -> Result<wire::Empty, Status> {
        let passed = self.client().promise(promise.clone()).await?.into_inner();
        self.tell(Said::Promise(promise.try_into().unwrap()));
        Ok(passed)
    }

    async fn reveal(&self, reveal: wire::RevealRequest) -> Result<wire::Empty, Status> {
        let passed = self.client().reveal(reveal.clone()).await?.into_inner();
        self.tell(Said::Reveal(reveal.try_into().unwrap()));
        Ok(passed)
    }
}

fn asks_for_a_round(call: &[u8]) -> bool {
    let selector = alloy_primitives::hex::encode(roundOfCall::SELECTOR);
    String::from_utf8_lossy(call).contains(&format!("\"0x{selector}"))
}
