//! The listening side: accepts connections, holds callers to the authority, and reads its files again when they change.
//!
//! 1. A handshake has ten seconds, and so many run at once; one more ends the oldest. A flood of half-open connections
//!    ends its own, an honest caller is through in a few round trips.
//! 2. A certificate that is shown must be from an authority of `clients_ca`, valid, and not on the list of revocations.
//!    Whoever shows none comes in as nobody: what nobody may ask is decided once, where requests are dispatched.
//!    Behind the door they have places in a [`Lobby`], which is not endless; whoever shows one does not need any.
//! 3. Connections live for hours, so each is cut as soon as its certificate expires or is revoked, and none is resumed.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use crate::caller::{Facts, day};
use crate::conn::{AGAIN, Conn, Standing, linger};
use crate::lobby::Lobby;
use crate::watched::Watched;
use crate::{TlsError, files, install_provider, revoked};

/// For a whole handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// At once; each takes some tens of KiB.
const HANDSHAKES: usize = 256;
/// Connections that are through and wait to be served.
const WAITING: usize = 16;
/// How often the files are looked at when nobody calls.
const LOOK: Duration = Duration::from_secs(1);
/// How often an operator is told of a certificate that is about to expire.
const REMIND: Duration = Duration::from_secs(24 * 3600);

/// What a server shows and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities of callers; without it nobody is asked for a certificate.
    pub clients_ca: Option<PathBuf>,
    /// Revocations of those authorities.
    pub revoked: Option<PathBuf>,
}

/// What follows from the files.
struct Rules {
    config: Arc<ServerConfig>,
    revoked: HashSet<(Vec<u8>, Vec<u8>)>,
    certificate: Facts,
}

struct State {
    watched: Watched,
    rules: Rules,
    reminded: Option<SystemTime>,
}

pub struct Door {
    files: ServerFiles,
    state: Mutex<State>,
    /// Counts changes of the rules; a connection that saw another number looks again whether it may go on.
    changes: AtomicU64,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Door {
    /// Reads every file; what is wrong with one is told before anybody calls.
    pub fn open(files: ServerFiles) -> Result<Arc<Self>, TlsError> {
        install_provider();
        let named = [Some(&files.certificate), Some(&files.key), files.clients_ca.as_ref(), files.revoked.as_ref()];
        // Looked at before it is read: a change in between is seen as one.
        let watched = Watched::new(named.into_iter().flatten().cloned().collect());
        let state = State { watched, rules: rules(&files)?, reminded: None };
        Ok(Arc::new(Self { files, state: Mutex::new(state), changes: AtomicU64::new(0) }))
    }

    /// Whether callers are asked for certificates.
    pub fn asks(&self) -> bool {
        self.files.clients_ca.is_some()
    }

    /// The connections that are through, as long as the stream lives.
    pub fn accept(self: &Arc<Self>, listener: TcpListener) -> ReceiverStream<io::Result<Conn>> {
        let (through, waiting) = mpsc::channel(WAITING);
        tokio::spawn(admit(self.clone(), listener, through));
        ReceiverStream::new(waiting)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing is left half done under this lock: rules are replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again if they changed; what a handshake is held against then, and how many changes went before.
    /// What cannot be read changes nothing, and the log says so: the next look may find it whole.
    fn look(&self) -> (Arc<ServerConfig>, u64) {
        let mut state = self.locked();
        if state.watched.changed() {
            match rules(&self.files) {
                Ok(rules) => {
                    tracing::info!(revoked = rules.revoked.len(), "certificates and revocations were read again");
                    state.rules = rules;
                    state.reminded = None;
                    self.changes.fetch_add(1, Ordering::Release);
                }
                Err(error) => tracing::warn!(%error, "changed files of [tls] are not used"),
            }
        }
        let now = SystemTime::now();
        let due = state.reminded.is_none_or(|at| now.duration_since(at).is_ok_and(|past| past >= REMIND));
        if due && state.rules.certificate.is_late(now) {
            let file = self.files.certificate.display();
            tracing::warn!(%file, expires = day(state.rules.certificate.not_after), "our certificate expires soon");
            state.reminded = Some(now);
        }
        // Under one lock: a handshake on older rules must not count as one on these.
        (state.rules.config.clone(), self.changes())
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn is_revoked(&self, number: &(Vec<u8>, Vec<u8>)) -> bool {
        self.locked().rules.revoked.contains(number)
    }
}

fn rules(files: &ServerFiles) -> Result<Rules, TlsError> {
    let chain = files::certificates(&files.certificate)?;
    let unusable =
        |file: &PathBuf, error: &dyn fmt::Display| TlsError::Unusable { file: file.clone(), detail: error.to_string() };
    let certificate = chain.first().and_then(|der| Facts::read(der));
    let certificate = certificate.ok_or_else(|| unusable(&files.certificate, &"not a certificate that can be read"))?;
    if certificate.not_after <= SystemTime::now() {
        let (file, on) = (files.certificate.clone(), day(certificate.not_after));
        return Err(TlsError::Expired { file, on });
    }
    let lists = revocations(files)?;
    let revoked = lists.iter().flat_map(revoked::numbers).collect();
    let builder = ServerConfig::builder();
    let builder = match &files.clients_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(files::roots(ca)?))
                .with_crls(lists)
                .only_check_end_entity_revocation()
                // Of an authority that has no list here nothing can have been revoked here.
                .allow_unknown_revocation_status()
                .allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(ca, &error))?)
        }
    };
    let built = builder.with_single_cert(chain, files::key(&files.key)?);
    let mut config =
        built.map_err(|_| TlsError::OtherKey { certificate: files.certificate.clone(), key: files.key.clone() })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session is not held against revocations.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Rules { config: Arc::new(config), revoked, certificate })
}

/// The lists of `revoked`, each from an authority of `clients_ca`: another's would take nothing back, and say nothing.
fn revocations(files: &ServerFiles) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let Some(file) = &files.revoked else { return Ok(Vec::new()) };
    let Some(ca) = &files.clients_ca else {
        let detail = "revoked needs clients_ca beside it: nobody is asked for a certificate without".into();
        return Err(TlsError::Unusable { file: file.clone(), detail });
    };
    let (lists, authorities) = (files::revocations(file)?, files::certificates(ca)?);
    match lists.iter().all(|list| revoked::is_from(list, &authorities)) {
        true => Ok(lists),
        false => Err(TlsError::OtherRevocations { file: file.clone() }),
    }
}

async fn admit(door: Arc<Door>, listener: TcpListener, through: mpsc::Sender<io::Result<Conn>>) {
    let mut handshakes = JoinSet::new();
    let (mut oldest, lobby) = (VecDeque::new(), Lobby::new());
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Nobody serves any more.
            () = through.closed() => return,
            Some(_) = handshakes.join_next() => {}
            _ = look.tick() => { door.look(); }
            accepted = listener.accept() => match accepted {
                Ok((line, from)) => {
                    oldest.retain(|handshake: &tokio::task::AbortHandle| !handshake.is_finished());
                    if oldest.len() >= HANDSHAKES && let Some(first) = oldest.pop_front() {
                        first.abort();
                    }
                    let (door, lobby, through, rules) = (door.clone(), lobby.clone(), through.clone(), door.look());
                    oldest.push_back(handshakes.spawn(async move {
                        match timeout(HANDSHAKE, handshake(door, lobby, rules, line)).await {
                            // Whoever serves waits for it or is gone.
                            Ok(Ok(conn)) => { let _ = through.send(Ok(conn)).await; }
                            Ok(Err(error)) => tracing::debug!(%from, %error, "no handshake"),
                            Err(_) => tracing::debug!(%from, "the handshake took too long"),
                        }
                    }));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    lobby.make_room();
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

async fn handshake(
    door: Arc<Door>,
    lobby: Arc<Lobby>,
    rules: (Arc<ServerConfig>, u64),
    line: TcpStream,
) -> io::Result<Conn> {
    let (config, changes) = rules;
    line.set_nodelay(true)?;
    match TlsAcceptor::from(config).accept(line).into_fallible().await {
        Ok(stream) => {
            let (_, session) = stream.get_ref();
            let shown = session.peer_certificates().and_then(|chain| chain.first());
            let facts = shown.map(|der| Facts::read(der).ok_or(io::ErrorKind::InvalidData)).transpose()?;
            Ok(match facts {
                Some(facts) => Conn::known(stream, Standing::new(door, facts, changes)),
                None => Conn::unknown(stream, lobby.enter()),
            })
        }
        Err((error, line)) => {
            linger(line).await;
            Err(error)
        }
    }
}
