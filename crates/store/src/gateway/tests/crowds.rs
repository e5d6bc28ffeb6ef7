//! More callers than there is room for: those who do not read, and those who do.

use std::path::Path;
use std::time::{Duration, SystemTime};

use almoner_tls::{Caller, Peer};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tonic::service::Routes;
use tonic::transport::Server;

use super::super::room::{LIMITS, Limits};
use super::super::router::within;
use super::*;
use crate::{Block, BlockSource, Place};

/// Blocks of this size find room while there is some for the largest.
const LENGTH: usize = 1 << 20;
const ROOM: Limits = Limits { memory_kib: 8 << 10, ..LIMITS };
const FIT: usize = 7;

/// A store that counts what is read.
#[derive(Debug, Default)]
struct Counted {
    store: MemoryStore,
    read: AtomicUsize,
}

#[async_trait]
impl BlockSource for Counted {
    async fn fetch(&self, cid: &Cid) -> Result<Block, StoreError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.store.fetch(cid).await
    }

    fn place(&self) -> Place {
        self.store.place()
    }
}

#[async_trait]
impl Store for Counted {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StoreError> {
        self.store.put(bytes).await
    }

    async fn put_file(&self, path: &Path) -> Result<Cid, StoreError> {
        self.store.put_file(path).await
    }
}

async fn counted_store(length: usize) -> (Arc<Counted>, Cid, Bytes) {
    let (store, bytes) = (Arc::new(Counted::default()), content("crowds", length));
    let cid = store.put(bytes.clone()).await.unwrap();
    (store, cid, bytes)
}

/// As a coordinator serves it: with connections that can be ended.
async fn served(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = Server::builder().accept_http1(true).add_routes(Routes::from(router));
    tokio::spawn(server.serve_with_incoming(almoner_tls::plain(listener)));
    url
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HTTP/2 that asks for a path so many times, and has no window for any answer.
async fn unread(at: &Url, path: &str, times: u32) -> TcpStream {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let literal = |index: u8, text: &str| [&[index, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    // The method GET, the scheme http, and two fields that are spelled out.
    let head = [vec![0x82, 0x86], literal(1, "gateway"), literal(4, path)].concat();
    let asked = (0..times).flat_map(|number| frame(1, 5, 2 * number + 1, &head));
    let all: Vec<u8> = PREFACE.iter().copied().chain(frame(4, 0, 0, &NO_WINDOW)).chain(asked).collect();
    let mut line = TcpStream::connect(at.socket_addrs(|| None).unwrap()[0]).await.unwrap();
    line.write_all(&all).await.unwrap();
    line
}

#[tokio::test]
async fn who_does_not_read_is_held_no_more_of_than_fits_and_makes_way_for_who_does() {
    let (store, cid, bytes) = counted_store(LENGTH).await;
    let limits = Limits { read: Duration::from_secs(2), ..ROOM };
    let url = served(within(store.clone(), limits)).await;
    let mut lines = Vec::new();
    for form in ["raw", "car&dag-scope=block"] {
        lines.push(unread(&url, &format!("/ipfs/{cid}?format={form}"), 100).await);
    }
    let full = async {
        while store.read.load(Ordering::SeqCst) < FIT {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    tokio::time::timeout(limits.read, full).await.expect("they are served until there is no room");
    assert_eq!(store.read.load(Ordering::SeqCst), FIT);
    // It waits behind all of them.
    assert!(client(&[&url]).get(&cid, LENGTH as u64).await.unwrap() == bytes);
}

#[tokio::test]
async fn who_finds_no_room_is_told_to_come_again_and_those_with_a_certificate_have_their_own() {
    // Four leaves and their node.
    let (store, cid, bytes) = counted_store(4 * LENGTH).await;
    let leaf = crate::cid_of(&bytes[..LENGTH], crate::Layout::V1_2025);
    let router = within(store, Limits { patience: Duration::from_millis(50), ..ROOM });
    let ask = |path: String, caller: Caller| {
        let request = Request::builder().uri(path).extension(caller).body(Body::empty()).unwrap();
        router.clone().oneshot(request)
    };
    let block = || ask(format!("/ipfs/{leaf}?format=raw"), Caller::default());
    let mut answers = Vec::new();
    for _ in 0..FIT {
        answers.push(block().await.unwrap());
    }
    let refused = block().await.unwrap();
    assert_eq!(
        (refused.status(), &refused.headers()[header::RETRY_AFTER]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    assert!(body(refused).await.starts_with(b"too many read from here at once: ask again"));
    let peer = Peer { named: None, fingerprint: Default::default(), late: SystemTime::UNIX_EPOCH };
    let known = ask(format!("/ipfs/{leaf}?format=raw"), Caller::known(Some(peer), None));
    assert_eq!(known.await.unwrap().status(), StatusCode::OK);
    // Whoever still has a part of a block has its room.
    let part = body(answers.pop().unwrap()).await.split_off(LENGTH - 1);
    assert_eq!(block().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    drop((part, answers));
    // An archive takes room block by block, and gives it back.
    let archive = ask(format!("/ipfs/{cid}?format=car"), Caller::default()).await.unwrap();
    assert!(body(archive).await.len() > bytes.len());
    assert_eq!(block().await.unwrap().status(), StatusCode::OK);
}
