use super::*;
use crate::{Blame, testing::content};

fn blocks(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir.join("blocks")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Blocks that are not in their place yet.
fn unfinished(dir: &Path) -> usize {
    let openings = fs::read_dir(dir.join("tmp")).unwrap();
    openings.map(|opening| fs::read_dir(opening.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test]
async fn objects_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (small, large) = (content("small", 10), content("large", (3 << 20) + 5));
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let cids = store.put_all(vec![small.clone(), large.clone(), Bytes::new()]).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    assert_eq!(store.get(&cids[0], 10).await.unwrap(), small);
    assert!(store.get(&cids[1], 4 << 20).await.unwrap() == large);
    assert!(store.get(&cids[2], 0).await.unwrap().is_empty());
    assert_eq!(store.range(&cids[1], (1 << 20) - 1, 3).await.unwrap(), large[(1 << 20) - 1..][..3]);
    // Names are digests: any tool can check them.
    for path in blocks(dir.path()) {
        let hex: String = ids::sha256(&fs::read(&path).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), hex);
    }
    assert_eq!(unfinished(dir.path()), 0);
}

#[tokio::test]
async fn files_and_bytes_agree() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path().join("store")).await.unwrap();
    for size in [0, 1, 1 << 20, (2 << 20) + 1] {
        let bytes = content("file", size);
        let path = dir.path().join("file");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(store.put_file(&path).await.unwrap(), store.put(bytes).await.unwrap());
    }
    let error = store.put_file(&dir.path().join("absent")).await.unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}

#[tokio::test]
async fn equal_blocks_are_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    // More blocks than are written between two syncs.
    let bytes = content("zero", (UNSYNCED_AND_MORE) << 20);
    let cid = store.put(bytes.clone()).await.unwrap();
    assert_eq!(blocks(dir.path()).len(), 2);
    assert!(store.get(&cid, bytes.len() as u64).await.unwrap() == bytes);
}
const UNSYNCED_AND_MORE: usize = 70;

#[tokio::test]
async fn damage_is_found_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let bytes = content("rot", (1 << 20) + 9);
    let cid = store.put(bytes.clone()).await.unwrap();
    for path in blocks(dir.path()) {
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 4;
        let damages = [bad, good[1..].to_vec(), Vec::new(), vec![0; MAX_BLOCK + 2]];
        for damage in damages {
            fs::write(&path, damage).unwrap();
            let error = store.get(&cid, 2 << 20).await.unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            assert_eq!(error.blame(), Blame::Ours);
            assert_eq!(store.put(bytes.clone()).await.unwrap(), cid);
            assert!(store.get(&cid, 2 << 20).await.unwrap() == bytes);
        }
        fs::remove_file(&path).unwrap();
        let error = store.get(&cid, 2 << 20).await.unwrap_err();
        assert!(error.is_missing(), "{error}");
        store.put(bytes.clone()).await.unwrap();
    }
}

/// Whoever is passed a block holds it against its CID himself, so it is hashed here once; what is read here always is.
#[tokio::test]
async fn a_block_that_is_passed_on_is_hashed_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let bytes = content("passed on", 9);
    let cid = store.put(bytes.clone()).await.unwrap();
    let path = blocks(dir.path()).remove(0);
    fs::write(&path, b"damage").unwrap();
    let error = store.block(&cid).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    store.put(bytes.clone()).await.unwrap();
    assert_eq!(store.block(&cid).await.unwrap().unwrap(), bytes);
    fs::write(&path, b"damage").unwrap();
    assert_eq!(store.block(&cid).await.unwrap().unwrap(), "damage");
    assert!(matches!(store.get(&cid, 9).await.unwrap_err(), StoreError::Corrupt { .. }));
    let again = EmbeddedStore::open(dir.path()).await.unwrap();
    assert!(matches!(again.block(&cid).await.unwrap_err(), StoreError::Corrupt { .. }));
    fs::remove_file(&path).unwrap();
    assert!(store.block(&cid).await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_crash_left_is_swept_and_nobody_else_s() {
    let dir = tempfile::tempdir().unwrap();
    let first = EmbeddedStore::open(dir.path()).await.unwrap();
    let mut arriving = first.incoming();
    arriving.write(&content("arriving", 1 << 20)).unwrap();
    let leftover = dir.path().join("tmp").join("1-1");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("0"), "half a block").unwrap();
    let second = EmbeddedStore::open(dir.path()).await.unwrap();
    assert!(!leftover.exists());
    let cid = second.put("shared".into()).await.unwrap();
    assert_eq!(first.get(&cid, 10).await.unwrap(), "shared");
    assert_eq!(unfinished(dir.path()), 1, "what the first one writes is its own");
    second.keep(vec![arriving.finish().unwrap()]).await.unwrap();
    assert_eq!(blocks(dir.path()).len(), 2);
    drop((first, second));
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn failed_writes_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    // A directory in the block's place: the rename fails.
    let cid = crate::cid_of(b"blocked", Layout::V1_2025);
    let path = store.inner.dirs.block(&ids::digest(&cid).unwrap());
    fs::create_dir_all(path.join("x")).unwrap();
    let error = store.put("blocked".into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Disk { .. }), "{error}");
    assert_eq!(error.blame(), Blame::Retry);
    assert_eq!(unfinished(dir.path()), 0);
}

#[tokio::test]
async fn concurrent_puts_of_one_object() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let bytes = content("same", (1 << 20) + 1);
    let puts = (0..8).map(|_| store.put(bytes.clone()));
    let cids = futures::future::try_join_all(puts).await.unwrap();
    assert!(cids.iter().all(|cid| *cid == cids[0]));
    assert!(store.get(&cids[0], 2 << 20).await.unwrap() == bytes);
    assert_eq!(blocks(dir.path()).len(), 3);
}
