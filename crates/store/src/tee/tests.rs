use super::*;
use crate::{
    Layout, Url,
    kubo::fake::{self, Daemon},
    testing::content,
};

async fn tee(dir: &Path, url: Url) -> Tee {
    let embedded = EmbeddedStore::open(dir).await.unwrap();
    Tee::new(embedded, KuboStore::new(url, None).unwrap())
}

#[tokio::test]
async fn objects_go_to_both() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Arc::new(Daemon::default());
    let tee = tee(dir.path(), fake::start(daemon.clone()).await).await;
    let cid = tee.put(content("both", (1 << 20) + 1)).await.unwrap();
    assert!(tee.pending().await.unwrap().is_empty());
    assert!(daemon.blocks.get(&cid, 2 << 20).await.is_ok());
    assert!(tee.embedded.get(&cid, 2 << 20).await.is_ok());
}

#[tokio::test]
async fn what_the_mirror_missed_is_sent_later() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = "http://127.0.0.1:1".parse().unwrap();
    let alone = tee(dir.path(), nobody).await;
    let cids = alone.put_all(vec!["a".into(), content("late", 3 << 20)]).await.unwrap();
    assert_eq!(alone.get(&cids[0], 1).await.unwrap(), "a");
    assert_eq!(alone.pending().await.unwrap().len(), 2);
    assert!(alone.mirror_pending().await.is_err());
    drop(alone);

    // After a restart, with the daemon back.
    let daemon = Arc::new(Daemon::default());
    let tee = tee(dir.path(), fake::start(daemon.clone()).await).await;
    assert_eq!(tee.mirror_pending().await.unwrap(), 2);
    assert_eq!(tee.mirror_pending().await.unwrap(), 0);
    for cid in &cids {
        assert!(daemon.blocks.get(cid, 3 << 20).await.is_ok());
    }
}

#[tokio::test]
async fn damaged_and_missing_blocks_come_from_the_mirror() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Arc::new(Daemon::default());
    let tee = tee(dir.path(), fake::start(daemon).await).await;
    let bytes = content("mend", (2 << 20) + 1);
    let cid = tee.put(bytes.clone()).await.unwrap();
    let mut paths = std::fs::read_dir(dir.path().join("blocks")).unwrap().map(|e| e.unwrap().path());
    std::fs::write(paths.next().unwrap(), "rot").unwrap();
    std::fs::remove_file(paths.next().unwrap()).unwrap();
    assert!(tee.get(&cid, 3 << 20).await.unwrap() == bytes);
    let absent = crate::cid_of(b"absent", Layout::V1_2025);
    assert!(tee.get(&absent, 1).await.unwrap_err().is_missing());
}
