use aes::cipher::{BlockCipherEncrypt, KeyInit};

use super::*;

/// The specification read word by word: one AES call per 16 bytes of stream.
fn naive_block(seed: &EpochSeed, domain: u32, j: u64) -> Vec<u64> {
    let cipher = Aes128::new_from_slice(&seed.0[..16]).unwrap();
    let mut stream = (0u32..).flat_map(|counter| {
        let mut block = [domain.to_be_bytes().as_slice(), &j.to_be_bytes(), &counter.to_be_bytes()].concat();
        let block: &mut [u8; 16] = block.as_mut_slice().try_into().unwrap();
        let mut block = (*block).into();
        cipher.encrypt_block(&mut block);
        block.chunks(8).map(|b| u64::from_be_bytes(b.try_into().unwrap()) & ((1 << 50) - 1)).collect::<Vec<_>>()
    });
    let mut words: Vec<u64> = stream.by_ref().take(N).collect();
    let mut further = stream.filter(|&w| w < Q);
    words.iter_mut().filter(|w| **w >= Q).for_each(|w| *w = further.next().unwrap());
    words
}

#[test]
fn expansion_equals_the_naive_reading() {
    let seed = EpochSeed::derive(1, &[7; 20], 3, 4, &[9; 32]);
    for j in [0, 1, 12_345, u64::MAX] {
        assert_eq!(seed.data_block(j).as_slice(), naive_block(&seed, 1, j));
        assert_eq!(seed.check_block(j).as_slice(), naive_block(&seed, 2, j));
    }
}

#[test]
fn rejected_words_are_replaced_in_order_of_position() {
    let mut words = [5; N];
    words[3] = Q;
    words[2000] = MASK;
    let mut further = [Q + 1, 11, Q, Q, 12, 13].into_iter();
    replace_rejected(&mut words, || further.next().unwrap());
    assert_eq!((words[3], words[2000], further.next()), (11, 12, Some(13)));
    assert_eq!(words.iter().filter(|&&w| w == 5).count(), N - 2);
}

#[test]
fn the_root_covers_data_and_check_blocks() {
    let seed = EpochSeed([3; 32]);
    let blocks = (0..3).map(|j| seed.data_block(j));
    let bytes: Vec<u8> = blocks
        .chain((0..4).map(|k| seed.check_block(k)))
        .flat_map(|b| b.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>())
        .collect();
    let expected = tree::vector_root(tree::kind::MATRIX, 8, &bytes);
    assert_eq!(matrix_root(&seed, 3), expected);
    assert_ne!(matrix_root(&seed, 2), expected);
}
