use almoner_crypto::encrypt::{CHECK_BYTES, DATA_BLOCK_BYTES, DATA_WORD};
use almoner_crypto::tree::{kind, vector_root};
use almoner_proto::{Signed, UploadHeader};
use almoner_store::{BoundedStore, EmbeddedStore, Layout, cid_of};

use super::*;

const BLOCKS: usize = 3;
const SHARES: usize = 500;

/// The bytes of the three files in one, and a manifest that names them.
fn upload(participant: u8) -> (Vec<u8>, Contribution) {
    let files = [vec![participant; BLOCKS * DATA_BLOCK_BYTES], vec![0; CHECK_BYTES], vec![participant; SHARES]];
    let cid = |file: usize| cid_of(&files[file], Layout::V1_2025).to_bytes().into();
    let manifest = Contribution {
        participant: Address::repeat_byte(participant),
        ciphertextRoot: B256::from(vector_root(kind::CIPHERTEXT, DATA_WORD, &files[0])),
        checkRoot: B256::from(vector_root(kind::CHECK, 8, &files[1])),
        ciphertextCid: cid(0),
        checkCid: cid(1),
        sharesCid: cid(2),
        ..Contribution::default()
    };
    (files.concat(), manifest)
}

fn lengths(manifest: &Contribution) -> Lengths {
    let contribution = Signed { message: manifest.clone(), signature: [0; 65] };
    Lengths::from(&UploadHeader {
        contribution,
        ciphertext_bytes: (BLOCKS * DATA_BLOCK_BYTES) as u64,
        check_bytes: CHECK_BYTES as u64,
        shares_bytes: SHARES as u64,
        offset: 0,
    })
}

struct Scene {
    dir: tempfile::TempDir,
    store: EmbeddedStore,
    partials: Arc<Partials>,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).await.unwrap();
        Self { dir, store, partials: Arc::default() }
    }

    async fn line(&self, manifest: &Contribution, offset: u64) -> Option<Line> {
        self.partials.receive(manifest, lengths(manifest), offset, &self.store).await.unwrap()
    }

    fn files(&self, sub: &str) -> usize {
        walkdir(&self.dir.path().join(sub))
    }
}

/// Blocks under a folder, and under those in it.
fn walkdir(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walkdir(&path) } else { 1 }).sum()
}

fn piece(bytes: &[u8], range: std::ops::Range<usize>) -> Bytes {
    Bytes::copy_from_slice(&bytes[range])
}

#[tokio::test]
async fn what_arrived_of_this_very_upload_is_kept_until_it_is_whole() {
    let scene = Scene::new().await;
    let ((bytes, own), (_, other)) = (upload(1), upload(2));
    let other = Contribution { participant: own.participant, ..other };
    scene.line(&own, 0).await.unwrap().take(piece(&bytes, 0..13_000)).await.unwrap();
    assert_eq!((scene.partials.offset(&own).await, scene.partials.offset(&other).await), (13_000, 0));
    assert!(scene.line(&own, 2).await.is_none() && scene.line(&other, 13_000).await.is_none());
    let again = scene.line(&own, 13_000).await.unwrap();
    again.take(piece(&bytes, 13_000..bytes.len())).await.unwrap();
    assert_eq!(scene.files("blocks"), 0, "nothing has its name before it is whole");
    scene.store.keep(again.finish(&own).await.unwrap()).await.unwrap();
    assert_eq!((scene.partials.offset(&own).await, scene.files("blocks"), scene.files("tmp")), (0, 3, 0));
    let cid = almoner_store::cid_from_bytes(&own.ciphertextCid).unwrap();
    assert_eq!(scene.store.get(&cid, 1 << 20).await.unwrap(), bytes[..BLOCKS * DATA_BLOCK_BYTES]);
}

#[tokio::test]
async fn a_new_line_silences_the_old_one() {
    let scene = Scene::new().await;
    let (bytes, own) = upload(1);
    let old = scene.line(&own, 0).await.unwrap();
    old.take(piece(&bytes, 0..100)).await.unwrap();
    let new = scene.line(&own, 100).await.unwrap();
    let silenced = old.take(piece(&bytes, 100..200)).await;
    assert!(matches!(silenced, Err(CoordinatorError::NotNow(_))), "{silenced:?}");
    new.take(piece(&bytes, 100..bytes.len())).await.unwrap();
    // From the beginning: whoever wrote before has nothing to write to.
    let third = scene.line(&own, 0).await.unwrap();
    assert!(matches!(new.finish(&own).await, Err(CoordinatorError::NotNow(_))));
    third.take(piece(&bytes, 0..bytes.len())).await.unwrap();
    assert_eq!(third.finish(&own).await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_not_the_manifest_s_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    let (bytes, own) = upload(1);
    // A word above its bound, at once; other bytes than the manifest's, at the end.
    let line = scene.line(&own, 0).await.unwrap();
    let refused = line.take(vec![0xff; DATA_BLOCK_BYTES].into()).await.unwrap_err().to_string();
    assert_eq!(refused, "upload: a ciphertext word is not below its bound");
    for (at, field) in
        [(7, "ciphertextRoot"), (BLOCKS * DATA_BLOCK_BYTES + 7, "checkRoot"), (bytes.len() - 1, "sharesCid")]
    {
        let mut other = bytes.clone();
        other[at] ^= 1;
        let line = scene.line(&own, 0).await.unwrap();
        line.take(other.into()).await.unwrap();
        let refused = line.finish(&own).await.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("contribution.{field}: the bytes received have ")), "{refused}");
        assert_eq!(scene.partials.offset(&own).await, 0);
    }
    let line = scene.line(&own, 0).await.unwrap();
    assert!(line.take([bytes.as_slice(), &[0]].concat().into()).await.is_err(), "longer than announced");
    assert_eq!((scene.files("blocks"), scene.files("tmp")), (0, 0));
}

#[tokio::test]
async fn the_end_of_training_is_the_end_of_it() {
    let scene = Scene::new().await;
    let (notices, notice) = watch::channel(RoundNotice::default());
    let sweeping = tokio::spawn(sweep(scene.partials.clone(), notice));
    let (bytes, own) = upload(1);
    scene.line(&own, 0).await.unwrap().take(piece(&bytes, 0..100)).await.unwrap();
    notices.send_modify(|notice| notice.state = State::Locked.name().into());
    drop(notices);
    sweeping.await.unwrap();
    assert_eq!(scene.partials.offset(&own).await, 0);
}

#[tokio::test]
async fn an_upload_for_which_there_is_no_room_is_refused_before_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let length: u64 = upload(1).0.len() as u64;
    let store = BoundedStore::open(dir.path(), Some(2 * length)).await.unwrap();
    let partials = Arc::new(Partials::default());
    let receive = async |participant| {
        let (_, own) = upload(participant);
        partials.receive(&own, lengths(&own), 0, &store).await.map(Option::unwrap)
    };
    let (first, _second) = (receive(1).await.unwrap(), receive(2).await.unwrap());
    assert!(receive(3).await.unwrap_err().is_full_disk());
    // From the beginning again: it takes its own room.
    receive(2).await.unwrap();
    assert!(first.take(vec![0xff; DATA_BLOCK_BYTES].into()).await.is_err());
    receive(3).await.unwrap();
}
