use std::collections::HashMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{
    Store,
    testing::{content, layout},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    chunk: usize,
    width: usize,
    seed: String,
    size: usize,
    sha256: String,
    cid: String,
}

fn vectors() -> Vec<Case> {
    let json = include_str!("../../../../tests/vectors/cid/0/unixfs-v1-2025.json");
    serde_json::from_str(json).unwrap()
}

fn read_all(bytes: &[u8], layout: Layout) -> (Cid, HashMap<Cid, Bytes>) {
    let mut blocks = HashMap::new();
    let cid = build_from(&mut &*bytes, layout, &|e| panic!("{e}"), &mut |cid, block| {
        blocks.insert(cid, block);
        Ok(())
    });
    (cid.unwrap(), blocks)
}

#[test]
fn cids_equal_the_javascript_importers() {
    let cases = vectors();
    assert!(cases.len() >= 30);
    for case in cases {
        let name = format!("{} bytes of {}, {} x {}", case.size, case.seed, case.chunk, case.width);
        let bytes = content(&case.seed, case.size);
        let hex: String = sha256(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, case.sha256, "content of {name}");
        let layout = layout(case.chunk, case.width);
        assert_eq!(cid_of(&bytes, layout).to_string(), case.cid, "{name}");
        assert_eq!(read_all(&bytes, layout).0.to_string(), case.cid, "streamed {name}");
    }
}

#[test]
fn the_profile_is_what_the_vectors_use() {
    assert_eq!(layout(1 << 20, 1024), Layout::V1_2025);
    assert_eq!(Layout::custom(0, 1024), None);
    assert_eq!(Layout::custom(MAX_BLOCK + 1, 1024), None);
    assert_eq!(Layout::custom(16, 1), None);
    assert_eq!(Layout::custom(16, 1 << 20), None);
}

#[test]
fn every_boundary_bit_matters() {
    let (layout, size) = (layout(16, 3), 16 * 9 + 1);
    let whole = content("flip", size);
    let cid = cid_of(&whole, layout);
    for at in [0, 15, 16, 47, 48, 143, 144] {
        for bit in 0..8 {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1 << bit;
            assert_ne!(cid_of(&flipped, layout), cid, "bit {bit} of byte {at}");
        }
    }
    assert_ne!(cid_of(&whole[..size - 1], layout), cid);
    let mut longer = whole.to_vec();
    longer.push(0);
    assert_ne!(cid_of(&longer, layout), cid);
}

/// A reader that returns as few bytes as it likes must not move chunk borders.
#[test]
fn short_reads_do_not_move_chunks() {
    struct Dribble<'a>(&'a [u8], usize);
    impl Read for Dribble<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.1 = self.1 % 7 + 1;
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    let (bytes, layout) = (content("dribble", 1000), layout(16, 4));
    let streamed = build_from(&mut Dribble(&bytes, 0), layout, &|e| panic!("{e}"), &mut |_, _| Ok(()));
    assert_eq!(streamed.unwrap(), cid_of(&bytes, layout));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_stored_is_read(size in 0usize..4000, chunk in 1usize..70, width in 2usize..9) {
        let (bytes, layout) = (content("p", size), layout(chunk, width));
        let store = crate::MemoryStore::with_layout(layout);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let cid = store.put(bytes.clone()).await.unwrap();
            prop_assert_eq!(cid, cid_of(&bytes, layout));
            prop_assert_eq!(cid, read_all(&bytes, layout).0);
            prop_assert_eq!(store.get(&cid, size as u64).await.unwrap(), bytes);
            Ok(())
        })?;
    }
}
