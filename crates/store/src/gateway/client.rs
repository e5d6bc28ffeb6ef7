//! Reads from gateways. They are interchangeable, because only the CID is trusted.
//!
//! A whole file is asked for as one CAR; when a gateway fails in mid-file, the next one (or the
//! same one, for single blocks) goes on at the very block where it stopped. Ranges and single
//! blocks are asked for as raw blocks, and the nodes on the way to them once.
//!
//! A gateway may still be slow: transfers end after a minute of silence, and a caller that needs
//! an overall deadline sets one around the call.

use std::path::Path;

use almoner_tls::Client as Tls;
use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use reqwest::{Client, Response, StatusCode, Url, header};

use super::format::{CAR_ACCEPT, RAW_TYPE};
use super::nodes::Nodes;
use crate::{
    Block, BlockSource, MAX_BLOCK, Refusal, Store, StoreError,
    car::{CarReader, Dups, receive},
    dag::{self, Output},
    error::Place,
    http::{self, BodyError},
    ids::{self, RAW},
    walk::Walk,
};

/// Reads files from a list of gateways, tried in order. It stores nothing.
#[derive(Debug)]
pub struct GatewayStore {
    gateways: Vec<Gateway>,
    nodes: Nodes,
}

impl GatewayStore {
    /// One or more base URLs; `/ipfs/{cid}` is appended to each, which may end in `/ipfs` already.
    pub fn new(urls: Vec<Url>) -> Result<Self, StoreError> {
        Self::trusting(urls, &Tls::default())
    }

    /// As [`Self::new`], for gateways with certificates of one's own authority.
    pub fn trusting(urls: Vec<Url>, tls: &Tls) -> Result<Self, StoreError> {
        if urls.is_empty() {
            let detail = "no gateway is given; list at least one url".into();
            return Err(StoreError::Config { place: Place::new("gateways"), detail });
        }
        let gateways = urls.into_iter().map(|url| Gateway::new(url, tls)).collect::<Result<_, _>>()?;
        Ok(Self { gateways, nodes: Nodes::default() })
    }

    fn read_only(&self) -> StoreError {
        StoreError::ReadOnly { place: self.place() }
    }
}

#[async_trait]
impl BlockSource for GatewayStore {
    /// The first correct block: a gateway that lies about it is passed over.
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        ids::digest(cid)?;
        if let Some(known) = self.nodes.get(cid) {
            return Ok(known);
        }
        let mut attempts = Vec::new();
        for gateway in &self.gateways {
            match gateway.verified(cid).await {
                Ok(block) => {
                    self.nodes.keep(cid, &block);
                    return Ok(block);
                }
                Err(error) => note(&mut attempts, error),
            }
        }
        Err(exhausted(cid, attempts))
    }

    fn place(&self) -> Place {
        match self.gateways.as_slice() {
            [only] => only.place.clone(),
            many => Place::new(format!("{} gateways", many.len())),
        }
    }
}

#[async_trait]
impl Store for GatewayStore {
    async fn put(&self, _: Bytes) -> Result<Cid, StoreError> {
        Err(self.read_only())
    }

    async fn put_file(&self, _: &Path) -> Result<Cid, StoreError> {
        Err(self.read_only())
    }

    async fn get_to(&self, cid: &Cid, max: u64, out: Output<'_>) -> Result<u64, StoreError> {
        let mut walk = Walk::new(cid, max)?;
        let mut attempts = Vec::new();
        // One raw leaf is one block: no archive needed. An archive starts at the root, so it
        // helps only while nothing has been accepted.
        for gateway in &self.gateways {
            if !walk.is_fresh() || cid.codec() == RAW {
                break;
            }
            match gateway.archive(cid, &mut walk, out).await {
                Ok(size) => return Ok(size),
                Err(error) if error.another_source_may_help() => note(&mut attempts, error),
                Err(error) => return Err(error),
            }
        }
        // Nobody has the root: asking for it once more, as a raw block, would change nothing.
        if !attempts.is_empty() && attempts.iter().all(StoreError::is_missing) {
            return Err(exhausted(cid, attempts));
        }
        match dag::finish(self, &mut walk, out).await {
            Err(error) if error.another_source_may_help() => {
                note(&mut attempts, error);
                Err(exhausted(cid, attempts))
            }
            done => done,
        }
    }
}

/// A gateway is often shown as the place where its content is.
fn without_ipfs(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    if let Some(base) = path.strip_suffix("/ipfs").map(ToOwned::to_owned) {
        url.set_path(&base);
    }
    url
}

/// Whether repeats are in the archive; a gateway that does not say so may leave them out.
fn announced(answer: &Response) -> Dups {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let says = |kind: &str| kind.split(';').any(|p| p.trim().eq_ignore_ascii_case("dups=y"));
    if kind.is_some_and(says) { Dups::Yes } else { Dups::No }
}

fn note(attempts: &mut Vec<StoreError>, error: StoreError) {
    tracing::debug!(%error, "a gateway did not deliver");
    // One list, however deep the attempts were made.
    match error {
        StoreError::Exhausted { attempts: inner, .. } => attempts.extend(inner),
        other => attempts.push(other),
    }
}

fn exhausted(cid: &Cid, mut attempts: Vec<StoreError>) -> StoreError {
    if attempts.len() == 1
        && let Some(only) = attempts.pop()
    {
        return only;
    }
    StoreError::Exhausted { cid: (*cid).into(), attempts }
}

#[derive(Debug)]
struct Gateway {
    // Shown through `place` only: the URL may hold a password.
    base: Redacted,
    client: Client,
    place: Place,
}

struct Redacted(Url);

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Gateway {
    fn new(base: Url, tls: &Tls) -> Result<Self, StoreError> {
        let base = without_ipfs(base);
        let place = Place::url("gateway", &base);
        let client = http::client(&base, &place, tls, Some(http::IDLE))?;
        Ok(Self { base: Redacted(base), client, place })
    }

    async fn archive(&self, cid: &Cid, walk: &mut Walk, out: Output<'_>) -> Result<u64, StoreError> {
        let answer = self.ask(cid, "format=car&dag-scope=all", CAR_ACCEPT).await?;
        let dups = announced(&answer);
        receive(CarReader::new(http::stream(answer)), walk, self, dups, out).await
    }

    async fn verified(&self, cid: &Cid) -> Result<Block, StoreError> {
        self.fetch(cid).await?.check(cid, &self.place)
    }

    async fn ask(&self, cid: &Cid, query: &str, accept: &str) -> Result<Response, StoreError> {
        let mut url = http::join(&self.base.0, &format!("ipfs/{cid}"));
        url.set_query(Some(query));
        let sent = self.client.get(url).header(header::ACCEPT, accept).send().await;
        let answer = sent.map_err(|e| self.unreachable(cid, http::plain(e)))?;
        let status = answer.status();
        match status {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(StoreError::Missing { cid: (*cid).into(), place: self.place.clone() })
            }
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(self.unreachable(cid, format!("status {status}")))
            }
            _ => Err(StoreError::BadAnswer {
                place: self.place.clone(),
                call: "GET /ipfs",
                detail: format!("status {status} for {cid}"),
            }),
        }
    }

    fn unreachable(&self, cid: &Cid, detail: String) -> StoreError {
        StoreError::Unreachable { place: self.place.clone(), what: cid.to_string(), detail }
    }
}

#[async_trait]
impl BlockSource for Gateway {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        let answer = self.ask(cid, "format=raw", RAW_TYPE).await?;
        http::body(answer, MAX_BLOCK).await.map(Block::from).map_err(|error| match error {
            BodyError::Broken(detail) => self.unreachable(cid, detail),
            BodyError::TooLong => {
                StoreError::Refused { cid: (*cid).into(), place: self.place.clone(), reason: Refusal::Oversize }
            }
        })
    }

    fn place(&self) -> Place {
        self.place.clone()
    }
}
