//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::commands::{audit, demo, serve};
use crate::failure::Failure;

/// Federated learning that pays: hospitals train one model together under encryption, a contract pays each by the
/// measured quality of what it contributed, and a stranger can recompute every payment.
#[derive(Debug, Parser)]
#[command(name = "almoner", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole federation on this machine, on real patients, from training to paid claims.
    Demo(demo::Options),
    /// Recompute a run from its chain and content store alone.
    Audit(audit::Options),
    /// Serve a finished run: /rpc, /ipfs and /deployment.json.
    Serve(serve::Options),
}

/// Parses, runs, and turns a failure into its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("ALMONER_LOG").unwrap_or_else(|_| EnvFilter::new("error")))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into()),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Demo(options) => demo::run(options).await,
            Command::Audit(options) => audit::run(options).await,
            Command::Serve(options) => serve::run(options).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("error: {failure}");
    ExitCode::from(failure.kind.exit_code())
}
