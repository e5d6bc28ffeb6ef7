//! A connection as it is served: its bytes, who is at the other end, and whether they still may be.
//!
//! Whoever showed a certificate may be as long as it holds, and has a place in the `Crowd`; everybody else has one in the
//! [`Lobby`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use crate::caller::{Caller, Facts};
use crate::crowd::Place;
use crate::door::Door;
use crate::lobby::{Guest, Lobby};

/// After the system could not accept, for want of files for example.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// Bytes in the clear or not.
#[derive(Debug)]
enum Bytes {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// A connection that a server may serve.
#[derive(Debug)]
pub struct Conn {
    bytes: Bytes,
    caller: Caller,
    right: Right,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// To be connected.
#[derive(Debug)]
enum Right {
    Standing(Standing),
    Guest(Guest),
}

/// A caller's right to be connected, as long as it lasts.
#[derive(Debug)]
pub(crate) struct Standing {
    door: Arc<Door>,
    facts: Facts,
    /// The rules it was last held against.
    seen: u64,
    /// Given back with the connection.
    _place: Place,
}

impl Standing {
    pub(crate) fn new(door: Arc<Door>, facts: Facts, seen: u64, place: Place) -> Self {
        Self { door, facts, seen, _place: place }
    }

    fn holds(&mut self) -> io::Result<()> {
        let refused = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        if self.facts.not_after <= SystemTime::now() {
            return refused("the caller's certificate has expired");
        }
        let changes = self.door.changes();
        if changes != self.seen {
            if self.door.is_revoked(&self.facts.number) {
                return refused("the caller's certificate was revoked");
            }
            self.seen = changes;
        }
        Ok(())
    }
}

/// Connections in the clear: for loopback.
pub fn plain(listener: TcpListener) -> Plain {
    Plain { listener, lobby: Lobby::new(), again: None }
}

#[derive(Debug)]
pub struct Plain {
    listener: TcpListener,
    lobby: Arc<Lobby>,
    again: Option<Pin<Box<Sleep>>>,
}

impl Stream for Plain {
    type Item = io::Result<Conn>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Conn>>> {
        loop {
            if let Some(again) = &mut self.again {
                ready!(again.as_mut().poll(cx));
                self.again = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((line, _)) => {
                    // One that is gone already says so when it is read.
                    let _ = line.set_nodelay(true);
                    let guest = self.lobby.enter();
                    let caller = Caller { seat: Some(guest.seat.clone()), ..Caller::default() };
                    return Poll::Ready(Some(Ok(Conn::new(Bytes::Plain(line), caller, Right::Guest(guest)))));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    self.lobby.make_room();
                    self.again = Some(Box::pin(sleep(AGAIN)));
                }
            }
        }
    }
}

impl Conn {
    fn new(bytes: Bytes, caller: Caller, right: Right) -> Self {
        let ended = Box::pin(caller.end.clone().cancelled_owned());
        Self { bytes, caller, right, ended }
    }

    pub(crate) fn known(stream: TlsStream<TcpStream>, caller: Caller, standing: Standing) -> Self {
        Self::new(Bytes::Secure(Box::new(stream)), caller, Right::Standing(standing))
    }

    pub(crate) fn unknown(stream: TlsStream<TcpStream>, caller: Caller, guest: Guest) -> Self {
        let caller = Caller { seat: Some(guest.seat.clone()), ..caller };
        Self::new(Bytes::Secure(Box::new(stream)), caller, Right::Guest(guest))
    }

    fn may_stay(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let gone = |why: &str| Err(io::Error::new(io::ErrorKind::TimedOut, why));
        if self.ended.as_mut().poll(cx).is_ready() {
            return gone("an answer was not read in time");
        }
        let stays = match &mut self.right {
            Right::Standing(standing) => return standing.holds(),
            Right::Guest(guest) => guest.may_stay(cx),
        };
        if stays { Ok(()) } else { gone("no request in time, or room was made for others") }
    }

    /// Notes that bytes came or went, if they did.
    fn noted(&self, moved: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Right::Guest(guest), Poll::Ready(Ok(1..))) = (&self.right, &moved) {
            guest.is_active();
        }
        moved
    }
}

impl Connected for Conn {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

/// Waits a moment for a refused caller to read why: closing at once, with bytes of its unread, would take the alert back.
pub(crate) async fn linger(mut line: TcpStream) {
    const MOMENT: Duration = Duration::from_secs(1);
    const MOST: u64 = 1 << 16;
    let read = async {
        line.shutdown().await?;
        tokio::io::copy(&mut line.take(MOST), &mut tokio::io::sink()).await
    };
    // However it ends, the line is closed.
    let _ = timeout(MOMENT, read).await;
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.may_stay(cx)?;
        let before = buf.filled().len();
        let read = match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_read(cx, buf),
            Bytes::Secure(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let moved = read.map_ok(|()| buf.filled().len() - before);
        self.noted(moved).map_ok(|_| ())
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Who reads nothing has HTTP/1 wait here.
        self.may_stay(cx)?;
        let moved = match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_write(cx, buf),
            Bytes::Secure(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.noted(moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_flush(cx),
            Bytes::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_shutdown(cx),
            Bytes::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_stay(cx)?;
        let moved = match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_write_vectored(cx, bufs),
            Bytes::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.noted(moved)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(line) => line.is_write_vectored(),
            Bytes::Secure(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn whoever_is_hung_up_on_is_read_from_and_written_to_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _line = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut conn = plain(listener).next().await.unwrap().unwrap();
        let caller = conn.connect_info();
        // It waits for a request, and hears of it there.
        let (read, ()) = tokio::join!(timeout(AGAIN * 100, conn.read_u8()), async { caller.hang_up() });
        assert_eq!(read.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(conn.write_u8(0).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
