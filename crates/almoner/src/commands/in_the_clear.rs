//! HTTP without certificates, with the bounds that a coordinator has: on connections, on the time for a request's
//! headers, on silence.

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::failure::Failure;

/// Serves until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Failure> {
    let router = router.layer(map_request(async |request: Request| almoner_tls::greeted(request)));
    let server = almoner_proto::server().accept_http1(true).add_routes(Routes::from(router));
    Ok(server.serve_with_incoming_shutdown(almoner_tls::plain(listener), stop).await?)
}
