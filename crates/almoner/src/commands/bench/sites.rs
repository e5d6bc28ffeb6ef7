//! Many sites on one coordinator: each with a connection for messages and one for the chain, following what happens,
//! as a site does that has no seat in the round. They share this process; nothing else of them is left out, and over
//! mutual TLS each has an account and a certificate of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use almoner_chain::{Deployment, Ledger};
use almoner_proto::{RoundNotice, WatchRequest, sites_client, wire};
use almoner_store::Url;
use almoner_tls::{Client as Tls, Role};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use super::SitesOptions;
use super::papers::Papers;
use super::rounds::{self, Federation, Plan};
use crate::commands::channel::dial_lazily;
use crate::commands::source::{fetch_deployment, join};
use crate::failure::Failure;

/// After a site lost its line.
const AGAIN: Duration = Duration::from_secs(1);
const HIDDEN: u32 = 312;

/// Idle sites. They end with this value.
struct Crowd {
    _sites: JoinSet<()>,
    heard: watch::Receiver<u64>,
    /// What that took.
    connecting: Duration,
}

impl Crowd {
    /// Comes back once every site has its notices and has read the chain.
    async fn gather(url: &str, sites: u32, papers: &Papers) -> Result<Self, Failure> {
        let base: Url = url.parse()?;
        let (url, rpc) = (url.to_owned(), join(&base, "rpc").to_string());
        let mut all = Vec::new();
        for number in 0..sites {
            all.push(papers.client(&format!("idle-{number}"), Role::Site)?);
        }
        // What a site has before it starts is not a part of connecting.
        let started = Instant::now();
        let (hear, heard) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let Some(first) = all.first() else { return Ok(Self { _sites: tasks, heard, connecting: Duration::ZERO }) };
        let deployment = fetch_deployment(&base, first).await?;
        for tls in all {
            let site = Site { url: url.clone(), rpc: rpc.clone(), deployment: deployment.clone(), tls };
            tasks.spawn(site.live(hear.clone()));
        }
        let mut crowd = Self { _sites: tasks, heard, connecting: Duration::ZERO };
        crowd.heard.wait_for(|heard| *heard >= u64::from(sites)).await?;
        crowd.connecting = started.elapsed();
        Ok(crowd)
    }
}

#[derive(Clone)]
struct Site {
    url: String,
    rpc: String,
    deployment: Deployment,
    tls: Tls,
}

impl Site {
    async fn live(self, hear: watch::Sender<u64>) {
        loop {
            if let Err(failure) = self.follow(&hear).await {
                tracing::warn!(%failure, "a site of the crowd lost its line");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What an agent does that has nothing to do: at every notice it reads what is new on the chain.
    async fn follow(&self, hear: &watch::Sender<u64>) -> Result<(), Failure> {
        let channel = dial_lazily(&self.tls, &self.url)?;
        let mut client = sites_client(channel, almoner_protocol::MAX_PARAMETERS);
        let ledger = Ledger::trusting(&self.rpc, self.deployment.clone(), &self.tls)?;
        let mut notices = client.watch(wire::WatchRequest::from(WatchRequest { federation: 1 })).await?.into_inner();
        while let Some(notice) = notices.next().await {
            let RoundNotice { block, .. } = notice?.try_into()?;
            let ledger = ledger.until(Some(block).filter(|block| *block > 0));
            ledger.federation(1).await?;
            ledger.rounds(1).await?;
            hear.send_modify(|heard| *heard += 1);
        }
        Ok(())
    }
}

pub(super) async fn measure(options: &SitesOptions, dir: &Path) -> Result<(), Failure> {
    let Some(idle) = options.sites.checked_sub(options.in_round.into()) else {
        return Err(Failure::you(format!("--in-round {}: more than --sites {}", options.in_round, options.sites)));
    };
    let plan = Plan { hidden: HIDDEN, sites: options.in_round, rounds: options.rounds };
    let papers = if options.tls { Papers::made(dir)? } else { Papers::none(dir) };
    let mut federation = Federation::start(&plan, dir, &papers).await?;
    let crowd = Crowd::gather(&federation.url, idle, &papers).await?;
    let connecting = crowd.connecting.as_secs_f64();
    let notices = federation.launch(&plan).await?;
    let timed = rounds::timed(notices, &plan).await?;
    let (files, peaks) = (federation.open_files()?, federation.peaks()?);
    let seconds = rounds::without_training(&timed, &federation.trainings());
    let heard = *crowd.heard.borrow();
    let SitesOptions { sites, in_round, rounds, tls, json } = options;
    if *json {
        let document = json!({
            "schema": 1, "sites": sites, "in_round": in_round, "rounds": rounds, "tls": tls, "params": 32 * HIDDEN + 1,
            "connect_seconds": connecting, "seconds": seconds, "notices": heard, "open_files": files,
            "peak_bytes": { "coordinator": peaks.coordinator, "chain": peaks.chain },
        });
        println!("{document}");
        return Ok(());
    }
    let over = if *tls { "over mutual TLS" } else { "in the clear" };
    let params = 32 * HIDDEN + 1;
    println!("{sites} sites on one coordinator, {over}, {in_round} of them in the round; {params} parameters");
    println!("  {connecting:.1} s until all have their notices and have read the chain");
    println!("  {seconds:.2} s a round, {heard} notices followed");
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "  coordinator: {files} open files, {} MiB at its peak; chain {} MiB",
        mib(peaks.coordinator),
        mib(peaks.chain)
    );
    Ok(())
}
