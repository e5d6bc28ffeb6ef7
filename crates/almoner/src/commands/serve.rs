//! `almoner serve`: a finished run, readable by anybody: its chain at `/rpc` (a run that settled on a node has none of
//! its own), its store at `/ipfs`, its addresses at `/deployment.json`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use almoner_devnet::{Access, Devnet, DevnetConfig, system_clock};
use almoner_store::{EmbeddedStore, gateway};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use serde_json::json;
use tonic::Status;

use super::files::{bind, only_loopback};
use super::in_the_clear;
use crate::failure::{Blame, Failure, Kind};
use crate::localnet::run_file::{CHAIN_FILE, RunFile, STORE_DIR};
use crate::rpc_proxy::reading;
use crate::rpc_room::{MAX_CALL_BYTES, ROOM};

const TUNNEL_OR_PROXY: &str =
    "listen on 127.0.0.1 and bring others in through a tunnel of your own, or a proxy with a certificate in front";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The directory a run left.
    dir: PathBuf,
    /// Address of this machine to listen on; port 0 takes a free one. Others come in through a tunnel, or a proxy in
    /// front.
    #[arg(long, default_value = "127.0.0.1:8547")]
    listen: SocketAddr,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

/// Serves until interrupted.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    only_loopback(options.listen, &format!("--listen {}", options.listen), TUNNEL_OR_PROXY)?;
    let (router, run) = open(&options.dir).await?;
    let listener = bind(options.listen)
        .blame(Kind::You, format!("--listen {}: choose another port, or 0 for a free one", options.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    if options.json {
        println!("{}", json!({ "schema": 1, "url": url, "federation": run.federation }));
    } else {
        println!("{} is served at {url}", options.dir.display());
        let embedded = !run.genesis.is_empty();
        let (rpc, node) = if embedded { (format!("{url}/rpc   "), "") } else { (String::new(), " --rpc <its node>") };
        println!("  {rpc}{url}/ipfs   {url}/deployment.json");
        println!("audit it:  almoner audit {url}{node}");
    }
    let interrupted = async {
        // If the signal cannot be waited for, the process still ends by it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    in_the_clear::serve(listener, router, interrupted).await
}

/// The routes over a run's directory, and what the run says of itself.
async fn open(dir: &Path) -> Result<(Router, RunFile), Failure> {
    let run = RunFile::read(dir)?;
    let path = existing(dir, STORE_DIR)?;
    let store = Arc::new(EmbeddedStore::open(&path).await.blame(Kind::You, path.display().to_string())?);
    let deployment = run.deployment.clone();
    let described = get(move || std::future::ready(Json(deployment.clone())));
    let router = gateway::router(store).route("/deployment.json", described).fallback(nobody);
    if run.genesis.is_empty() {
        return Ok((router, run));
    }
    let chain = existing(dir, CHAIN_FILE)?;
    let mut config = DevnetConfig::new(run.genesis.clone(), system_clock());
    config.chain_id = run.deployment.chain_id;
    let context = chain.display().to_string();
    let opened = tokio::task::spawn_blocking(move || Devnet::open(&chain, &config)).await?;
    let rpc = opened.blame(Kind::You, context)?.router(Access::Public).layer(middleware::from_fn(read_only));
    Ok((ROOM.before(rpc).merge(router), run))
}

/// A part of the run; opening one that is missing would begin a new chain or store in its place.
fn existing(dir: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = dir.join(name);
    if path.exists() { Ok(path) } else { Err(Failure::you(format!("{} is missing", path.display()))) }
}

/// Whoever orders something of a finished run is told what this is, in the form that it reads.
async fn nobody(request: Request) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.starts_with(b"application/grpc") {
        return StatusCode::NOT_FOUND.into_response();
    }
    Status::unimplemented("there is none here: this is a finished run, to be read and audited").into_http()
}

/// A finished run stays as it is.
async fn read_only(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_CALL_BYTES).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the call is too long\n").into_response();
    };
    let Some(body) = reading(&body) else {
        return (StatusCode::FORBIDDEN, "this run is over: it can be read, not changed\n").into_response();
    };
    let mut read = Request::from_parts(parts, Body::from(body));
    // Written anew, it has another length than its caller said.
    read.headers_mut().remove(header::CONTENT_LENGTH);
    next.run(read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_without_a_run_is_the_callers_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let failure = open(dir.path()).await.unwrap_err();
        assert_eq!(failure.kind, Kind::You);
        assert!(failure.to_string().contains("run.json"), "{failure}");
    }
}
