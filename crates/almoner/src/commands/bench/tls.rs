//! `almoner bench tls`: what an upload costs on its way. The production client and server, their settings, the chunks of
//! an upload and a coordinator's door with certificates on both sides; behind it nothing is checked or kept. Beside it,
//! in the same run, the same upload in the clear and the same bytes through TCP.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use almoner_crypto::encrypt::{CHECK_BYTES, DATA_BLOCK_BYTES};
use almoner_crypto::seal::SEALED_BYTES;
use almoner_proto::{Signed, UploadHeader, UploadReader, endpoint, server, sites_client, upload_messages, wire};
use almoner_protocol::types::Contribution;
use almoner_protocol::{Address, MAX_PARAMETERS};
use almoner_tls::{Authority, Client as Tls, ClientFiles, Door, Role, ServerFiles, TlsError};
use axum::extract::Request as HttpRequest;
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::server::{ClientStreamingService, Grpc};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::TlsOptions;
use super::floors::through_tcp;
use super::rounds::median;
use crate::commands::channel::failure;
use crate::failure::Failure;

const MB: f64 = 1e6;
/// Each way is taken so often, in turn; the median counts.
const TIMES: usize = 5;

/// Takes uploads and forgets them.
#[derive(Clone)]
struct Sink;

impl ClientStreamingService<wire::UploadChunk> for Sink {
    type Response = wire::UploadReceipt;
    type Future = tonic::codegen::BoxFuture<Response<wire::UploadReceipt>, Status>;

    fn call(&mut self, request: Request<Streaming<wire::UploadChunk>>) -> Self::Future {
        Box::pin(async move {
            let broken = |error: almoner_proto::WireError| Status::invalid_argument(error.to_string());
            let (_, mut reader) = UploadReader::open(request.into_inner()).await.map_err(broken)?;
            // As raw TCP's other end does: read, and let go.
            while reader.next().await.map_err(broken)?.is_some() {}
            Ok(Response::new(wire::UploadReceipt::default()))
        })
    }
}

fn routes() -> Routes {
    let upload = |request: HttpRequest| async move {
        let mut grpc = Grpc::new(ProstCodec::<wire::UploadReceipt, wire::UploadChunk>::default())
            .apply_max_message_size_config(Some(almoner_proto::MAX_MESSAGE), None);
        grpc.client_streaming(Sink, request).await
    };
    Routes::from(axum::Router::new().route("/almoner.v0.Sites/Upload", post(upload)))
}

struct Served {
    address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

async fn serve(door: Option<std::sync::Arc<Door>>) -> Result<Served, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let served = async move {
        let router = server().add_routes(routes());
        // It ends with this command; what broke it shows at the other end.
        let _ = match door {
            Some(door) => router.serve_with_incoming(door.accept(listener, |_, _| None)).await,
            None => router.serve_with_incoming(Box::pin(almoner_tls::plain(listener))).await,
        };
    };
    Ok(Served { address, _server: AbortOnDropHandle::new(tokio::spawn(served)) })
}

/// A coordinator's door and a site that may pass it.
fn certificates(dir: &Path) -> Result<(std::sync::Arc<Door>, Tls), TlsError> {
    let authority = Authority::create(&dir.join("authority"))?;
    let issued = authority.issue_server(&["127.0.0.1".to_owned()], 1)?;
    let own = authority.hand_out(&dir.join("server"), &issued.certificate, Some(&issued.key))?;
    let issued = authority.issue(Role::Site, Address::ZERO, 1)?;
    let site = authority.hand_out(&dir.join("site"), &issued.certificate, Some(&issued.key))?;
    let door = Door::open(ServerFiles {
        certificate: own.certificate,
        key: own.key.unwrap_or_default(),
        clients_ca: Some(authority.certificate_file()),
        sites_ca: None,
        revoked: Some(authority.revoked_file()),
    })?;
    let tls = Tls::new(ClientFiles { ca: Some(site.ca), certificate: Some(site.certificate), key: site.key })?;
    Ok((door, tls))
}

/// An upload of about so many bytes: as many whole blocks of ciphertext as fit, the check words, and sealed shares.
fn files(length: usize) -> (UploadHeader, [Bytes; 3]) {
    let blocks = length / DATA_BLOCK_BYTES;
    let files = [blocks * DATA_BLOCK_BYTES, CHECK_BYTES, SEALED_BYTES].map(|length| Bytes::from(vec![0x5a; length]));
    let [ciphertext_bytes, check_bytes, shares_bytes] = files.each_ref().map(|file| file.len() as u64);
    // At most 384 MiB of blocks: the largest model there is.
    let message = Contribution { blocks: u32::try_from(blocks).unwrap_or(u32::MAX), ..Contribution::default() };
    let contribution = Signed { message, signature: [0; 65] };
    (UploadHeader { contribution, ciphertext_bytes, check_bytes, shares_bytes, offset: 0 }, files)
}

async fn upload(channel: &Channel, header: &UploadHeader, files: &[Bytes; 3]) -> Result<f64, Failure> {
    let messages = tokio_stream::iter(upload_messages(header.clone(), files.clone()));
    let started = Instant::now();
    sites_client(channel.clone(), MAX_PARAMETERS).upload(messages).await?;
    Ok(started.elapsed().as_secs_f64())
}

pub(super) async fn run(options: &TlsOptions) -> Result<(), Failure> {
    let dir = tempfile::Builder::new().prefix("almoner-bench-").tempdir()?;
    let (door, tls) = certificates(dir.path()).map_err(|error| failure(&error))?;
    let (secure, clear) = (serve(Some(door)).await?, serve(None).await?);
    let at = |scheme: &str, served: &Served| Endpoint::from_shared(format!("{scheme}://{}", served.address));
    let secure_channel = tls.connect(&endpoint(at("https", &secure)?)).await?;
    let clear_channel = tls.connect(&endpoint(at("http", &clear)?)).await?;
    let length = usize::try_from(options.mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
    let (header, files) = files(length);
    let length = files.iter().map(Bytes::len).sum();
    let mut seconds = [const { Vec::new() }; 3];
    for _ in 0..TIMES {
        seconds[0].push(upload(&secure_channel, &header, &files).await?);
        seconds[1].push(upload(&clear_channel, &header, &files).await?);
        seconds[2].push(tokio::task::spawn_blocking(move || through_tcp(length)).await??);
    }
    // Megabytes a second, as networks are sold; a length of some MiB is exact in a float.
    let [secure, clear, tcp] = seconds.map(|times| length as f64 / median(times) / MB);
    let ratio = secure / tcp;
    if options.json {
        println!(
            "{}",
            json!({
                "schema": 1, "bytes": length, "mtls_mb_s": secure, "clear_mb_s": clear, "tcp_mb_s": tcp, "ratio": ratio,
            })
        );
    } else {
        println!("an upload of {} MiB, median of {TIMES}", options.mib);
        println!("  over mutual TLS  {secure:>7.0} MB/s");
        println!("  in the clear     {clear:>7.0} MB/s");
        println!("  raw TCP          {tcp:>7.0} MB/s");
        println!("  mutual TLS is at {ratio:.2} of raw TCP (goal 0.25)");
    }
    Ok(())
}
