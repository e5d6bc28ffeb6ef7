use super::{
    fake::{FakeKubo, Refuses},
    *,
};
use crate::{
    Blame, EmbeddedStore,
    testing::{content, serve},
};

async fn start(daemon: FakeKubo) -> (Arc<FakeKubo>, KuboStore) {
    let daemon = Arc::new(daemon);
    let url = serve(daemon.clone().router()).await;
    (daemon, KuboStore::new(url, None).unwrap())
}

#[tokio::test]
async fn objects_round_trip() {
    let (daemon, kubo) = start(FakeKubo::default()).await;
    assert_eq!(kubo.version().await.unwrap(), "0.0.0-fake");
    for size in [0, 5, 1 << 20, (3 << 20) + 1] {
        let bytes = content("kubo", size);
        let cid = kubo.put(bytes.clone()).await.unwrap();
        assert_eq!(cid, crate::cid_of(&bytes, crate::Layout::V1_2025));
        assert!(kubo.get(&cid, size as u64).await.unwrap() == bytes);
        assert!(daemon.pins().contains(&cid));
    }
    let absent = crate::cid_of(b"absent", crate::Layout::V1_2025);
    assert!(kubo.get(&absent, 10).await.unwrap_err().is_missing());
    assert!(kubo.block(&absent).await.unwrap().is_none());
}

#[tokio::test]
async fn files_are_sent_without_being_held() {
    let (_, kubo) = start(FakeKubo::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let bytes = content("file", (2 << 20) + 77);
    std::fs::write(&path, &bytes).unwrap();
    let cid = kubo.put_file(&path).await.unwrap();
    assert!(kubo.get(&cid, 3 << 20).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, content("file", 3 << 20)).unwrap();
    let (dag, root) = FileDag::index(path.clone()).unwrap();
    std::fs::write(&path, content("other", 3 << 20)).unwrap();
    let (_, kubo) = start(FakeKubo::default()).await;
    let error = kubo.import(Arc::new(dag), &root).await.unwrap_err();
    assert!(matches!(error, StoreError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn what_the_source_cannot_give_is_not_blamed_on_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let (lost, rotten) = (content("lost", 3 << 20), content("rotten", 3 << 20));
    let cids = store.put_all(vec![lost, rotten.clone()]).await.unwrap();
    let (daemon, kubo) = start(FakeKubo::default()).await;
    let source: Arc<dyn BlockSource> = Arc::new(store.clone());
    // The last leaf of each: the archive is on its way by then.
    let blocks = |cid: &Cid| {
        let name: String = cid.hash().digest().iter().map(|byte| format!("{byte:02x}")).collect();
        dir.path().join("blocks").join(name)
    };
    let leaf = |bytes: &Bytes| crate::cid_of(&bytes[2 << 20..], crate::Layout::V1_2025);
    std::fs::remove_file(blocks(&leaf(&content("lost", 3 << 20)))).unwrap();
    std::fs::write(blocks(&leaf(&rotten)), "rot").unwrap();
    assert!(kubo.import(source.clone(), &cids[0]).await.unwrap_err().is_missing());
    let error = kubo.import(source.clone(), &cids[1]).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(daemon.pins().is_empty());
    store.put(rotten).await.unwrap();
    kubo.import(source, &cids[1]).await.unwrap();
    daemon.until(|pins| pins.contains(&cids[1])).await;
}

#[tokio::test]
async fn pins() {
    let (_, kubo) = start(FakeKubo::default()).await;
    let cid = kubo.put("pinned".into()).await.unwrap();
    assert!(kubo.is_pinned(&cid).await.unwrap());
    assert!(kubo.unpin(&cid).await.unwrap());
    assert!(!kubo.unpin(&cid).await.unwrap());
    assert!(!kubo.is_pinned(&cid).await.unwrap());
    kubo.pin(&cid).await.unwrap();
    assert!(kubo.is_pinned(&cid).await.unwrap());
}

#[tokio::test]
async fn an_import_that_is_not_confirmed_is_an_error() {
    let (daemon, kubo) = start(FakeKubo::default()).await;
    daemon.refuse(Refuses::Pinning("no space".into()));
    let error = kubo.put("x".into()).await.unwrap_err();
    assert!(error.to_string().contains("no space"), "{error}");
    daemon.refuse(Refuses::Confirming);
    let error = kubo.put("x".into()).await.unwrap_err();
    assert_eq!(error.blame(), Blame::Peer, "{error}");
}

#[tokio::test]
async fn a_daemon_that_hangs_is_given_up() {
    let (daemon, kubo) = start(FakeKubo::default()).await;
    let kubo = kubo.with_timeout(Duration::from_millis(200));
    daemon.refuse(Refuses::Answering);
    let error = kubo.put("x".into()).await.unwrap_err();
    assert_eq!(error.blame(), Blame::Retry, "{error}");
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let mut url = serve(Arc::new(FakeKubo::with_token("s3cret")).router()).await;
    let denied = KuboStore::new(url.clone(), None).unwrap().version().await.unwrap_err();
    assert!(denied.to_string().contains("403"), "{denied}");
    let kubo = KuboStore::new(url.clone(), Some("s3cret".into())).unwrap();
    kubo.version().await.unwrap();
    url.set_password(Some("hunter2")).unwrap();
    url.set_port(Some(1)).unwrap();
    let kubo = KuboStore::new(url, Some("s3cret".into())).unwrap();
    let error = kubo.version().await.unwrap_err();
    let shown = format!("{kubo:?} {error} {error:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn other_hosts_need_a_token() {
    let url = |text: &str| Url::parse(text).unwrap();
    for text in ["http://127.0.0.1:5001", "http://[::1]:5001", "http://localhost:5001/prefix/"] {
        assert!(KuboStore::new(url(text), None).is_ok(), "{text}");
    }
    for text in ["http://10.0.0.1:5001", "http://kubo:5001", "http://127.0.0.1.evil.test:5001"] {
        assert!(KuboStore::new(url(text), None).is_err(), "{text}");
        let error = KuboStore::new(url(text), Some("t".into())).unwrap_err();
        assert!(error.to_string().contains("use https"), "{error}");
        assert!(KuboStore::new(url(&text.replace("http:", "https:")), Some("t".into())).is_ok(), "{text}");
    }
    assert!(KuboStore::new(url("http://127.0.0.1"), Some("line\nbreak".into())).is_err());
}
