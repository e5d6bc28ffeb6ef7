//! What the daemons share: their files, their signals, and the line that says they are up.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use almoner_chain::SigningKey;
use almoner_journal::JournalError;
use almoner_protocol::FileVersion;
use almoner_tls::TlsError;
use clap::Args;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::channel::failure;
use super::metrics::Watched;
use crate::failure::{Blame, Failure, Kind};

/// How a role is started.
#[derive(Debug, Args)]
pub(crate) struct RoleOptions {
    /// Its settings; samples are in docs/config.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Print JSON documents on stdout, one a line: once it is up, and what a site or an aggregator does.
    #[arg(long)]
    pub(super) json: bool,
}

/// Far above every file that people write.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A settings file, whole.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    if is_absent(path) {
        return Err(Failure::you(no_such_file(path)));
    }
    let context = path.display().to_string();
    let length = std::fs::metadata(path).blame(Kind::You, context.clone())?.len();
    if length > MAX_FILE_BYTES {
        return Err(Failure::you(format!("{context}: {length} bytes, no file of settings is so long")));
    }
    let text = std::fs::read_to_string(path).blame(Kind::You, context.clone())?;
    FileVersion::check(&text).blame(Kind::You, context)?;
    Ok(text)
}

/// Whether there is nothing by that name; what may not be looked at may be there.
pub(super) fn is_absent(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Whoever names a file from another folder has none there.
pub(super) fn no_such_file(path: &Path) -> String {
    format!("{}: there is no such file{}", path.display(), read_from(path))
}

/// Where a path that is not whole is read from.
fn read_from(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(folder) if path.is_relative() => format!(", and its path is read from here: {}", folder.display()),
        _ => String::new(),
    }
}

pub(super) fn load_key(path: &Path) -> Result<SigningKey, Failure> {
    load_key_named(path, "key =")
}

/// As [`load_key`]; `named` is what the file was named by.
pub(super) fn load_key_named(path: &Path, named: &str) -> Result<SigningKey, Failure> {
    if is_absent(path) {
        return Err(Failure::you(format!(
            "{named} {0:?}: there is no such file; make one: almoner key {0}",
            path.display()
        )));
    }
    SigningKey::load(path).map_err(|error| Failure::new(Kind::You, error))
}

/// What an error of a role's journal comes to. Whoever names the settings from another folder has the wrong one there.
pub(super) fn of_journal(state: &Path, error: JournalError) -> Failure {
    let missing = matches!(error, JournalError::Missing { .. });
    let failure = Failure::new(Kind::You, anyhow::Error::from(error).context(format!("state = {state:?}")));
    if !missing {
        return failure;
    }
    Failure::you(format!("{failure}; it is made at the first start{}", read_from(state)))
}

/// For what has no certificates of its own.
pub(super) const TUNNEL: &str = "bring others in through a tunnel of your own";

/// Whether what a listener sends and receives is encrypted, and what to do where it would have to be.
#[derive(Clone, Copy)]
pub(super) enum Transit {
    Secure,
    Clear { remedy: &'static str },
}

/// Listens where the file says; in the clear to this machine only.
pub(super) async fn listen(address: SocketAddr, transit: Transit) -> Result<TcpListener, Failure> {
    let context = format!("listen = {address}");
    if let Transit::Clear { remedy } = transit {
        only_loopback(address, &context, remedy)?;
    }
    bind(address).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => ": choose another port, or end what has this one",
            _ => "",
        };
        Failure::new(Kind::You, anyhow::Error::from(error).context(format!("{context}{remedy}")))
    })
}

/// Callers that the system holds until they are let in. Its usual 128 are too few for a thousand sites that come back at
/// one moment, or for anybody in a flood: whoever finds no place there waits a second.
const BACKLOG: u32 = 1024;

pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A role that was stopped is started again where it was.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

pub(super) fn only_loopback(address: SocketAddr, context: &str, remedy: &'static str) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(failure(&TlsError::InTheClear { address: context.to_owned(), remedy }))
}

/// Ends with an interrupt or a termination signal.
pub(super) fn until_told() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        if signalled().await.is_ok() {
            told.cancel();
        }
    });
    stop
}

#[cfg(unix)]
async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signalled() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// One line on stdout once others may come.
pub(super) fn say_up(role: &str, url: &str, watched: &Watched, json: bool) {
    let metrics = watched.at.map(|at| format!("http://{at}/metrics"));
    if json {
        println!("{}", json!({ "schema": 1, "role": role, "url": url, "metrics": metrics }));
        return;
    }
    println!("{role} at {url}");
    if let Some(metrics) = metrics {
        println!("metrics at {metrics}");
    }
}

#[cfg(test)]
mod tests {
    use almoner_journal::JournalReader;

    use super::*;

    #[test]
    fn a_journal_that_is_not_there_is_made_at_the_first_start_or_elsewhere() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("site.db");
        let failure = of_journal(&state, JournalReader::open(&state).unwrap_err());
        let says = "there is no such journal; it is made at the first start";
        assert!(failure.kind == Kind::You && failure.to_string().ends_with(says), "{failure}");
        let elsewhere = Path::new("no-such-folder/site.db");
        let failure = of_journal(elsewhere, JournalReader::open(elsewhere).unwrap_err());
        let here = std::env::current_dir().unwrap();
        let says = format!("the first start, and its path is read from here: {}", here.display());
        assert!(failure.to_string().ends_with(&says), "{failure}");
        std::fs::write(&state, "something else").unwrap();
        let failure = of_journal(&state, JournalReader::open(&state).unwrap_err());
        assert!(failure.to_string().ends_with("is not a journal"), "{failure}");
    }
}
