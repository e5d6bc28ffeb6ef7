//! An authority, a coordinator that says who is calling, and callers.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use alloy_primitives::Address;
use axum::extract::Request;
use axum::routing::post;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};
use tower::{Service, ServiceExt};

use crate::{Authority, Binding, Caller, Client, ClientFiles, Door, GREETING, Greeting, Role, ServerFiles, TlsError};

pub(super) const ACCOUNT: Address = Address::repeat_byte(0x11);
pub(super) const DAYS: u32 = 30;

pub(super) struct Scene {
    home: tempfile::TempDir,
    pub(super) authority: Authority,
}

impl Scene {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::create(&home.path().join("authority")).unwrap();
        Self { home, authority }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A folder with a site's certificate.
    pub(super) fn site(&self, name: &str) -> ClientFiles {
        let issued = self.authority.issue(Role::Site, ACCOUNT, DAYS).unwrap();
        self.files(name, &issued.certificate, &issued.key)
    }

    pub(super) fn files(&self, name: &str, certificate: &str, key: &str) -> ClientFiles {
        let handed = self.authority.hand_out(&self.path(name), certificate, Some(key)).unwrap();
        ClientFiles { ca: Some(handed.ca), certificate: Some(handed.certificate), key: handed.key }
    }

    pub(super) fn server(&self) -> ServerFiles {
        let dir = self.path("server");
        if !dir.exists() {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let issued = self.authority.issue_server(&names, DAYS).unwrap();
            self.authority.hand_out(&dir, &issued.certificate, Some(&issued.key)).unwrap();
        }
        ServerFiles {
            certificate: dir.join("certificate.pem"),
            key: dir.join("certificate.key"),
            clients_ca: Some(self.authority.certificate_file()),
            sites_ca: None,
            revoked: Some(self.authority.revoked_file()),
        }
    }

    /// Serves on loopback as long as the runtime lives.
    pub(super) async fn serve(&self) -> SocketAddr {
        serve(Door::open(self.server()).unwrap()).await
    }
}

pub(super) async fn serve(door: Arc<Door>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let who = |request: Request| async move {
        let caller = request.extensions().get::<Caller>().unwrap().clone();
        let who = match caller.peer {
            None => "nobody".to_owned(),
            Some(peer) => match peer.named {
                None => format!("someone {}", peer.fingerprint),
                Some((role, account)) => format!("{role} {account:#x} {}", peer.fingerprint),
            },
        };
        caller.account.map_or_else(|| who.clone(), |account| format!("{who} hello {account:#x}"))
    };
    let routes = Routes::from(axum::Router::new().route("/who", post(who)));
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(door.accept(listener, hear)));
    address
}

/// A hello of tests: the account, and a hash in the place of a signature.
pub(super) fn hello(channel: &Binding) -> Greeting {
    let mut said = [0; GREETING];
    said[..20].copy_from_slice(ACCOUNT.as_slice());
    let mut hash = Sha256::new();
    for word in [channel.client, channel.server, channel.exporter] {
        hash.update(word);
    }
    said[20..52].copy_from_slice(&hash.finalize());
    said
}

fn hear(channel: &Binding, said: &Greeting) -> Option<Address> {
    (*said == hello(channel)).then_some(ACCOUNT)
}

pub(super) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("https://{address}")).unwrap()
}

/// What the server says of who asks.
pub(super) async fn who(channel: &mut Channel) -> Result<String, tonic::transport::Error> {
    let request = http::Request::post("http://server/who").body(tonic::body::Body::empty()).unwrap();
    let answer = channel.ready().await?.call(request).await?;
    let body = answer.into_body().collect().await.map_err(|status| panic!("{status}"))?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

/// Connects, asks, and says what TLS was in the way.
pub(super) async fn ask(files: ClientFiles, address: SocketAddr) -> Result<String, Arc<TlsError>> {
    let client = Client::new(files).map_err(Arc::new)?;
    let mut channel = match client.connect(&endpoint(address)).await {
        Ok(channel) => channel,
        Err(crate::ConnectError::Tls(error)) => return Err(error),
        Err(error) => panic!("{error:?}"),
    };
    let answer = who(&mut channel).await;
    answer.map_err(|error| client.trouble().unwrap_or_else(|| panic!("{error:?}: no trouble of TLS's")))
}

/// Puts other files in the place of these.
pub(super) fn replace(old: &ClientFiles, new: &ClientFiles) {
    for (from, to) in [(&new.certificate, &old.certificate), (&new.key, &old.key)] {
        fs::rename(from.as_ref().unwrap(), to.as_ref().unwrap()).unwrap();
    }
}
