//! One line to a coordinator: TCP, by way of the proxy that the environment names if it names one, the handshake, a
//! hello, and an ear for a refusal that comes later.
//!
//! In TLS 1.3 a client has finished its handshake before the server has looked at the client's certificate. A refusal is
//! the first thing that is read, and HTTP/2 keeps nothing but its text: so it is noted here, typed, as it passes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::{Binding, Client, error, greeting};

const HTTPS: u16 = 443;
const HTTP: u16 = 80;

/// Makes lines for a channel.
#[derive(Clone)]
pub(crate) struct Dial(Client);

impl Dial {
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Line>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Line>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(dial(self.0.clone(), uri))
    }
}

/// How often a line is tried that is taken and then closed in the middle of its handshake: under a flood a server pushes
/// out whoever has not shown yet who they are.
pub(crate) const TRIES: usize = 4;
/// At most so long between two of them.
const PAUSE: Duration = Duration::from_millis(400);

async fn dial(client: Client, uri: Uri) -> io::Result<TokioIo<Line>> {
    for _ in 1..TRIES {
        match line(client.clone(), uri.clone()).await {
            Err(error) if is_pushed_out(&error) => {
                // Chance spreads those who were pushed out together.
                let draw = getrandom::u32().unwrap_or_default();
                tokio::time::sleep(PAUSE.mul_f64(f64::from(draw) / f64::from(u32::MAX))).await;
            }
            done => return done,
        }
    }
    line(client, uri).await
}

/// Closed without a word. What TLS has a word for is no such thing.
fn is_pushed_out(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) && error::rustls_error(error).is_none()
}

async fn line(client: Client, uri: Uri) -> io::Result<TokioIo<Line>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(HTTPS);
    let name =
        ServerName::try_from(host.clone()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let server = uri.to_string().trim_end_matches('/').to_owned();
    let tcp = match client.proxy(&uri) {
        None => TcpStream::connect((host, port)).await?,
        // Asked by name: the proxy knows names that this machine may not.
        Some(proxy) => tunnel(&proxy, uri).await?,
    };
    tcp.set_nodelay(true)?;
    let (config, own) = client.look();
    let (config, greet) = match client.greet() {
        None => (config, None),
        Some(greet) => {
            let mut with_hello = ClientConfig::clone(&config);
            with_hello.alpn_protocols.insert(0, greeting::ALPN.to_vec());
            (Arc::new(with_hello), Some(greet))
        }
    };
    let made = async {
        let mut stream = TlsConnector::from(config).connect(name, tcp).await?;
        let (_, session) = stream.get_ref();
        let server_is = greeting::fingerprint_of(session.peer_certificates());
        client.reached(server_is);
        // A server that takes no hello asks for none.
        if let Some(greet) = greet.filter(|_| session.alpn_protocol() == Some(greeting::ALPN)) {
            let hello = greeting::exporter(session)
                .and_then(|exporter| greet(&Binding { client: own, server: server_is, exporter }))
                .ok_or_else(|| io::Error::other("no hello can be said on this line"))?;
            stream.write_all(&hello).await?;
        }
        Ok(stream)
    };
    match made.await {
        Ok(stream) => {
            // What was wrong with an earlier line is not what is wrong with this one.
            client.trouble();
            Ok(TokioIo::new(Line { stream, server, client }))
        }
        Err(error) => Err(noted(&client, &server, error)),
    }
}

/// Through the proxy; what it carries is TLS from end to end.
async fn tunnel(proxy: &Intercept, to: Uri) -> io::Result<TcpStream> {
    let at = proxy.uri();
    // The address as it was given may hold a password.
    let named = format!("the proxy at {}:{}", at.host().unwrap_or_default(), at.port_u16().unwrap_or(HTTP));
    if at.scheme_str() != Some("http") {
        return Err(io::Error::other(format!("{named}: only proxies at http:// are known; mend HTTPS_PROXY")));
    }
    let tunnel = Tunnel::new(at.clone(), HttpConnector::new());
    let mut tunnel = match proxy.basic_auth() {
        Some(given) => tunnel.with_auth(given.clone()),
        None => tunnel,
    };
    let opened = tunnel.call(to).await;
    opened.map(TokioIo::into_inner).map_err(|error| io::Error::other(format!("{named}: {}", whole(&error))))
}

fn whole(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", whole(cause)))
}

/// Bytes to and from a coordinator.
pub(crate) struct Line {
    stream: TlsStream<TcpStream>,
    server: String,
    client: Client,
}

fn noted(client: &Client, server: &str, error: io::Error) -> io::Error {
    let Some(known) = client.explain(&error, server).map(Arc::new) else { return error };
    client.note(known.clone());
    io::Error::new(error.kind(), known)
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(noted(&self.client, &self.server, error))),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
