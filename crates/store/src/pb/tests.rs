use proptest::prelude::*;

use super::*;
use crate::ids::{RAW, cid_from_digest};

fn link(tag: u8, size: u64) -> Link {
    Link { cid: cid_from_digest(RAW, &[tag; 32]), size, total: size }
}

#[test]
fn decoding_what_we_encode_is_identity() {
    let links = [link(1, 1 << 20), link(2, 1 << 20), link(3, 7)];
    let Node::Inner(children) = decode(&encode_inner(&links)).unwrap() else { panic!("a leaf") };
    let back: Vec<_> = children.iter().map(|c| (c.cid, c.size)).collect();
    assert_eq!(back, links.iter().map(|l| (l.cid, l.size)).collect::<Vec<_>>());
}

#[test]
fn wrapped_leaf() {
    // {Data: {Type: File, Data: "abc", filesize: 3}}
    let block = [0x0a, 9, 8, 2, 0x12, 3, b'a', b'b', b'c', 0x18, 3];
    let Node::Leaf(range) = decode(&block).unwrap() else { panic!("inner") };
    assert_eq!(&block[range], b"abc");
    let mut wrong = block;
    wrong[10] = 4;
    assert_eq!(decode(&wrong), Err(Malformed::Sizes));
}

#[test]
fn bad_nodes() {
    let check = |block: &[u8], expected: Malformed| assert_eq!(decode(block), Err(expected));
    check(&[], Malformed::NotUnixFs);
    check(&[0x0a, 2, 8, 1], Malformed::NotAFile);
    check(&[0x0a, 5, 8, 2], Malformed::NotDagPb);
    check(&[0x0a, 2, 8, 2, 0x0a, 2, 8, 2], Malformed::NotDagPb);
    check(&[0x0a, 2, 8, 2, 0x1a, 0], Malformed::NotDagPb);
    check(&encode_inner(&[link(1, 0)]), Malformed::Shape);
    // Sizes whose sum wraps round to the claimed file size.
    let mut data = vec![8, 2, 0x18];
    put_varint(&mut data, 1);
    for size in [u64::MAX, 2] {
        data.push(0x20);
        put_varint(&mut data, size);
    }
    let mut block = Vec::new();
    for tag in [1, 2] {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 0x0a, &link(tag, 1).cid.to_bytes());
        put_bytes(&mut block, 0x12, &entry);
    }
    put_bytes(&mut block, 0x0a, &data);
    check(&block, Malformed::Sizes);
}

#[test]
fn varints_are_shortest() {
    assert_eq!(varint(&[0x80, 0x00]), None);
    assert_eq!(varint(&[0xff; 10]), None);
    assert_eq!(varint(&[]), None);
    for value in [0, 1, 127, 128, 1 << 32, u64::MAX] {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(varint(&out), Some((value, out.len())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn damaged_nodes_never_panic(at in 0usize..400, to in any::<u8>()) {
        let mut block = encode_inner(&[link(1, 5), link(2, 5), link(9, 1)]);
        let at = at % block.len();
        block[at] = to;
        let _ = decode(&block);
    }
}
