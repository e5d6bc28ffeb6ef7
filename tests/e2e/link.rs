//! A TCP connection in between that is cut where a script says: what a hospital's line does.

use std::net::SocketAddr;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Bytes of one direction of one connection, after which both directions end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Up(u64),
    Down(u64),
}

/// What happens to one caller's connections: the first ones are cut, the later ones are not.
#[derive(Clone, Debug)]
pub(crate) struct Script(Vec<Cut>);

impl Script {
    /// The same number gives the same script. From within the first frames to within the second upload.
    pub(crate) fn of(seed: u64) -> Self {
        const LARGEST_POWER: u32 = 17;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let cuts = (0..rng.next_u32() % 6).map(|_| {
            let power = 5 + rng.next_u32() % (LARGEST_POWER - 5);
            let after = (1u64 << power) + u64::from(rng.next_u32() % (1 << power));
            if rng.next_u32().is_multiple_of(2) { Cut::Up(after) } else { Cut::Down(after) }
        });
        Self(cuts.collect())
    }
}

/// A door of its own to `server` for one caller; it closes when dropped.
pub(crate) struct Link {
    pub(crate) url: String,
    _tasks: JoinSet<()>,
}

impl Link {
    pub(crate) async fn open(server: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut cuts = script.0.into_iter();
            let mut connections = JoinSet::new();
            while let Ok((caller, _)) = listener.accept().await {
                connections.spawn(carry(caller, server, cuts.next()));
            }
        });
        Self { url, _tasks: tasks }
    }
}

async fn carry(caller: TcpStream, server: SocketAddr, cut: Option<Cut>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (up, down) = match cut {
        Some(Cut::Up(bytes)) => (bytes, u64::MAX),
        Some(Cut::Down(bytes)) => (u64::MAX, bytes),
        None => (u64::MAX, u64::MAX),
    };
    let ((from_caller, to_caller), (from_server, to_server)) = (caller.into_split(), server.into_split());
    // Whichever ends first ends the other with it.
    tokio::select! {
        () = pass(from_caller, to_server, up) => {}
        () = pass(from_server, to_caller, down) => {}
    }
}

async fn pass(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, most: u64) {
    let mut from = from.take(most);
    let mut part = vec![0; 1 << 14];
    while let Ok(read @ 1..) = from.read(&mut part).await {
        if to.write_all(&part[..read]).await.is_err() {
            return;
        }
    }
}
