//! A line as a hospital has it: slow, losing packets now and then, cut for a while, or half-open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// What goes through in one segment of TCP.
const SEGMENT: usize = 1448;
const PART: usize = 1 << 14;
/// Parts on their way in one direction.
const IN_FLIGHT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Good,
    /// Connections end, and nobody can dial.
    Cut,
    /// Connections stay, new ones are taken, and nothing comes through. What was swallowed never comes: a connection
    /// that saw this stays so.
    Hole,
}

/// How fast a line is when it is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// In each direction.
    pub(crate) delay: Duration,
    /// Bytes a second towards the server.
    pub(crate) up: u64,
    /// One segment in so many is lost: it and what follows come `stall` later.
    pub(crate) lost_in: u32,
    pub(crate) stall: Duration,
}

impl Pace {
    /// 200 ms there and back, 10 Mbit/s up, 1 % loss. What was lost is there again after a round trip and as much
    /// again for noticing it.
    pub(crate) const HOSPITAL: Self =
        Self { delay: Duration::from_millis(100), up: 1_250_000, lost_in: 100, stall: Duration::from_millis(400) };
}

/// A door of its own to `server` for one caller; it closes when dropped.
pub(crate) struct Line {
    pub(crate) url: String,
    condition: watch::Sender<Condition>,
    dialled: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Line {
    /// As fast as this machine is without a pace.
    pub(crate) async fn to(url: &str, pace: Option<Pace>) -> Self {
        let server: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (condition, now) = watch::channel(Condition::Good);
        let (dials, dialled) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((caller, _)) = listener.accept().await {
                let number = *dials.borrow() + 1;
                connections.spawn(connection(caller, server, pace, now.clone(), number));
                dials.send_replace(number);
            }
        });
        Self { url, condition, dialled, _tasks: tasks }
    }

    pub(crate) fn becomes(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }

    /// Waits until its caller has dialled once more, in vain or not: it has noticed that it must.
    pub(crate) async fn dialled_again(&self) {
        let mut dialled = self.dialled.clone();
        let before = *dialled.borrow_and_update();
        dialled.wait_for(|dials| *dials > before).await.unwrap();
    }
}

async fn connection(
    caller: TcpStream,
    server: SocketAddr,
    pace: Option<Pace>,
    now: watch::Receiver<Condition>,
    number: u64,
) {
    let mut watched = now.clone();
    tokio::select! {
        () = carry(caller, server, pace, now, number) => {}
        _ = watched.wait_for(|condition| *condition == Condition::Cut) => {}
    }
}

async fn carry(
    caller: TcpStream,
    server: SocketAddr,
    pace: Option<Pace>,
    now: watch::Receiver<Condition>,
    number: u64,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    for end in [&caller, &server] {
        end.set_nodelay(true).unwrap();
    }
    let swallows = Arc::new(AtomicBool::new(false));
    let ((from_caller, to_caller), (from_server, to_server)) = (caller.into_split(), server.into_split());
    let way = |rate, seed| Way { pace, rate, now: now.clone(), swallows: swallows.clone(), dice: dice(number, seed) };
    // Whichever ends first ends the other with it.
    tokio::select! {
        () = way(pace.map(|pace| pace.up), 0).pass(from_caller, to_server) => {}
        () = way(None, 1).pass(from_server, to_caller) => {}
    }
}

fn dice(number: u64, way: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(2 * number + way)
}

/// One direction of one connection.
struct Way {
    pace: Option<Pace>,
    rate: Option<u64>,
    now: watch::Receiver<Condition>,
    swallows: Arc<AtomicBool>,
    dice: ChaCha20Rng,
}

impl Way {
    async fn pass(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let (sent, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
        let read = async {
            let mut part = vec![0; PART];
            while let Ok(read @ 1..) = from.read(&mut part).await {
                if *self.now.borrow() == Condition::Hole {
                    self.swallows.store(true, Ordering::SeqCst);
                }
                if self.swallows.load(Ordering::SeqCst) {
                    continue;
                }
                if let Some(rate) = self.rate {
                    sleep(Duration::from_secs_f64(read as f64 / rate as f64)).await;
                }
                let due = Instant::now() + self.delay(read);
                if sent.send((due, part[..read].to_vec())).await.is_err() {
                    return;
                }
            }
        };
        let write = async {
            while let Some((due, part)) = arriving.recv().await {
                sleep_until(due).await;
                if to.write_all(&part).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! { () = read => {}, () = write => {} }
    }

    fn delay(&mut self, bytes: usize) -> Duration {
        let Some(Pace { delay, lost_in, stall, .. }) = self.pace else { return Duration::ZERO };
        let lost = (0..bytes.div_ceil(SEGMENT)).any(|_| self.dice.next_u32().is_multiple_of(lost_in));
        if lost { delay + stall } else { delay }
    }
}
