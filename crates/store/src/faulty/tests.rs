use super::*;
use crate::{
    MemoryStore, Refusal,
    testing::{content, layout},
};

async fn store(faults: Faults, size: usize) -> (FaultyStore, Cid, Bytes) {
    let inner = Arc::new(MemoryStore::with_layout(layout(64, 4)));
    let bytes = content("faulty", size);
    let cid = inner.put(bytes.clone()).await.unwrap();
    (FaultyStore::new(inner, faults), cid, bytes)
}

#[tokio::test]
async fn each_fault_is_a_typed_error() {
    let (faulty, cid, bytes) = store(Faults::default(), 300).await;
    assert_eq!(faulty.get(&cid, 300).await.unwrap(), bytes);
    faulty.inject(&cid, Injected::Missing).unwrap();
    assert!(faulty.get(&cid, 300).await.unwrap_err().is_missing());
    for fault in [Injected::FlippedByte, Injected::Truncated] {
        faulty.inject(&cid, fault).unwrap();
        for error in [faulty.get(&cid, 300).await.unwrap_err(), faulty.range(&cid, 0, 10).await.unwrap_err()] {
            let StoreError::Refused { reason, .. } = error else { panic!("{error}") };
            assert_eq!(reason, Refusal::WrongHash);
        }
        assert!(faulty.block(&cid).await.unwrap().is_some(), "the lie itself");
    }
}

#[tokio::test]
async fn a_seed_reproduces_a_run_and_no_fault_yields_wrong_bytes() {
    let (mut wrong, mut right) = (0, 0);
    for seed in 0..200 {
        let faults =
            Faults { seed, missing_per_mille: 40, flipped_per_mille: 40, truncated_per_mille: 40, heals_after: None };
        let (one, cid, bytes) = store(faults.clone(), 1000).await;
        let (two, ..) = store(faults, 1000).await;
        let (one, two) = (one.get(&cid, 1000).await, two.get(&cid, 1000).await);
        match (one, two) {
            (Ok(a), Ok(b)) => {
                assert!(a == bytes && b == bytes);
                right += 1;
            }
            (Err(a), Err(b)) => {
                assert_eq!(a.to_string(), b.to_string());
                wrong += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(wrong > 20 && right > 5, "{wrong} {right}");
}

#[tokio::test]
async fn faults_heal_after_a_while() {
    let faults = Faults { missing_per_mille: 1000, heals_after: Some(2), ..Faults::default() };
    let (faulty, cid, bytes) = store(faults, 50).await;
    for _ in 0..2 {
        assert!(faulty.get(&cid, 50).await.is_err());
    }
    assert_eq!(faulty.get(&cid, 50).await.unwrap(), bytes);
    assert_eq!(faulty.failures(), 2);
}

#[tokio::test]
async fn an_altered_byte_goes_unnoticed() {
    let (faulty, cid, bytes) = store(Faults::default(), 300).await;
    faulty.alter(&cid, 100).unwrap();
    let mut expected = bytes.to_vec();
    expected[100] ^= 1;
    assert_eq!(faulty.get(&cid, 300).await.unwrap(), expected);
    assert_eq!(faulty.range(&cid, 90, 20).await.unwrap(), expected[90..110]);
    for (offset, len) in [(0, 100), (101, 199)] {
        let end = offset + len;
        assert_eq!(faulty.range(&cid, offset as u64, len as u64).await.unwrap(), bytes[offset..end]);
    }
}
