//! `almoner bench`: what a round costs, measured on the processes that hospitals run; what a login costs.
//!
//! For rounds, chain, coordinator, aggregator, a validator and every site are processes of this very executable, with the
//! journal, the store and the chain on disk as in production. What the same bytes cost a bare machine is measured beside them.

mod disk;
mod floors;
mod house;
mod login;
mod papers;
mod payload;
mod report;
mod rounds;
mod sites;
mod tls;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::failure::{Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Seconds, bytes and memory of a round, all roles as processes, beside the floors of this machine.
    Rounds(RoundsOptions),
    /// Many sites that are connected to one coordinator and follow it, while some of them are in a round.
    Sites(SitesOptions),
    /// What a login costs the coordinator: milliseconds, counted attempts and all.
    Login(login::Options),
    /// Megabytes a second of an upload over mutual TLS, beside the same in the clear and raw TCP.
    Tls(TlsOptions),
}

#[derive(Debug, Args)]
struct RoundsOptions {
    /// Sizes of the model, in parameters; the nearest 30-h-1 perceptron is used.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000,10000000")]
    params: Vec<u32>,
    /// Sites that train; one more process validates.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(3..=200))]
    sites: u16,
    /// Rounds that count; one more is run first and dropped.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Where the processes keep their files, left there afterwards; without it a temporary folder. Never one in memory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SitesOptions {
    /// All of them.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(3..=4000))]
    sites: u32,
    /// Those that train, encrypt and answer, each a process; the others are simulated in this one.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=200))]
    in_round: u16,
    /// Rounds that count; one more is run first and dropped.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Over mutual TLS: every site has a key and a certificate of its own, of an authority made for it.
    #[arg(long)]
    tls: bool,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TlsOptions {
    /// How much is uploaded, in MiB.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=384))]
    mib: u32,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    match options.what {
        What::Rounds(options) => measure_rounds(options).await,
        What::Sites(options) => {
            let home = tempfile::Builder::new().prefix("almoner-bench-").tempdir()?;
            sites::measure(&options, &home.path().join("sites")).await
        }
        What::Login(options) => login::run(&options),
        What::Tls(options) => tls::run(&options).await,
    }
}

async fn measure_rounds(options: RoundsOptions) -> Result<(), Failure> {
    let home = tempfile::Builder::new().prefix("almoner-bench-").tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| home.path().to_owned());
    disk::refuse_memory(&dir)?;
    std::fs::create_dir_all(&dir).map_err(|error| Failure::new(Kind::You, error))?;
    let mut rows = Vec::new();
    for &params in &options.params {
        if params < 32 {
            return Err(Failure::you(format!("--params {params}: the smallest perceptron has 33 parameters")));
        }
        let plan = rounds::Plan { hidden: params / 32, sites: options.sites, rounds: options.rounds };
        let row = rounds::measure(&plan, &dir.join(params.to_string())).await?;
        if !options.json {
            report::text(&row);
        }
        rows.push(row);
    }
    if options.json {
        println!("{}", report::document(&rows));
    }
    Ok(())
}
