use std::fs;
use std::os::unix::fs::PermissionsExt;

use almoner_chain::Deployment;
use almoner_store::{Bytes, Cid, FakeKubo, FakeKuboRefuses as Refuses, Store};
use tokio::sync::broadcast;

use super::*;

fn refused(url: &str, token_file: Option<PathBuf>) -> String {
    let kubo = Kubo { url: url.parse().unwrap(), token_file };
    let failure = kubo.open().unwrap_err();
    assert_eq!(failure.kind, Kind::You);
    failure.to_string()
}

#[test]
fn wrong_settings_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Some(path)
    };
    let good = file("good", "s3cret\n", 0o600);
    for (url, token_file, said) in [
        ("http://10.0.0.1:5001", None, "[kubo] url, token_file: kubo http://10.0.0.1:5001: the rpc is not on loopback"),
        ("http://10.0.0.1:5001", good.clone(), "would be sent in the clear, use https"),
        ("ftp://127.0.0.1", None, "[kubo] url, token_file: kubo ftp://127.0.0.1: expected an http or https url"),
        ("http://me:hunter2@127.0.0.1:5001", None, "[kubo] url: no name and no password in it"),
        ("http://127.0.0.1:5001", Some(dir.path().join("none")), "/none\": "),
        ("http://127.0.0.1:5001", file("open", "s3cret", 0o644), "/open may be read by others: chmod 600 it"),
        ("http://127.0.0.1:5001", file("empty", " \n", 0o600), "/empty\": it is empty"),
        ("http://127.0.0.1:5001", file("lines", "s3cret\nmore", 0o600), "characters a header cannot hold"),
    ] {
        let text = refused(url, token_file);
        assert!(text.starts_with("[kubo] ") && text.contains(said), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("s3cret"), "{text}");
    }
    let kubo = Kubo { url: "https://kubo.example/".parse().unwrap(), token_file: good };
    let shown = format!("{kubo:?} {:?}", kubo.open().unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(toml::from_str::<Kubo>("url = \"http://127.0.0.1:5001\"\ntoken = \"s3cret\"").is_err(), "not in this file");
}

/// A mirror that has orders and looks at no chain, and its daemon.
struct Scene {
    mirror: Mirror,
    daemon: Arc<FakeKubo>,
    store: Arc<BoundedStore>,
    told: Receiver<Progress>,
    _tells: broadcast::Sender<Progress>,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(BoundedStore::open(dir.path(), None).await.unwrap());
        let daemon = Arc::new(FakeKubo::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let router = daemon.clone().router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let nowhere = Deployment {
            chain_id: 1,
            federations: Address::ZERO,
            rounds: Address::ZERO,
            payouts: Address::ZERO,
            token: Address::ZERO,
            from_block: 0,
        };
        let nowhere = Ledger::connect("http://127.0.0.1:1", nowhere).unwrap();
        let kubo = Kubo { url, token_file: None }.open().unwrap();
        let mut mirror = Mirror::new(kubo, store.clone(), nowhere, Address::ZERO, Retention::default());
        mirror.outlook.fresh = true;
        let (tells, told) = broadcast::channel(8);
        Self { mirror, daemon, store, told, _tells: tells, _dir: dir }
    }

    async fn put(&self, text: &'static str) -> Cid {
        self.store.put(Bytes::from_static(text.as_bytes())).await.unwrap()
    }

    /// Steps until all that is left are `count` orders.
    async fn until(&mut self, count: usize) {
        while self.mirror.outlook.orders.len() > count {
            self.mirror.step(&mut self.told).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_daemon_gets_what_it_lacks_and_what_is_lost_here_keeps_nothing_back() {
    let mut scene = Scene::new().await;
    let [a, b, lost] = [scene.put("a").await, scene.put("b").await, scene.put("lost").await];
    scene.store.forget(vec![lost], vec![]).await.unwrap();
    [a, lost, b].into_iter().for_each(|cid| scene.mirror.outlook.orders.pin(cid));
    scene.until(0).await;
    assert_eq!(scene.daemon.pins(), [a, b].into());
    // What it has is not sent again: it could not be.
    scene.store.forget(vec![a], vec![]).await.unwrap();
    scene.mirror.outlook.orders.unpin(b);
    scene.until(0).await;
    assert_eq!(scene.daemon.pins(), [a].into());
}

#[tokio::test]
async fn a_daemon_that_refuses_is_tried_again() {
    let mut scene = Scene::new().await;
    let [a, b] = [scene.put("a").await, scene.put("b").await];
    scene.daemon.refuse(Refuses::Pinning("no space".into()));
    [a, b].into_iter().for_each(|cid| scene.mirror.outlook.orders.pin(cid));
    for first in [b, a] {
        scene.mirror.step(&mut scene.told).await.unwrap();
        assert_eq!(scene.mirror.outlook.orders.first(), Some(Order::Pin(first)), "the other one next");
    }
    assert!(scene.daemon.pins().is_empty());
    scene.daemon.refuse(Refuses::Nothing);
    scene.until(0).await;
    assert_eq!(scene.daemon.pins(), [a, b].into());
}
