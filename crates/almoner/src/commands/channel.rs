//! Reaching a coordinator over TLS: the options that commands share, and what is said when it does not work.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use almoner_chain::SigningKey;
use almoner_proto::{Blame as ProtoBlame, Outage, endpoint};
use almoner_protocol::{Hello, encode_hello};
use almoner_store::Url;
use almoner_tls::{Binding, Client as Tls, ClientFiles, ConnectError, TlsError};
use clap::Args;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::files::load_key_named;
use super::identity;
use super::vault::{Holder, Patience, open_key};
use crate::failure::{Blame, Failure, Kind};

/// For what anybody may read at https://.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// The authority that the coordinator's certificate is from: the operator's ca.pem.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The folder that `almoner identity enrol` wrote: coordinator, authority, certificate and account.
    #[arg(long, value_name = "DIR", conflicts_with = "ca")]
    identity: Option<PathBuf>,
}

/// Where a coordinator is unless somebody says otherwise.
const HERE: &str = "http://127.0.0.1:8547";

impl Trust {
    pub(super) fn client(&self) -> Result<Tls, Failure> {
        match self.holder()? {
            Some(holder) => client(holder.tls.unnamed()),
            None => client(ClientFiles { ca: self.ca.clone(), ..ClientFiles::default() }),
        }
    }

    fn holder(&self) -> Result<Option<Holder>, Failure> {
        self.identity.as_deref().map(identity::holder).transpose()
    }

    /// The coordinator that is named, else the identity's, else one on this machine.
    pub(super) fn coordinator(&self, named: Option<&Url>) -> Result<Url, Failure> {
        match named {
            Some(url) => Ok(url.clone()),
            None => self.own_coordinator()?.map_or_else(|| HERE.parse().blame(Kind::Us, "the usual coordinator"), Ok),
        }
    }

    /// The identity's coordinator.
    pub(super) fn own_coordinator(&self) -> Result<Option<Url>, Failure> {
        let own = self.holder()?.map(|holder| holder.coordinator.parse());
        own.transpose().blame(Kind::Us, "the identity's coordinator")
    }
}

/// For what is asked of a coordinator at https://.
#[derive(Debug, Args)]
pub(crate) struct TlsOptions {
    #[command(flatten)]
    trust: Trust,
    /// Your certificate, from the operator.
    #[arg(long, value_name = "FILE", requires = "certificate_key", conflicts_with = "identity")]
    certificate: Option<PathBuf>,
    /// Its key, readable by its owner only.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_key: Option<PathBuf>,
    /// Key file of your account: a certificate alone opens nothing.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    account_key: Option<PathBuf>,
}

impl TlsOptions {
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whether the certificate is in a folder that was made for it, and so ours to renew.
    pub(super) fn is_identity(&self) -> bool {
        self.trust.identity.is_some()
    }

    /// Opens the identity's vault if a certificate is to be shown: it shows nothing without its account's key.
    pub(super) async fn client(&self) -> Result<Tls, Failure> {
        if let Some(holder) = self.trust.holder()? {
            let tls = client(holder.tls.clone())?;
            if tls.shown().is_some() {
                introduce(&tls, open_key(&holder, Patience::None).await?.key);
            }
            return Ok(tls);
        }
        let Self { trust, certificate, certificate_key, account_key } = self;
        let files =
            ClientFiles { ca: trust.ca.clone(), certificate: certificate.clone(), key: certificate_key.clone() };
        let tls = client(files)?;
        if let Some(file) = account_key {
            introduce(&tls, load_key_named(file, "--account-key")?);
        }
        Ok(tls)
    }
}

/// Has every line say hello with this key first.
pub(super) fn introduce(tls: &Tls, key: SigningKey) {
    tls.introduce(Arc::new(move |channel: &Binding| {
        let account = key.address();
        let Binding { client, server, exporter } = *channel;
        let signature = key.sign_hash(Hello { account, client, server, channel: exporter }.hash()).ok()?;
        Some(encode_hello(account, &signature))
    }));
}

pub(super) fn client(files: ClientFiles) -> Result<Tls, Failure> {
    Tls::new(files).map_err(|error| failure(&error))
}

/// Whose doing it is, as the error says it.
pub(super) fn failure(error: &TlsError) -> Failure {
    let kind = if error.is_peers() { Kind::Peer } else { Kind::You };
    Failure::new(kind, anyhow::anyhow!("{error}"))
}

fn at(url: &str, context: String) -> Result<Endpoint, Failure> {
    Ok(endpoint(Endpoint::from_shared(url.to_owned()).blame(Kind::You, context)?))
}

/// A channel that is connected.
pub(super) async fn dial(tls: &Tls, url: &str, context: String) -> Result<Channel, Failure> {
    match tls.connect(&at(url, context.clone())?).await {
        Ok(channel) => Ok(channel),
        Err(ConnectError::Tls(error)) => Err(failure(&error)),
        Err(ConnectError::Transport(error)) => {
            Err(error).blame(Kind::Peer, format!("{context}: is a coordinator running there?"))
        }
    }
}

/// A channel that connects when it is used.
pub(super) fn dial_lazily(tls: &Tls, url: &str) -> Result<Channel, Failure> {
    dial_named(tls, url, "coordinator")
}

/// As [`dial_lazily`]; `key` is what names the address in the settings.
pub(super) fn dial_named(tls: &Tls, url: &str, key: &str) -> Result<Channel, Failure> {
    tls.connect_lazy(&at(url, format!("{key} = {url:?}"))?).map_err(|error| failure(&error))
}

/// How long to wait for whoever did not answer; the log hears of it now and then.
pub(super) fn patience(away: &mut Outage, waiting_for: &'static str, error: &dyn Display) -> Duration {
    // Chance spreads those that lost one coordinator; without any they come back together.
    let pause = away.failed(Instant::now(), getrandom::u64().unwrap_or_default());
    if let Some(since) = pause.say {
        tracing::warn!(waiting_for, seconds = since.as_secs(), %error, "no answer: waiting");
    }
    pause.wait
}

/// What the coordinator at `url` said instead of an answer.
pub(super) fn refused(tls: &Tls, url: &str, status: Status) -> Failure {
    // It does not take our certificate: the request it closed the line on says less.
    if let Some(error) = tls.trouble() {
        return failure(&error);
    }
    let kind = match almoner_proto::kind_of(&status).blame() {
        ProtoBlame::You => Kind::You,
        ProtoBlame::Peer | ProtoBlame::Us => Kind::Peer,
    };
    // Made by the transport, in the clear: what answers there may be waiting for a handshake.
    let plain = std::error::Error::source(&status).is_some() && url.starts_with("http://");
    let hint = if plain { "; where it has certificates, dial https://" } else { "" };
    Failure::new(kind, anyhow::anyhow!("the coordinator: {}{hint}", status.message()))
}
