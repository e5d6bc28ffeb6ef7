//! The coordinator's door: everything it needs comes in as an argument, and it returns when told to stop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use almoner_chain::{Ledger, Sender, SigningKey};
use almoner_journal::Journal;
use almoner_proto::{
    CREATE, FILE_DESCRIPTOR_SET, SITES_LONG, aggregators_server, create_server, enrolment_server, long_sites_server,
    researchers_server, server, sites_server,
};
use almoner_protocol::types::domain;
use almoner_store::{Store, gateway};
use almoner_tls::{Conn, Door, plain};
use axum::extract::Request;
use axum::middleware;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinError;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tracing::instrument::WithSubscriber;

use crate::access;
use crate::actor::Actor;
use crate::bounds::{self, Bounds};
use crate::chain::Chain;
use crate::claims;
use crate::notice::Notices;
use crate::partials::{Partials, sweep};
use crate::service::{AggregatorsService, Bundles, EnrolmentService, Mailbox, ResearchersService, SitesService};
use crate::{Accounts, CoordinatorConfig, CoordinatorError, Desk, Enrolment, Progress};

/// Messages waiting for the loop; a full mailbox makes callers wait.
const MAILBOX: usize = 256;

/// Unix seconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a coordinator works with.
pub struct Parts {
    pub listener: TcpListener,
    /// Certificates, and who may call; without it connections are in the clear.
    pub door: Option<Arc<Door>>,
    /// Roles of callers whose certificates name none.
    pub accounts: Accounts,
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub sender: Sender,
    /// Signs receipts; the account of `sender`.
    pub key: SigningKey,
    pub journal: Journal,
    pub clock: Clock,
    pub progress: broadcast::Sender<Progress>,
    /// What passwords are checked with; without it nobody enrols here.
    pub enrolment: Option<Enrolment>,
    /// Called once it serves: what an earlier life left is taken up then.
    pub up: Box<dyn FnOnce() + Send>,
    /// Served beside gRPC and `/ipfs`: the embedded chain's `/rpc`, the deployment.
    pub beside: axum::Router,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Serves until `shutdown`. Returns an error only if serving itself fails, or if the chain took the federation back.
pub async fn run(config: CoordinatorConfig, parts: Parts, shutdown: CancellationToken) -> Result<(), CoordinatorError> {
    let Parts { listener, door, accounts, store, ledger, sender, key, journal, clock, progress, enrolment, up, beside } =
        parts;
    let (mailbox, inbox) = mpsc::channel(MAILBOX);
    let (claims, asked) = mpsc::channel(MAILBOX);
    let (notices, notice) = Notices::new();
    let at = ledger.deployment();
    let rounds = domain(at.chain_id, at.rounds);
    let chain = Chain::new(ledger, sender, progress.clone());
    let relay = claims::run(chain.clone(), notice.clone(), asked, shutdown.clone());
    let desk = enrolment.map(|enrolment| Desk::open(enrolment, journal.clone(), clock.clone())).transpose()?;
    let mut actor = Actor::new(config, chain, key, store.clone(), journal, clock, notices, progress);
    actor.restore().await?;

    let mailbox = Mailbox(mailbox);
    let partials = Arc::new(Partials::default());
    let _sweeper = AbortOnDropHandle::new(tokio::spawn(sweep(partials.clone(), notice.clone())));
    let sites = SitesService {
        mailbox: mailbox.clone(),
        claims,
        notices: notice.clone(),
        store: store.clone(),
        bundles: Arc::new(Bundles::new(store.clone())),
        partials,
        rounds,
    };
    let sites = Arc::new(sites);
    let researchers = Arc::new(ResearchersService { mailbox: mailbox.clone(), notices: notice });
    let aggregators = AggregatorsService { mailbox };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| CoordinatorError::Bug(error.to_string()))?;
    let mut routes = Routes::new(sites_server(sites.clone()))
        .add_service(researchers_server(researchers.clone()))
        .add_service(aggregators_server(aggregators))
        .add_service(health_service)
        .add_service(reflection);
    if let Some(desk) = desk {
        routes = routes.add_service(enrolment_server(EnrolmentService::new(desk)));
    }
    let mut router = with_long(routes, sites, researchers).merge(gateway::router(store)).merge(beside);
    router = router.layer(middleware::from_fn_with_state(Arc::new(Bounds::default()), bounds::admit));
    let incoming: Pin<Box<dyn Stream<Item = io::Result<Conn>> + Send>> = match door {
        None => Box::pin(plain(listener)),
        Some(door) => {
            router = router.layer(middleware::from_fn_with_state(Arc::new(accounts), access::consult));
            Box::pin(door.accept(listener, access::hear))
        }
    };

    router = router.layer(middleware::map_request(async |request: Request| almoner_tls::greeted(request)));
    let stop = shutdown.clone();
    // They end with this call, however that ends: two loops on one journal would be two coordinators.
    // Whoever started it hears what it logs.
    // Without the one that decides there is nothing to serve.
    let stops = shutdown.clone().drop_guard();
    let actor = async move {
        let _stops = stops;
        actor.run(inbox, stop).await
    };
    let actor = actor.with_current_subscriber();
    let actor = AbortOnDropHandle::new(tokio::spawn(actor));
    let relay = AbortOnDropHandle::new(tokio::spawn(relay));
    up();
    let served = server()
        .accept_http1(true)
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned())
        .await;
    shutdown.cancel();
    // A panic of either loop is a bug; it must not look like an orderly stop.
    let bug = |error: JoinError| CoordinatorError::Bug(error.to_string());
    let acted = actor.await.map_err(bug)?;
    relay.await.map_err(bug)?;
    served.map_err(|error| CoordinatorError::Listen(error.to_string()))?;
    acted
}

/// Each long message has a service of its own, so that no other is taken at its length.
fn with_long(routes: Routes, sites: Arc<SitesService>, researchers: Arc<ResearchersService>) -> axum::Router {
    let router = routes.into_axum_router().route_service(CREATE, create_server(researchers));
    SITES_LONG
        .into_iter()
        .fold(router, |router, (path, most)| router.route_service(path, long_sites_server(sites.clone(), most)))
}

#[cfg(test)]
mod tests;
