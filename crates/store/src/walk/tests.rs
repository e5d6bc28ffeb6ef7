use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    BlockSource, MemoryStore, Store, dag,
    ids::{DAG_PB, cid_from_digest, sha256},
    pb::{Link, encode_inner},
    testing::{Counting, content, layout},
};

/// Stores a hand-made block under its true CID.
fn keep(store: &MemoryStore, codec: u64, block: Vec<u8>) -> Cid {
    let cid = cid_from_digest(codec, &sha256(&block));
    store.insert(&cid, block.into()).unwrap();
    cid
}

fn node(store: &MemoryStore, children: &[(Cid, u64)]) -> Cid {
    let link = |(cid, size): &(Cid, u64)| Link { cid: *cid, size: *size, total: *size };
    keep(store, DAG_PB, encode_inner(&children.iter().map(link).collect::<Vec<_>>()))
}

async fn refused(store: &MemoryStore, cid: &Cid) -> Malformed {
    match store.get(cid, u64::MAX).await {
        Err(StoreError::Malformed { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_bound_is_exact() {
    for size in [0usize, 1, 16, 17, 1000] {
        let store = MemoryStore::with_layout(layout(16, 3));
        let bytes = content("bound", size);
        let cid = store.put(bytes.clone()).await.unwrap();
        assert_eq!(store.get(&cid, size as u64).await.unwrap(), bytes);
        let Some(short) = size.checked_sub(1) else { continue };
        let counting = Counting::new(Arc::new(store));
        let mut walk = Walk::new(&cid, short as u64).unwrap();
        let error = dag::finish(&counting, &mut walk, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
        assert_eq!(counting.take(), 1, "refused at the root");
    }
}

#[tokio::test]
async fn lying_trees_are_refused() {
    let store = MemoryStore::new();
    let leaf = keep(&store, RAW, b"four".to_vec());
    let two = node(&store, &[(leaf, 4), (leaf, 4)]);
    assert_eq!(store.get(&two, 8).await.unwrap(), "fourfour");
    let long = node(&store, &[(leaf, 5)]);
    assert_eq!(refused(&store, &long).await, Malformed::Sizes);
    let inner = node(&store, &[(two, 9)]);
    assert_eq!(refused(&store, &inner).await, Malformed::Sizes);
    let directory = keep(&store, DAG_PB, vec![0x0a, 2, 8, 1]);
    assert_eq!(refused(&store, &directory).await, Malformed::NotAFile);
    let inside = node(&store, &[(directory, 4)]);
    assert_eq!(refused(&store, &inside).await, Malformed::NotAFile);
    let garbage = keep(&store, DAG_PB, b"garbage".to_vec());
    assert_eq!(refused(&store, &garbage).await, Malformed::NotDagPb);
}

#[tokio::test]
async fn endless_trees_are_refused() {
    let store = MemoryStore::new();
    let mut deep = keep(&store, RAW, b"x".to_vec());
    for _ in 0..MAX_DEPTH {
        deep = node(&store, &[(deep, 1)]);
    }
    assert_eq!(store.get(&deep, 1).await.unwrap(), "x");
    assert_eq!(store.range(&deep, 0, 1).await.unwrap(), "x");
    let deeper = node(&store, &[(deep, 1)]);
    assert_eq!(refused(&store, &deeper).await, Malformed::TooDeep);
    assert!(store.range(&deeper, 0, 1).await.is_err());

    // One-byte leaves: each costs some 50 bytes of nodes.
    let leaf = keep(&store, RAW, b"y".to_vec());
    let wide = node(&store, &vec![(leaf, 1); 20_000]);
    let heavy = node(&store, &vec![(wide, 20_000); 8]);
    assert_eq!(refused(&store, &heavy).await, Malformed::TooManyNodes);
}

#[tokio::test]
async fn older_layouts_are_read() {
    let store = MemoryStore::new();
    // dag-pb leaf, named by CIDv0 inside and outside.
    let leaf = keep(&store, DAG_PB, vec![0x0a, 9, 8, 2, 0x12, 3, b'a', b'b', b'c', 0x18, 3]);
    let leaf = Cid::new_v0(*leaf.hash()).unwrap();
    let root = node(&store, &[(leaf, 3), (leaf, 3)]);
    let root = Cid::new_v0(*root.hash()).unwrap();
    assert_eq!(store.get(&root, 6).await.unwrap(), "abcabc");
    assert_eq!(store.range(&root, 2, 2).await.unwrap(), "ca");
}

#[tokio::test]
async fn a_refusal_leaves_the_walk_where_it_was() {
    let store = MemoryStore::with_layout(layout(16, 3));
    let bytes = content("again", 100);
    let cid = store.put(bytes.clone()).await.unwrap();
    let mut walk = Walk::new(&cid, 100).unwrap();
    let mut out = Vec::new();
    while let Some(next) = walk.expected() {
        let bad = walk.accept(Bytes::from_static(b"nonsense").into(), &store.place());
        assert!(matches!(bad, Err(StoreError::Refused { reason: Refusal::WrongHash, .. })));
        let block = store.block(&next).await.unwrap().unwrap();
        out.extend_from_slice(&walk.accept(block.into(), &store.place()).unwrap());
    }
    assert_eq!(out, bytes);
    assert!(walk.accept(bytes.into(), &store.place()).is_err());
}

#[tokio::test]
async fn a_range_reads_only_its_blocks() {
    let store = Arc::new(MemoryStore::with_layout(layout(16, 4)));
    let bytes = content("range", 16 * 64);
    let cid = store.put(bytes.clone()).await.unwrap();
    let counting = Counting::new(store);
    // Three levels of nodes and the leaves touched.
    for (offset, len, blocks) in [(0, 16, 4), (15, 2, 5), (1008, 16, 4), (496, 32, 7)] {
        let got = dag::range(&counting, &cid, offset, len).await.unwrap();
        assert_eq!(got, bytes[offset as usize..(offset + len) as usize]);
        assert_eq!(counting.take(), blocks, "{len} bytes at {offset}");
    }
    for (offset, len) in [(0, 1025), (1024, 1), (1025, 0), (u64::MAX, 1), (1, u64::MAX)] {
        let error = dag::range(&counting, &cid, offset, len).await.unwrap_err();
        assert!(matches!(error, StoreError::OutOfRange { size: 1024, .. }), "{error}");
    }
    assert!(dag::range(&counting, &cid, 1024, 0).await.unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_range_is_a_slice(
        size in 0usize..3000, chunk in 1usize..50, width in 2usize..7, a in 0usize..3000, b in 0usize..3000,
    ) {
        let (from, to) = (a.min(b).min(size), a.max(b).min(size));
        let store = MemoryStore::with_layout(layout(chunk, width));
        let bytes = content("slice", size);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let got = runtime.block_on(async {
            let cid = store.put(bytes.clone()).await.unwrap();
            store.range(&cid, from as u64, (to - from) as u64).await.unwrap()
        });
        prop_assert_eq!(got, &bytes[from..to]);
    }
}
