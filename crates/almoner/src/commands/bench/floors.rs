//! What the same bytes cost without us: through TCP, onto the disk, through the hash. A thread for each site.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::payload::Payload;
use crate::failure::Failure;

/// What is written to and read from a socket at a time.
const PIECE: usize = 1 << 18;
/// Each is measured so often; the median counts.
const TIMES: usize = 3;

#[derive(Clone, Copy, Debug)]
pub(super) struct Floors {
    pub(super) tcp: f64,
    pub(super) fsync: f64,
    pub(super) hash: f64,
}

pub(super) fn measure(payload: &Payload, dir: &Path) -> Result<Floors, Failure> {
    Ok(Floors {
        tcp: median(|| tcp(payload))?,
        fsync: median(|| fsync(payload, dir))?,
        hash: median(|| hash(payload))?,
    })
}

fn median(mut once: impl FnMut() -> std::io::Result<()>) -> Result<f64, Failure> {
    let mut seconds = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let started = Instant::now();
        once()?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(super::rounds::median(seconds))
}

/// A connection a site: its upload one way, the sum the other; the sum to the validator, and to be kept, over their own.
fn tcp(payload: &Payload) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server =
        |mut stream: TcpStream, up: usize, down: usize| read(&mut stream, up).and_then(|()| write(&mut stream, down));
    let client = |up: usize, down: usize| {
        let mut stream = TcpStream::connect(address)?;
        write(&mut stream, up).and_then(|()| read(&mut stream, down))
    };
    let mut parts = vec![(payload.upload(), payload.sum); payload.sites];
    parts.extend(vec![(0, payload.sum); payload.readers() - payload.sites]);
    parts.push((payload.sum, 0));
    thread::scope(|scope| {
        let mut ends = Vec::new();
        for (up, down) in parts {
            // One after another, so that both ends know how much is theirs.
            ends.push(scope.spawn(move || client(up, down)));
            let (stream, _) = listener.accept()?;
            ends.push(scope.spawn(move || server(stream, up, down)));
        }
        joined(ends)
    })
}

/// Seconds until so many bytes have gone one way over one connection, and one has come back.
pub(super) fn through_tcp(length: usize) -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut client = TcpStream::connect(address)?;
    let (mut server, _) = listener.accept()?;
    let started = Instant::now();
    thread::scope(|scope| {
        let taken = scope.spawn(move || read(&mut server, length).and_then(|()| write(&mut server, 1)));
        write(&mut client, length).and_then(|()| read(&mut client, 1))?;
        joined(vec![taken])
    })?;
    Ok(started.elapsed().as_secs_f64())
}

fn write(stream: &mut TcpStream, mut left: usize) -> std::io::Result<()> {
    let piece = vec![0x5a; PIECE];
    while left > 0 {
        let length = left.min(PIECE);
        stream.write_all(&piece[..length])?;
        left -= length;
    }
    Ok(())
}

fn read(stream: &mut TcpStream, mut left: usize) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let length = left.min(PIECE);
        stream.read_exact(&mut piece[..length])?;
        left -= length;
    }
    Ok(())
}

/// The files of every upload, then sum and model; a sync each.
fn fsync(payload: &Payload, dir: &Path) -> std::io::Result<()> {
    let dir = tempfile::Builder::new().prefix("floor-").tempdir_in(dir)?;
    let keep = |name: String, length: usize| {
        let bytes = vec![0x5a; length];
        let mut file = File::create(dir.path().join(name))?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    thread::scope(|scope| {
        let keep = &keep;
        let site = |site: usize| {
            move || {
                keep(format!("{site}.ciphertext"), payload.ciphertext)?;
                keep(format!("{site}.check"), payload.check)?;
                keep(format!("{site}.shares"), payload.shares)
            }
        };
        joined((0..payload.sites).map(|number| scope.spawn(site(number))).collect())
    })?;
    keep("sum".into(), payload.sum)?;
    keep("model".into(), payload.model)
}

/// Every upload, once.
fn hash(payload: &Payload) -> std::io::Result<()> {
    let piece = vec![0x5a; PIECE];
    let once = || {
        let mut hasher = Sha256::new();
        let mut left = payload.upload();
        while left > 0 {
            let length = left.min(PIECE);
            hasher.update(&piece[..length]);
            left -= length;
        }
        std::hint::black_box(hasher.finalize());
        Ok(())
    };
    thread::scope(|scope| joined((0..payload.sites).map(|_| scope.spawn(once)).collect()))
}

fn joined(threads: Vec<thread::ScopedJoinHandle<'_, std::io::Result<()>>>) -> std::io::Result<()> {
    threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| std::io::Error::other("a thread panicked"))?)
}
