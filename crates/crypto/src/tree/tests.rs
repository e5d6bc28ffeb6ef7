use proptest::prelude::*;

use super::*;

/// The definition, row by row.
fn naive_root(kind: u8, leaves: &[Vec<u8>]) -> Hash {
    let mut row: Vec<Hash> = (leaves.iter().enumerate()).map(|(i, d)| leaf_hash(kind, i as u64, d)).collect();
    let top = if row.is_empty() {
        [0; 32]
    } else {
        row.resize(row.len().next_power_of_two(), [0; 32]);
        while row.len() > 1 {
            row = row.chunks(2).map(|p| node_hash(&p[0], &p[1])).collect();
        }
        row[0]
    };
    root_hash(kind, leaves.len() as u64, &top)
}

fn leaves(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| vec![i as u8; 1 + i % 5]).collect()
}

#[test]
fn streaming_equals_the_definition_and_proofs_verify() {
    for n in (0..20).chain([63, 64, 65]) {
        let data = leaves(n);
        let expected = naive_root(7, &data);
        assert_eq!(root(7, &data), expected, "{n} leaves");
        let hashes: Vec<Hash> = (0..n).map(|i| leaf_hash(7, i as u64, &data[i])).collect();
        for i in 0..n {
            let path = proof(&hashes, i as u64).unwrap();
            let (count, i) = (n as u64, i as u64);
            let datum = &data[i as usize];
            assert!(verify(&expected, 7, count, i, datum, &path));
            assert!(!verify(&expected, 8, count, i, datum, &path));
            assert!(!verify(&expected, 7, count + 1, i, datum, &path));
            assert!(!verify(&expected, 7, count, i ^ 1, datum, &path));
            assert!(!verify(&expected, 7, count, i, b"other", &path));
        }
        assert!(proof(&hashes, n as u64).is_none());
    }
}

#[test]
fn a_padding_leaf_is_not_a_leaf() {
    let three = root(1, leaves(3));
    let mut four = leaves(3);
    four.push(Vec::new());
    assert_ne!(three, root(1, four));
}

#[test]
fn ranges_out_of_place_are_refused() {
    assert!(subtree_root(1, 2, 4, leaves(4)).is_err());
    assert!(subtree_root(1, 0, 3, leaves(3)).is_err());
    assert!(subtree_root(1, 0, 4, leaves(5)).is_err());
    let one = subtree_root(1, 0, 4, leaves(4)).unwrap();
    assert!(root_from_subtrees(1, 4, 4, &[one, one]).is_err());
    assert!(root_from_subtrees(1, 2, 4, &[one]).is_err());
}

/// Some hashed many at once, the others one by one.
#[test]
fn vectors_are_lists_of_their_leaves() {
    for (word, words) in [(6, 0), (6, 1), (6, 2048), (8, 2048 + 128 * 3 + 5), (4, 3 * 2048 + 127), (8, 128 * 15)] {
        let bytes: Vec<u8> = (0..word * words).map(|i| ((i * 31) >> 2) as u8).collect();
        let list: Vec<Vec<u8>> = bytes.chunks(LEAF_WORDS * word).map(<[u8]>::to_vec).collect();
        assert_eq!(vector_root(0x22, word, &bytes), naive_root(0x22, &list), "{words} words of {word}");
        // In pieces of whole leaves.
        let mut hasher = TreeHasher::new(0x22);
        bytes.chunks(LEAF_WORDS * word * 21).for_each(|piece| hasher.extend(word, piece));
        assert_eq!((hasher.finish(), hasher.leaves()), (naive_root(0x22, &list), list.len() as u64));
        let size = (list.len() as u64).next_power_of_two();
        let range = vector_subtree_root(0x22, word, 3 * size, size, &bytes).unwrap();
        assert_eq!(range, subtree_root(0x22, 3 * size, size, &list).unwrap());
        if size > 1 {
            assert!(vector_subtree_root(0x22, word, 0, size / 2, &bytes).is_err());
        }
    }
}

proptest! {
    #[test]
    fn subtree_roots_make_the_root_of_the_whole(n in 1usize..200, log in 0u32..6) {
        let size = (1u64 << log).min((n as u64).next_power_of_two());
        let data = leaves(n);
        let subtrees: Vec<Hash> = data
            .chunks(size as usize)
            .enumerate()
            .map(|(i, range)| subtree_root(0x20, i as u64 * size, size, range).unwrap())
            .collect();
        prop_assert_eq!(root_from_subtrees(0x20, n as u64, size, &subtrees).unwrap(), naive_root(0x20, &data));
    }
}
