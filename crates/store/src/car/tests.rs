use std::sync::Arc;

use futures::{TryStreamExt, stream};
use proptest::prelude::*;

use super::*;
use crate::{
    BlockSource, MemoryStore, Store, StoreError,
    testing::{Counting, content, layout},
    walk::Walk,
};

async fn store_of(bytes: &Bytes, chunk: usize, width: usize) -> (Arc<MemoryStore>, Cid) {
    let store = Arc::new(MemoryStore::with_layout(layout(chunk, width)));
    let cid = store.put(bytes.clone()).await.unwrap();
    (store, cid)
}

async fn archive(store: &Arc<MemoryStore>, cid: &Cid, dups: Dups) -> Vec<u8> {
    let source: Arc<dyn BlockSource> = store.clone();
    let pieces: Vec<Bytes> = send(source, cid, dups).unwrap().try_collect().await.unwrap();
    pieces.concat()
}

/// Reads an archive from a peer that offers nothing else, in pieces of an odd length.
async fn read(archive: &[u8], root: &Cid, max: u64) -> Result<Vec<u8>, StoreError> {
    read_with(archive, root, max, &MemoryStore::new()).await
}

async fn read_with(archive: &[u8], root: &Cid, max: u64, repeats: &dyn BlockSource) -> Result<Vec<u8>, StoreError> {
    let pieces: Vec<_> = archive.chunks(1 + max as usize * 2 / 3).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    let mut walk = Walk::new(root, max)?;
    let mut out = Vec::new();
    let reader = CarReader::new(stream::iter(pieces));
    let size = receive(reader, &mut walk, repeats, Dups::No, &mut out).await?;
    assert_eq!(size, out.len() as u64);
    Ok(out)
}

/// Start and end of every section, the header first.
fn frames(archive: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < archive.len() {
        let (len, used) = varint(&archive[at..]).unwrap();
        out.push(at..at + used + len as usize);
        at += used + len as usize;
    }
    out
}

#[tokio::test]
async fn round_trip() {
    for size in [0usize, 1, 64, 65, 1000, 5000] {
        let bytes = content("trip", size);
        let (store, cid) = store_of(&bytes, 64, 3).await;
        for dups in [Dups::Yes, Dups::No] {
            let archive = archive(&store, &cid, dups).await;
            assert_eq!(read(&archive, &cid, size as u64).await.unwrap(), bytes);
        }
    }
}

/// Every single-bit flip of an archive is refused, or changes nothing that is read.
#[tokio::test]
async fn all_single_bit_flips() {
    let bytes = content("flips", 700);
    let (store, cid) = store_of(&bytes, 64, 4).await;
    let good = archive(&store, &cid, Dups::Yes).await;
    let header = frames(&good)[0].clone();
    let (mut refused, mut harmless) = (0, 0);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            match read(&bad, &cid, 700).await {
                Err(_) => refused += 1,
                Ok(out) => {
                    assert_eq!(out, bytes, "bit {bit} of byte {at}");
                    assert!(header.contains(&at), "bit {bit} of byte {at} went unnoticed");
                    harmless += 1;
                }
            }
        }
    }
    println!("{refused} flips refused, {harmless} harmless (in the unread header), 0 wrong");
    assert_eq!(refused + harmless, good.len() * 8);
    assert!(harmless <= header.len() * 8);
}

#[tokio::test]
async fn truncations_are_refused() {
    let bytes = content("cut", 500);
    let (store, cid) = store_of(&bytes, 64, 4).await;
    let good = archive(&store, &cid, Dups::Yes).await;
    for len in 0..good.len() {
        let error = read(&good[..len], &cid, 500).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "cut at {len}: {error}");
    }
    // What follows the last block was not asked for and is not read.
    let longer = [good.as_slice(), b"more"].concat();
    assert_eq!(read(&longer, &cid, 500).await.unwrap(), bytes);
}

#[tokio::test]
async fn reordering_and_other_files_are_refused() {
    let bytes = content("order", 500);
    let (store, cid) = store_of(&bytes, 64, 4).await;
    let good = archive(&store, &cid, Dups::Yes).await;
    let frames = frames(&good);
    for i in 1..frames.len() - 1 {
        let mut bad = good[..frames[i].start].to_vec();
        bad.extend_from_slice(&good[frames[i + 1].clone()]);
        bad.extend_from_slice(&good[frames[i].clone()]);
        bad.extend_from_slice(&good[frames[i + 1].end..]);
        let error = read(&bad, &cid, 500).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { reason: Refusal::OutOfOrder, .. }), "{i}: {error}");
    }
    let (other, other_cid) = store_of(&content("other", 500), 64, 4).await;
    let other = archive(&other, &other_cid, Dups::Yes).await;
    assert!(read(&other, &cid, 500).await.is_err());
    // Its own header in front of the right blocks is harmless: the header is not read.
    let mixed = [header(&other_cid).as_ref(), &good[frames[0].end..]].concat();
    assert_eq!(read(&mixed, &cid, 500).await.unwrap(), bytes);
}

#[tokio::test]
async fn the_bound_holds_for_archives() {
    let bytes = content("bound", 500);
    let (store, cid) = store_of(&bytes, 64, 4).await;
    let good = archive(&store, &cid, Dups::Yes).await;
    let error = read(&good, &cid, 499).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { size: 500, max: 499, .. }), "{error}");
}

#[tokio::test]
async fn oversize_frames_are_refused_before_they_are_read() {
    let cid = crate::cid_of(b"x", crate::Layout::V1_2025);
    for (start, reason) in [
        (vec![0xff, 0xff, 0xff, 0x7f], Refusal::Oversize),
        (vec![0xff; 11], Refusal::BadFraming),
        (vec![0x00], Refusal::BadFraming),
    ] {
        for prefix in [Bytes::new(), header(&cid)] {
            let bad = [prefix.as_ref(), &start].concat();
            let error = read(&bad, &cid, 10).await.unwrap_err();
            let StoreError::Refused { reason: found, .. } = error else { panic!("{error}") };
            assert_eq!(found, reason);
        }
    }
}

#[tokio::test]
async fn repeats_left_out_come_from_the_cache() {
    // Whole equal subtrees, then a different tail.
    let bytes = Bytes::from([content("zero", 64 * 20), content("tail", 100)].concat());
    let (store, cid) = store_of(&bytes, 64, 4).await;
    let (all, once) = (archive(&store, &cid, Dups::Yes).await, archive(&store, &cid, Dups::No).await);
    assert!(once.len() < all.len() / 2);
    assert_eq!(read(&all, &cid, bytes.len() as u64).await.unwrap(), bytes);
    assert_eq!(read(&once, &cid, bytes.len() as u64).await.unwrap(), bytes);
}

#[tokio::test]
async fn repeats_beyond_the_cache_are_asked_for() {
    let mib = 1 << 20;
    let first = content("first", mib);
    let bytes = Bytes::from([&first[..], &content("many", 20 * mib), &first[..]].concat());
    let (store, cid) = store_of(&bytes, mib, 1024).await;
    let once = archive(&store, &cid, Dups::No).await;
    let counting = Counting::new(store);
    let out = read_with(&once, &cid, bytes.len() as u64, &counting).await.unwrap();
    assert!(out == bytes);
    assert_eq!(counting.take(), 1);
}

#[tokio::test]
async fn repeats_announced_but_left_out_are_refused() {
    let bytes = content("zero", 64 * 20);
    let (store, cid) = store_of(&bytes, 64, 4).await;
    let once = archive(&store, &cid, Dups::No).await;
    let reader = CarReader::new(stream::iter([Ok(Bytes::from(once))]));
    let mut walk = Walk::new(&cid, bytes.len() as u64).unwrap();
    let none = MemoryStore::new();
    let read = receive(reader, &mut walk, &none, Dups::Yes, &mut Vec::new()).await;
    assert!(read.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    /// Damage of any kind, many bytes at once: an error or the right bytes.
    #[test]
    fn damaged_archives(cuts in proptest::collection::vec((0usize..2000, any::<u8>()), 1..20), keep in 0usize..2000) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bytes = content("damage", 600);
            let (store, cid) = store_of(&bytes, 64, 4).await;
            let mut bad = archive(&store, &cid, Dups::Yes).await;
            for (at, to) in cuts {
                let at = at % bad.len();
                bad[at] = to;
            }
            bad.truncate(bad.len().saturating_sub(keep % 50));
            if let Ok(out) = read(&bad, &cid, 600).await {
                prop_assert_eq!(out, bytes);
            }
            Ok(())
        })?;
    }
}
