use super::*;

const MIB: usize = 1 << 20;

/// So long that it has a root and leaves, and its like is nowhere.
fn noise(seed: u8, length: usize) -> Bytes {
    let mut word = u64::from(seed) + 1;
    let mut next = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn it_is_full_before_the_disk_is_and_has_room_again_once_something_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = BoundedStore::open(dir.path(), Some(10 << 20)).await.unwrap();
    let (first, second) = (noise(1, 3 * MIB), noise(2, 3 * MIB));
    let (one, two) = (store.put(first.clone()).await.unwrap(), store.put(second.clone()).await.unwrap());
    // What is there is not written again, and leaves as much room as before.
    for _ in 0..3 {
        assert_eq!(store.put(first.clone()).await.unwrap(), one);
    }
    let error = store.put(noise(3, 5 * MIB)).await.unwrap_err();
    assert!(error.is_full_disk() && error.to_string().contains("the quota of 10 MiB"), "{error}");
    // The same for whoever opens the folder next.
    let store = BoundedStore::open(dir.path(), Some(10 << 20)).await.unwrap();
    assert!(store.put_all(vec![noise(3, 3 * MIB), noise(4, 2 * MIB)]).await.unwrap_err().is_full_disk());

    assert!(store.forget(vec![one], vec![]).await.unwrap() > 3 * MIB as u64, "its leaves and its root");
    assert_eq!(store.forget(vec![one], vec![]).await.unwrap(), 0);
    assert!(store.get(&one, u64::MAX).await.unwrap_err().is_missing());
    assert_eq!(store.get(&two, u64::MAX).await.unwrap(), second);
    let arrived = |seed, length| {
        let mut incoming = store.incoming();
        incoming.write(&noise(seed, length)).unwrap();
        incoming.finish().unwrap()
    };
    assert!(store.keep(vec![arrived(5, 8 * MIB)]).await.unwrap_err().is_full_disk());
    store.keep(vec![arrived(3, 5 * MIB)]).await.unwrap();
    assert_eq!(fs::read_dir(dir.path().join("blocks")).unwrap().count(), 4 + 6, "two roots, three leaves and five");
}

#[tokio::test]
async fn what_is_on_its_way_has_its_room_until_it_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = BoundedStore::open(dir.path(), Some(5 << 20)).await.unwrap();
    let length = 2 * MIB as u64;
    let (mut first, second) = (store.expect(length).await.unwrap(), store.expect(length).await.unwrap());
    let error = store.expect(length).await.unwrap_err();
    assert!(error.is_full_disk() && error.to_string().contains("the quota of 5 MiB"), "{error}");
    assert!(store.put(noise(1, 2 * MIB)).await.unwrap_err().is_full_disk(), "what is put counts alike");
    drop(second);
    let mut third = store.expect(length).await.unwrap();
    let bytes = [noise(1, 2 * MIB), noise(2, 2 * MIB)];
    first.write(&bytes[0]).unwrap();
    third.write(&bytes[1]).unwrap();
    let whole = [first, third].map(|incoming| incoming.finish().unwrap());
    store.keep(whole.into()).await.unwrap();
    assert!(store.expect(length).await.unwrap_err().is_full_disk());
    store.expect(MIB as u64 / 2).await.unwrap();
}

#[tokio::test]
async fn what_is_kept_stays_whole_though_it_shares_blocks_with_what_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = BoundedStore::open(dir.path(), None).await.unwrap();
    let [first, second, third] = [1, 2, 3].map(|seed| noise(seed, MIB));
    let joined = |parts: &[&Bytes]| Bytes::from(parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<_>>());
    let (old, later) = (joined(&[&first, &second]), joined(&[&third, &second]));
    let gone = store.put(old.clone()).await.unwrap();
    let kept = store.put(later.clone()).await.unwrap();

    assert_eq!(store.forget(vec![gone], vec![gone, kept]).await.unwrap(), 0, "the same file was sent again");
    assert_eq!(store.get(&gone, u64::MAX).await.unwrap(), old);
    let freed = store.forget(vec![gone], vec![kept]).await.unwrap();
    assert!((MIB as u64..2 * MIB as u64).contains(&freed), "a leaf and the root: {freed}");
    assert_eq!(store.get(&kept, u64::MAX).await.unwrap(), later);
    // A leaf that is a file of its own.
    let leaf = store.put(third).await.unwrap();
    store.forget(vec![kept], vec![leaf]).await.unwrap();
    assert!(store.get(&leaf, u64::MAX).await.is_ok() && store.get(&kept, u64::MAX).await.is_err());
}

#[tokio::test]
async fn what_comes_while_it_is_decided_what_is_kept_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = BoundedStore::open(dir.path(), None).await.unwrap();
    let bytes = noise(1, 2 * MIB);
    let cid = store.put(bytes.clone()).await.unwrap();
    store.watch();
    // Nothing of it has to be written.
    let mut incoming = store.incoming();
    incoming.write(&bytes).unwrap();
    let whole = incoming.finish().unwrap();
    assert_eq!(store.forget(vec![cid], vec![]).await.unwrap(), 0);
    store.keep(vec![whole]).await.unwrap();
    assert_eq!(store.get(&cid, u64::MAX).await.unwrap(), bytes);
    store.watch();
    assert!(store.forget(vec![cid], vec![]).await.unwrap() > 0);
}

#[tokio::test]
async fn without_a_bound_it_takes_what_there_is_room_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = BoundedStore::open(dir.path(), None).await.unwrap();
    let cid = store.put(noise(1, 10)).await.unwrap();
    assert_eq!(store.forget(vec![cid], vec![]).await.unwrap(), 10);
}
