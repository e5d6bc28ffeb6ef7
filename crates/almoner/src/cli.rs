//! The command line.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::commands::{
    RoleOptions, aggregator, audit, bench, completions, coordinator, demo, devnet, federation, identity, key, model,
    participant, serve,
};
use crate::failure::{Failure, Kind};

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
    /// Run the coordinator of a federation; copy its journal, or put a copy back.
    Coordinator(coordinator::Options),
    /// Run a worker on ciphertexts.
    Aggregator(RoleOptions),
    /// Run a site: it trains, serves on the committee, or validates, as its settings say. Set one up, check it, ask it.
    Participant(participant::Options),
    /// Run an embedded chain.
    Devnet(RoleOptions),
    /// Create, fund, launch, watch and stop a federation; claim what it owes.
    Federation(federation::Options),
    /// Take the trained model home, or judge it on rows of your own.
    Model(model::Options),
    /// Enrol as a researcher or an auditor by an operator's invitation; change the password, or replace a lost one.
    Identity(identity::Options),
    /// Make the key of an account.
    Key(key::Options),
    /// Print the completions of a shell.
    Completions(completions::Completions),
    /// Print or write the manual pages.
    Man(completions::Man),
    /// Measure what a round costs.
    Bench(bench::Options),
}

impl Command {
    fn is_daemon(&self) -> bool {
        match self {
            Self::Aggregator(_) | Self::Devnet(_) => true,
            Self::Coordinator(options) => options.is_daemon(),
            Self::Participant(options) => options.is_daemon(),
            _ => false,
        }
    }

    /// What is logged unless `ALMONER_LOG` says otherwise. Daemons say what they do.
    fn log(&self, told: Told) -> &'static str {
        match told {
            _ if self.is_daemon() => "info",
            Told::Text => "error",
            Told::Json => "off",
        }
    }
}

/// How a failure is told.
#[derive(Clone, Copy)]
enum Told {
    Text,
    /// One JSON document on stderr and nothing else.
    Json,
}

/// Parses, runs, and turns a failure into its exit code.
pub fn main() -> ExitCode {
    // First of all: who makes a secure connection later must find it.
    almoner_tls::install_provider();
    raise_file_limit();
    // Looked for before parsing: a command line that does not parse fails in the form that was asked for, too.
    let told = if std::env::args_os().any(|argument| argument == "--json") { Told::Json } else { Told::Text };
    let cli = match (Cli::try_parse(), told) {
        (Ok(cli), _) => cli,
        (Err(error), Told::Json) if error.use_stderr() => return report(&usage(&error), told),
        (Err(error), _) => error.exit(),
    };
    let log = cli.command.log(told);
    let filter = EnvFilter::try_from_env("ALMONER_LOG").unwrap_or_else(|_| EnvFilter::new(log));
    let logged = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A daemon's log is read by machines, unless somebody sits in front of it.
    if cli.command.is_daemon() && !std::io::stderr().is_terminal() {
        logged.json().flatten_event(true).init();
    } else {
        logged.with_ansi(std::io::stderr().is_terminal()).init();
    }
    // These wait, one thing after another, and compute where blocking is allowed: more threads only wake each other.
    let mut runtime = match &cli.command {
        Command::Participant(_) | Command::Aggregator(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into(), told),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Demo(options) => demo::run(options).await,
            Command::Audit(options) => audit::run(options).await,
            Command::Serve(options) => serve::run(options).await,
            Command::Coordinator(options) => coordinator::run(options).await,
            Command::Aggregator(options) => aggregator::run(options).await,
            Command::Participant(options) => participant::run(options).await,
            Command::Devnet(options) => devnet::run(options).await,
            Command::Federation(options) => federation::run(options).await,
            Command::Model(options) => model::run(options).await,
            Command::Identity(options) => identity::run(options).await,
            Command::Key(options) => key::run(&options),
            Command::Completions(options) => options.run(Cli::command()),
            Command::Man(options) => options.run(Cli::command()),
            Command::Bench(options) => bench::run(options).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure, told),
    }
}

/// What the parser says, without its own "error: " in front.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
    Failure::new(Kind::Usage, anyhow::anyhow!(text))
}

fn report(failure: &Failure, told: Told) -> ExitCode {
    match told {
        Told::Text => eprintln!("error: {failure}"),
        Told::Json => eprintln!("{}", failure.document()),
    }
    ExitCode::from(failure.kind.exit_code())
}

/// A connection is a file, and shells allow a process few of them; the system allows more to whoever asks.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Without more the doors let fewer callers in.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
