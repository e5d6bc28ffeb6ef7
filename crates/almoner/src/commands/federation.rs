//! `almoner federation`: what a researcher orders from a coordinator.

use std::path::{Path, PathBuf};

use almoner_chain::{FederationRecord, Ledger};
use almoner_model::initial_weights;
use almoner_proto::wire::researchers_client::ResearchersClient;
use almoner_proto::{CreateRequest, FundRequest, LaunchRequest, MAX_INITIAL, StopRequest, researchers_client, wire};
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::{B256, base_from_f32};
use almoner_store::Url;
use almoner_tls::Client as Tls;
use clap::{Args, Subcommand};
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::channel::{TlsOptions, dial, refused};
use super::depth::{Awaited, Confirmations, until};
use super::files::read_text;
use super::reach::Reached;
use super::source::{fetch_deployment, join, web};
use super::{claim, renew, status, watch};
use crate::failure::{Blame, Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Publish a federation file and open the federation on chain; prints its number.
    Create {
        /// The federation file, see docs/config/breast-cancer.toml.
        file: PathBuf,
        #[command(flatten)]
        depth: Confirmations,
        #[command(flatten)]
        at: At,
    },
    /// Put money into a federation's pot, from the coordinator's account, until it was given so much in all: asked
    /// again, it adds nothing.
    Fund {
        federation: u64,
        /// Base units of the federation's token, everything that was put in before included.
        amount: u128,
        #[command(flatten)]
        depth: Confirmations,
        #[command(flatten)]
        at: At,
    },
    /// Fix the seats of everybody who joined, and run the rounds that the federation's file plans. The seats are in
    /// blocks then; no round opens before they are deep enough for the coordinator.
    Launch {
        federation: u64,
        /// Run at least so many from the one in hand on, fewer or more than planned; without it what is left of those
        /// that the file plans.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rounds: Option<u32>,
        /// The federation file, if it should still be the one that the federation was created from.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        at: At,
    },
    /// Follow the rounds as they run, until no further one is planned: the coordinator's word, as deep in the chain as it
    /// waits for itself. A round that is `audited` has had its uploads examined, as every round has; the public audit is
    /// `almoner audit`.
    Watch {
        federation: u64,
        /// Where nothing is planned, wait for the next launch.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        at: At,
    },
    /// Show where a federation stands, by the chain alone. Its stage `audit` is the examination of uploads in a round; the
    /// public audit is `almoner audit`.
    Status(status::Options),
    /// Have an account paid what it is due, through the coordinator; show it before and after, from the chain.
    Claim(claim::Options),
    /// Finish the round in hand and open no further one. The coordinator notes it; nothing of it is on chain.
    Stop {
        federation: u64,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, Args)]
pub(super) struct At {
    /// The coordinator; if not named that of --identity, else http://127.0.0.1:8547.
    #[arg(long, value_name = "URL", value_parser = web)]
    coordinator: Option<Url>,
    #[command(flatten)]
    tls: TlsOptions,
    /// Print JSON documents on stdout, one a line, and nothing else.
    #[arg(long)]
    pub(super) json: bool,
}

impl At {
    /// The coordinator, where it is, and the certificates that it is asked with.
    pub(super) async fn client(&self) -> Result<(ResearchersClient<Channel>, Url, Tls), Failure> {
        let url = self.tls.trust().coordinator(self.coordinator.as_ref())?;
        let tls = self.tls.client().await?;
        let context = format!("--coordinator {}", url.as_str().trim_end_matches('/'));
        let channel = dial(&tls, url.as_str(), context).await?;
        if self.tls.is_identity() {
            renew::once(&tls, channel.clone()).await;
        }
        Ok((researchers_client(channel), url, tls))
    }

    /// Asks it for one thing.
    async fn ask<T>(
        &self,
        order: impl AsyncFnOnce(&mut ResearchersClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let (mut client, url, tls) = self.client().await?;
        order(&mut client).await.map(Response::into_inner).map_err(|status| refused(&tls, url.as_str(), status))
    }

    /// Until what an order asked for is as deep in the chain as it takes to be believed; `block_of` finds it.
    async fn wait(
        &self,
        depth: &Confirmations,
        federation: u64,
        what: &str,
        block_of: impl Fn(&FederationRecord) -> Option<u64>,
    ) -> Result<(), Failure> {
        let (url, tls) = (self.tls.trust().coordinator(self.coordinator.as_ref())?, self.tls.trust().client()?);
        let rpc = join(&url, "rpc").to_string();
        let ledger = Ledger::trusting(&rpc, fetch_deployment(&url, &tls).await?, &tls).blame(Kind::You, rpc.clone())?;
        until(&depth.of(&ledger), Awaited { what, json: self.json }, async |ledger| {
            let record = ledger.federation(federation).await.blame(Kind::Peer, rpc.clone())?;
            Ok(record.as_ref().and_then(&block_of))
        })
        .await
    }
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    match options.order {
        Order::Create { file, depth, at } => {
            let spec = read_text(&file)?;
            // Its mistakes are told here, by key, before anybody is asked.
            let parsed = FederationSpec::parse(&spec).blame(Kind::You, file.display().to_string())?;
            let initial = first_model(&parsed)?;
            let request = wire::CreateRequest::from(CreateRequest { spec, initial });
            let federation = at.ask(async |coordinator| coordinator.create(request).await).await?.federation;
            at.wait(&depth, federation, "the federation", |record| Some(record.block)).await?;
            say(at.json, federation, "created", format!("federation {federation} is open"));
        }
        Order::Fund { federation, amount, depth, at } => {
            let request = wire::FundRequest::from(FundRequest { federation, amount });
            at.ask(async |coordinator| coordinator.fund(request).await).await?;
            at.wait(&depth, federation, "the money", |record| given_in(record, amount)).await?;
            say(at.json, federation, "funded", format!("federation {federation} was given {amount} base units in all"));
        }
        Order::Launch { federation, rounds, file, at } => {
            if let Some(file) = &file {
                same_file(file, federation, &at).await?;
            }
            let request = wire::LaunchRequest::from(LaunchRequest { federation, rounds });
            at.ask(async |coordinator| coordinator.launch(request).await).await?;
            let which = rounds.map_or_else(|| "what is left of its planned".to_owned(), |rounds| rounds.to_string());
            say(at.json, federation, "launched", format!("federation {federation} runs {which} rounds"));
        }
        Order::Stop { federation, at } => {
            let request = wire::StopRequest::from(StopRequest { federation });
            at.ask(async |coordinator| coordinator.stop(request).await).await?;
            say(at.json, federation, "stopped", format!("federation {federation} opens no further round"));
        }
        Order::Watch { federation, wait, at } => watch::run(federation, wait, &at).await?,
        Order::Status(options) => status::run(options).await?,
        Order::Claim(options) => claim::run(options).await?,
    }
    Ok(())
}

/// The block in which a federation had been given so much in all by its coordinator.
fn given_in(record: &FederationRecord, amount: u128) -> Option<u64> {
    let mut missing = amount;
    let mut block = record.block;
    for funding in record.funded.iter().filter(|funding| funding.from == record.params.coordinator) {
        if missing == 0 {
            break;
        }
        missing = missing.saturating_sub(funding.amount);
        block = funding.block;
    }
    (missing == 0).then_some(block)
}

/// Where training starts. A network of several layers would stay at zero for ever: every gradient there is zero. One
/// layer starts at zero, and so does a model too long for the order, which only serves to be measured.
pub(super) fn first_model(spec: &FederationSpec) -> Result<Vec<i32>, Failure> {
    const MOST: u32 = (MAX_INITIAL / 4) as u32;
    let layers = spec.model.tensors().len() / 2;
    if layers < 2 || spec.model.parameters()? > MOST {
        return Ok(Vec::new());
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    Ok(base_from_f32(&initial_weights(&spec.model, seed)?, spec.rule.frac_bits)?)
}

pub(super) fn say(json: bool, federation: u64, done: &str, text: String) {
    if json {
        println!("{}", json!({ "schema": 1, "federation": federation, "done": done }));
    } else {
        println!("{text}");
    }
}

/// A federation cannot be changed under way: what its sites consented to stands on chain.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file}: its hash is {ours}, federation {federation} was created from {theirs}: a federation file cannot be changed \
     under way; another federation needs another coordinator"
)]
struct OtherFile {
    file: String,
    federation: u64,
    ours: B256,
    theirs: B256,
}

async fn same_file(file: &Path, federation: u64, at: &At) -> Result<(), Failure> {
    let name = file.display().to_string();
    let ours = FederationSpec::parse(&read_text(file)?).and_then(|spec| spec.hash()).blame(Kind::You, name.clone())?;
    let url = at.tls.trust().coordinator(at.coordinator.as_ref())?;
    let theirs = Reached::at(&at.tls.trust().client()?, &url, None, &[], federation, |ledger| {
        Confirmations::default().of(ledger)
    })
    .await?
    .record
    .params
    .specHash;
    if ours != theirs {
        return Err(Failure::new(Kind::You, OtherFile { file: name, federation, ours, theirs }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_layers_do_not_start_at_zero() {
        let first = |text| first_model(&FederationSpec::parse(text).unwrap()).unwrap();
        let deep = first(include_str!("../../../../docs/config/breast-cancer.toml"));
        assert!(deep.len() == 513 && deep.iter().filter(|weight| **weight == 0).count() < 10);
        assert!(first(include_str!("../../../../docs/config/heart.toml")).is_empty());
    }
}
