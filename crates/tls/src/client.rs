//! The dialling side: whom we trust, what we show, and that both are read again when their files change.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use alloy_primitives::B256;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tonic::transport::{Channel, Endpoint};

use crate::caller::{Facts, day};
use crate::line::Dial;
use crate::watched::Watched;
use crate::{CertificateRefused, Greet, Peer, TlsError, error, files, install_provider, is_loopback, renewed};

/// For a line to be made, whoever dials.
const CONNECT: Duration = Duration::from_secs(10);
/// How often the log hears of the same trouble.
const REPEAT: Duration = Duration::from_secs(600);

/// The files of whoever dials. All of them may be missing: then the system's authorities are trusted, and nothing is
/// shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFiles {
    /// The authorities that a coordinator's certificate must be from; no other is trusted then.
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    /// Of the certificate; readable by its owner only.
    pub key: Option<PathBuf>,
}

impl ClientFiles {
    /// Whether a certificate is named and not there yet: whoever enrols asks for one. Its key may be there.
    pub fn wants_certificate(&self) -> bool {
        self.key.is_some() && self.certificate.as_ref().is_some_and(|file| !file.exists())
    }

    /// A request for that certificate, by the key that is there, or by a new one, which is put there first. Whatever
    /// keeps this machine from keeping the certificate later is told now, when nothing was asked for yet.
    pub fn request(&self) -> Result<Option<String>, TlsError> {
        let (Some(file), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        if file.exists() { Ok(None) } else { renewed::prepare(file, key).map(Some) }
    }

    /// These without a certificate, for whoever has none yet.
    #[must_use]
    pub fn unnamed(&self) -> Self {
        Self { ca: self.ca.clone(), ..Self::default() }
    }

    /// Puts a certificate that was [requested](Self::request) beside its key.
    pub fn keep(&self, certificate: &str) -> Result<(), TlsError> {
        let Some(key) = &self.key else { return Ok(()) };
        renewed::put(self, None, certificate, &files::private_text(key)?)
    }
}

struct State {
    watched: Watched,
    config: Arc<ClientConfig>,
    /// What we show.
    shown: Option<Facts>,
}

struct Inner {
    files: ClientFiles,
    state: Mutex<State>,
    /// What last kept a line from being one. A refusal comes after the handshake, when a request is already on its way.
    trouble: Mutex<Option<Arc<TlsError>>>,
    /// What the log heard of it last, and when.
    told: Mutex<Option<(String, Instant)>>,
    /// HTTPS_PROXY and NO_PROXY, as they were when this was made.
    proxies: Matcher,
    /// Says hello on each line that is made from now on.
    greet: OnceLock<Greet>,
    /// Fingerprint of the certificate at the other end of the latest line.
    server: Mutex<Option<B256>>,
}

/// Dials with one set of files. Clones share everything.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("files", &self.0.files).finish_non_exhaustive()
    }
}

/// With the system's authorities, and nothing to show.
impl Default for Client {
    fn default() -> Self {
        // Without files there is nothing that could be wrong with one.
        Self::new(ClientFiles::default()).expect("no file is read")
    }
}

impl Client {
    /// Reads every file; what is wrong with one is told before anything is dialled.
    pub fn new(files: ClientFiles) -> Result<Self, TlsError> {
        Self::through(files, Matcher::from_env())
    }

    pub(crate) fn through(files: ClientFiles, proxies: Matcher) -> Result<Self, TlsError> {
        install_provider();
        let named = [&files.ca, &files.certificate, &files.key];
        let watched = Watched::new(named.into_iter().flatten().cloned().collect());
        let (config, shown) = configuration(&files)?;
        let state = Mutex::new(State { watched, config, shown });
        let (trouble, told, server) = (Mutex::new(None), Mutex::new(None), Mutex::new(None));
        Ok(Self(Arc::new(Inner { files, state, trouble, told, proxies, greet: OnceLock::new(), server })))
    }

    /// Has each line that is made from now on begin with a hello. The first greeting is the one that stays.
    pub fn introduce(&self, greet: Greet) {
        let _ = self.0.greet.set(greet);
    }

    pub(crate) fn greet(&self) -> Option<Greet> {
        self.0.greet.get().cloned()
    }

    /// Fingerprint of the certificate at the other end of the latest line; none before there was one.
    pub fn server(&self) -> Option<B256> {
        *self.0.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reached(&self, server: B256) {
        *self.0.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// A channel that connects when it is used, and again whenever it must.
    pub fn connect_lazy(&self, endpoint: &Endpoint) -> Result<Channel, TlsError> {
        match secure(endpoint)? {
            true => Ok(endpoint.connect_with_connector_lazy(Dial::new(self.clone()))),
            false => Ok(endpoint.connect_lazy()),
        }
    }

    /// A channel that is connected.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, ConnectError> {
        match secure(endpoint)? {
            true => {
                let connected = endpoint.connect_with_connector(Dial::new(self.clone())).await;
                connected.map_err(|error| self.trouble().map_or(ConnectError::Transport(error), ConnectError::Tls))
            }
            false => Ok(endpoint.connect().await?),
        }
    }

    /// For what is public and proves itself, or is read from one's own: artefacts, a chain's node. It trusts the
    /// system's authorities beside `ca`, and shows nothing. How long an answer may take is the caller's to say, and
    /// whether it may come compressed: most of what is read is random.
    pub fn http(&self, host: &str) -> reqwest::ClientBuilder {
        let mut roots = system();
        // It was read when this was made; a file that has gone since adds nothing.
        if let Some(own) = self.0.files.ca.as_deref().and_then(|ca| files::roots(ca).ok()) {
            roots.extend(own.roots);
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(config).connect_timeout(CONNECT).no_gzip();
        // HTTPS_PROXY and NO_PROXY hold for everything that leaves this machine.
        if is_loopback(host) { builder.no_proxy() } else { builder }
    }

    /// Whom our certificate names, if we show one.
    pub fn shown(&self) -> Option<Peer> {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.shown.as_ref().map(|facts| facts.peer.clone())
    }

    /// Takes what is wrong with the line to the server, if TLS is what is wrong: the request that failed says less.
    pub fn trouble(&self) -> Option<Arc<TlsError>> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes a refusal of our certificate, if that is what the latest line ended with.
    pub fn refusal(&self) -> Option<CertificateRefused> {
        let file = self.0.files.certificate.clone()?;
        let mut trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble
            .take_if(|error| matches!(**error, TlsError::Refused { .. }))
            .map(|error| CertificateRefused { file, error })
    }

    pub(crate) fn note(&self, error: Arc<TlsError>) {
        let text = error.to_string();
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref().is_none_or(|(last, at)| *last != text || at.elapsed() >= REPEAT) {
            tracing::warn!(%error, "no line");
            *told = Some((text, Instant::now()));
        }
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// What TLS says below an error of a line to `server`.
    pub fn explain(&self, error: &(dyn std::error::Error + 'static), server: &str) -> Option<TlsError> {
        error::rustls_error(error).map(|error| TlsError::of_line(error, server, &self.trusted()))
    }

    /// What a line to this address goes through.
    pub(crate) fn proxy(&self, to: &http::Uri) -> Option<Intercept> {
        let leaves = !to.host().is_some_and(is_loopback);
        self.0.proxies.intercept(to).filter(|_| leaves)
    }

    pub(crate) fn trusted(&self) -> String {
        self.0.files.ca.as_ref().map_or_else(|| "the system's".into(), |ca| ca.display().to_string())
    }

    /// What the next line is made with, and the fingerprint of what it shows. Files that cannot be used change nothing:
    /// the next look may find them whole.
    pub(crate) fn look(&self) -> (Arc<ClientConfig>, B256) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.watched.changed() {
            match configuration(&self.0.files) {
                Ok((config, shown)) => {
                    tracing::info!("our certificate was read again");
                    (state.config, state.shown) = (config, shown);
                }
                Err(error) => tracing::warn!(%error, "changed certificates are not used"),
            }
        }
        (state.config.clone(), state.shown.as_ref().map_or(B256::ZERO, |shown| shown.peer.fingerprint))
    }

    /// When our certificate expires, if it is in the last third of its life.
    pub fn expires(&self, now: SystemTime) -> Option<SystemTime> {
        self.look();
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.shown.as_ref().filter(|shown| shown.is_late(now)).map(|shown| shown.not_after)
    }

    /// Puts a renewed certificate and its key where the old ones are, once it is sure that they are fit to be used.
    pub fn renew(&self, certificate: &str, key: &str) -> Result<(), TlsError> {
        renewed::put(&self.0.files, self.shown().as_ref(), certificate, key)
    }
}

/// No channel.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Tls(Arc<TlsError>),
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Tls(Arc::new(error))
    }
}

/// Whether a line is to be made with TLS; refused where it would be in the clear and leave this machine.
fn secure(endpoint: &Endpoint) -> Result<bool, TlsError> {
    let uri = endpoint.uri();
    if uri.scheme_str() == Some("https") {
        return Ok(true);
    }
    if uri.host().is_some_and(is_loopback) {
        return Ok(false);
    }
    let remedy = "dial https:// and name the operator's ca.pem: ca = \"ca.pem\" or --ca";
    Err(TlsError::InTheClear { address: uri.to_string(), remedy })
}

fn configuration(files: &ClientFiles) -> Result<(Arc<ClientConfig>, Option<Facts>), TlsError> {
    renewed::settle(files)?;
    let roots = files.ca.as_deref().map_or_else(|| Ok(system()), files::roots)?;
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let (mut config, shown) = match (&files.certificate, &files.key) {
        (None, None) => (builder.with_no_client_auth(), None),
        (Some(given), None) | (None, Some(given)) => return Err(TlsError::Half { given: given.clone() }),
        (Some(certificate), Some(key)) => {
            let chain = files::certificates(certificate)?;
            let facts = chain
                .first()
                .and_then(|der| Facts::read(der))
                .ok_or_else(|| TlsError::NotPem { file: certificate.clone(), wanted: "a certificate" })?;
            if facts.not_after <= SystemTime::now() {
                return Err(TlsError::Expired { file: certificate.clone(), on: day(facts.not_after) });
            }
            let config = builder.with_client_auth_cert(chain, files::key(key)?);
            let other = |_| TlsError::OtherKey { certificate: certificate.clone(), key: key.clone() };
            (config.map_err(other)?, Some(facts))
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((Arc::new(config), shown))
}

/// The authorities that this system trusts; none on a system without a list.
fn system() -> RootCertStore {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    let found = SYSTEM.get_or_init(|| rustls_native_certs::load_native_certs().certs);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.iter().cloned());
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_this_machine_goes_through_the_proxy_but_for_whom_it_is_not_for() {
        let proxies = Matcher::builder().https("http://user:secret@proxy.hospital:3128").no("chain.hospital").build();
        let client = Client::through(ClientFiles::default(), proxies).unwrap();
        let through = |to: &str| client.proxy(&to.parse().unwrap()).map(|proxy| proxy.uri().to_string());
        assert_eq!(through("https://almoner.example:8547").as_deref(), Some("http://proxy.hospital:3128/"));
        for direct in ["https://chain.hospital:8545", "https://127.0.0.1:1", "https://[::1]:1", "https://localhost:1"] {
            assert_eq!(through(direct), None, "{direct}");
        }
    }
}
