//! The listening side: accepts connections, holds callers to the authority, and reads its files again when they change.
//!
//! 1. A handshake has ten seconds, and so many run at once; one more ends the oldest. A flood of half-open connections
//!    ends its own, an honest caller is through in a few round trips.
//! 2. A certificate that is shown must be from an authority of `clients_ca`, valid, and not on the list of revocations.
//!    Whoever shows none comes in as nobody: what nobody may ask is decided once, where requests are dispatched. One from
//!    an authority of `sites_ca` lets its holder in too, and names nobody, whatever stands in it: a hospital's authority
//!    cannot make operators. Behind the door those who showed none have places in a [`Lobby`], which is not endless;
//!    whoever shows one has some of its own, in a [`Crowd`].
//! 3. Whoever says hello says it at once, and for this channel; else the door hangs up.
//! 4. Connections live for hours, so each is cut as soon as its certificate expires or is revoked, and none is resumed.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use alloy_primitives::{Address, B256};
use rustls::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::caller::{Facts, day};
use crate::conn::{AGAIN, Conn, Standing, linger};
use crate::crowd::Crowd;
use crate::lobby::Lobby;
use crate::rules::{Believed, Rules, rules};
use crate::watched::Watched;
use crate::{Binding, Caller, GREETING, Hear, ServerFiles, TlsError, greeting, install_provider};

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

/// What one handshake is held against.
struct Terms {
    config: Arc<ServerConfig>,
    /// Fingerprint of our own certificate.
    own: B256,
    believed: Believed,
    /// How many changes of the files went before.
    changes: u64,
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
        let others = [&files.clients_ca, &files.sites_ca, &files.revoked].map(Option::as_ref);
        let named = [&[Some(&files.certificate), Some(&files.key)], &others[..]].concat();
        // Looked at before it is read: a change in between is seen as one.
        let watched = Watched::new(named.into_iter().flatten().cloned().collect());
        let state = State { watched, rules: rules(&files)?, reminded: None };
        Ok(Arc::new(Self { files, state: Mutex::new(state), changes: AtomicU64::new(0) }))
    }

    /// Whether callers are asked for certificates.
    pub fn asks(&self) -> bool {
        self.files.clients_ca.is_some() || self.files.sites_ca.is_some()
    }

    /// The connections that are through, as long as the stream lives. Whoever says hello is heard by `hear`.
    pub fn accept(self: &Arc<Self>, listener: TcpListener, hear: Hear) -> ReceiverStream<io::Result<Conn>> {
        let (through, waiting) = mpsc::channel(WAITING);
        tokio::spawn(admit(self.clone(), listener, hear, through));
        ReceiverStream::new(waiting)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing is left half done under this lock: rules are replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again if they changed; what a handshake is held against then. What cannot be read changes nothing,
    /// and the log says so: the next look may find it whole.
    fn look(&self) -> Terms {
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
        let Rules { config, certificate, believed, .. } = &state.rules;
        let (config, own, believed) = (config.clone(), certificate.peer.fingerprint, believed.clone());
        Terms { config, own, believed, changes: self.changes() }
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn is_revoked(&self, number: &(Vec<u8>, Vec<u8>)) -> bool {
        self.locked().rules.revoked.contains(number)
    }
}

/// Where those who are through stay.
#[derive(Clone)]
struct Room {
    lobby: Arc<Lobby>,
    crowd: Arc<Crowd>,
}

async fn admit(door: Arc<Door>, listener: TcpListener, hear: Hear, through: mpsc::Sender<io::Result<Conn>>) {
    let mut handshakes = JoinSet::new();
    let (mut oldest, room) = (VecDeque::new(), Room { lobby: Lobby::new(), crowd: Crowd::new() });
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
                    let (door, room, through, terms) = (door.clone(), room.clone(), through.clone(), door.look());
                    oldest.push_back(handshakes.spawn(async move {
                        match timeout(HANDSHAKE, handshake(door, room, terms, hear, line)).await {
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
                    room.lobby.make_room();
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

async fn handshake(door: Arc<Door>, room: Room, terms: Terms, hear: Hear, line: TcpStream) -> io::Result<Conn> {
    let Terms { config, own, believed, changes } = terms;
    line.set_nodelay(true)?;
    let mut stream = match TlsAcceptor::from(config).accept(line).into_fallible().await {
        Ok(stream) => stream,
        Err((error, line)) => {
            linger(line).await;
            return Err(error);
        }
    };
    let account = heard(&mut stream, own, hear).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let facts = chain.first().map(|der| Facts::read(der).ok_or(io::ErrorKind::InvalidData)).transpose()?;
    let facts = facts.map(|mut facts| {
        facts.peer.named = facts.peer.named.filter(|_| believed.holds(chain));
        facts
    });
    let peer = facts.as_ref().map(|facts| facts.peer.clone());
    let caller = Caller { server: Some(own), ..Caller::known(peer, account) };
    Ok(match facts {
        Some(facts) => {
            let full = || io::Error::new(io::ErrorKind::QuotaExceeded, "too many connections of this caller");
            let place = room.crowd.enter(&facts.peer).ok_or_else(full)?;
            Conn::known(stream, caller, Standing::new(door, facts, changes, place))
        }
        None => Conn::unknown(stream, caller, room.lobby.enter()),
    })
}

/// Whose hello comes first, where the caller has said that one does.
async fn heard(stream: &mut TlsStream<TcpStream>, own: B256, hear: Hear) -> io::Result<Option<Address>> {
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(greeting::ALPN) {
        return Ok(None);
    }
    let refused = |why: &str| io::Error::new(io::ErrorKind::PermissionDenied, why);
    let exporter = greeting::exporter(session).ok_or_else(|| refused("a hello needs TLS 1.3"))?;
    let client = greeting::fingerprint_of(session.peer_certificates());
    let binding = Binding { client, server: own, exporter };
    let mut said = [0; GREETING];
    stream.read_exact(&mut said).await?;
    hear(&binding, &said).map(Some).ok_or_else(|| refused("a hello that is nobody's, or another channel's"))
}
