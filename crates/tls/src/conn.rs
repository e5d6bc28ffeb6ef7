//! A connection as it is served: its bytes, who is at the other end, and whether they still may be.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

use crate::caller::{Caller, Facts};
use crate::door::Door;

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
    standing: Option<Standing>,
}

/// A caller's right to be connected, as long as it lasts.
#[derive(Debug)]
pub(crate) struct Standing {
    door: Arc<Door>,
    facts: Facts,
    /// The rules it was last held against.
    seen: u64,
}

impl Standing {
    pub(crate) fn new(door: Arc<Door>, facts: Facts, seen: u64) -> Self {
        Self { door, facts, seen }
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
pub fn plain(listener: TcpListener) -> impl Stream<Item = io::Result<Conn>> + Send {
    TcpListenerStream::new(listener).map(|line| {
        let line = line?;
        line.set_nodelay(true)?;
        Ok(Conn { bytes: Bytes::Plain(line), caller: Caller::default(), standing: None })
    })
}

impl Conn {
    pub(crate) fn secure(stream: TlsStream<TcpStream>, caller: Caller, standing: Option<Standing>) -> Self {
        Self { bytes: Bytes::Secure(Box::new(stream)), caller, standing }
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
        if let Some(standing) = &mut self.standing {
            standing.holds()?;
        }
        match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_read(cx, buf),
            Bytes::Secure(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_write(cx, buf),
            Bytes::Secure(stream) => Pin::new(stream).poll_write(cx, buf),
        }
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
        match &mut self.bytes {
            Bytes::Plain(line) => Pin::new(line).poll_write_vectored(cx, bufs),
            Bytes::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(line) => line.is_write_vectored(),
            Bytes::Secure(stream) => stream.is_write_vectored(),
        }
    }
}
