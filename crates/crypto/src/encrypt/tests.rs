use subtle::ConstantTimeEq;

use super::*;
use crate::ring::{add, centre, from_signed, intt, mul, sub, zero_poly};
use crate::testing::{rng, secret};
use crate::words::unpack4;

/// An encryptor that stands at block `j`.
fn at(j: u64, seed: &EpochSeed, s: Secret, params: &Params) -> Encryptor {
    let mut encryptor = Encryptor::new(*seed, s, *params);
    encryptor.next = j;
    encryptor
}

/// `a·s` as coefficients.
fn masks(a: &Poly, s: &Secret) -> Box<Poly> {
    let mut x = zero_poly();
    for (x, (&a, &s)) in x.iter_mut().zip(a.iter().zip(s.words())) {
        *x = mul(a, s);
    }
    intt(&mut x);
    x
}

#[test]
fn what_is_left_of_a_block_is_message_noise_and_dropped_bits() {
    let (seed, s) = (EpochSeed([1; 32]), secret(1));
    let params = Params::new(1 << 17, 32_767).unwrap();
    let message: Vec<i32> = (0..N as i32 - 1).map(|i| (i * 31) % 65_535 - 32_767).collect();
    let mut block = [0; DATA_BLOCK_BYTES];
    let mut encryptor = at(3, &seed, secret(1), &params);
    encryptor.next_block(&message, &mut rng(1), &mut block).unwrap();
    check_data_block(&block).unwrap();
    let mask = masks(&seed.data_block(3), &s);
    let words = block.as_chunks::<24>().0.iter().flat_map(unpack4);
    let padded = message.iter().copied().chain([0]);
    for ((w, &x), m) in words.zip(mask.iter()).zip(padded) {
        let shift = from_signed(i64::from(m) << 17);
        let left = centre(sub(w << DROP_BITS, add(x, shift)));
        // The dropped bits take away 0 to 3.
        assert!((-NOISE_MAX - 3..=NOISE_MAX).contains(&left), "{left}");
    }
}

#[test]
fn check_blocks_encrypt_zero_with_all_bits() {
    let (seed, s) = (EpochSeed([1; 32]), secret(1));
    let check = Encryptor::new(seed, secret(1), Params::new(1 << 17, 1).unwrap()).finish(&mut rng(1));
    let mut squares = 0;
    for (k, block) in check.chunks(WIDE_BLOCK_BYTES).enumerate() {
        let mask = masks(&seed.check_block(k as u64), &s);
        for (b, &x) in block.as_chunks::<8>().0.iter().zip(mask.iter()) {
            let w = u64::from_be_bytes(*b);
            assert!(w < Q);
            let e = centre(sub(w, x));
            assert!(e.abs() <= NOISE_MAX);
            squares += e * e;
        }
    }
    let variance = squares as f64 / (4 * N) as f64;
    assert!((variance - 16.0).abs() < 1.5, "{variance}");
}

#[test]
fn a_whole_update_is_its_blocks_and_its_roots() {
    let seed = EpochSeed([1; 32]);
    let params = Params::new(1 << 17, 100).unwrap();
    let update: Vec<i32> = (0..N as i32 + 7).map(|i| i % 201 - 100).collect();
    let c = encrypt_update(&seed, secret(1), &update, &params, &mut rng(1)).unwrap();
    assert_eq!((c.data.len(), c.check.len()), (2 * DATA_BLOCK_BYTES, CHECK_BYTES));
    let mut same = rng(1);
    let mut encryptor = Encryptor::new(seed, secret(1), params);
    let mut block = [0; DATA_BLOCK_BYTES];
    for (j, message) in update.chunks(N).enumerate() {
        encryptor.next_block(message, &mut same, &mut block).unwrap();
        assert_eq!(c.data[j * DATA_BLOCK_BYTES..][..DATA_BLOCK_BYTES], block);
    }
    assert_eq!(c.check, encryptor.finish(&mut same));
    let ranges: Vec<Hash> = (c.data.chunks(DATA_BLOCK_BYTES).enumerate())
        .map(|(j, b)| tree::vector_subtree_root(tree::kind::CIPHERTEXT, 6, 16 * j as u64, 16, b).unwrap())
        .collect();
    let root = tree::root_from_subtrees(tree::kind::CIPHERTEXT, 32, 16, &ranges).unwrap();
    assert_eq!(root, c.ciphertext_root);
    assert_eq!(tree::vector_root(tree::kind::CHECK, 8, &c.check), c.check_root);
    assert_eq!(format!("{c:?}"), "Ciphertext { blocks: 2, .. }");
}

#[test]
fn every_input_changes_the_secret_and_the_noise() {
    let (os, ctx, digest) = ([1; 32], [2; 32], update_digest(&[1, -2]));
    let s = Secret::draw(&os, &ctx, &digest);
    assert!(bool::from(s.ct_eq(&Secret::draw(&os, &ctx, &digest))));
    let others = [([9; 32], ctx, digest), (os, [9; 32], digest), (os, ctx, update_digest(&[1, -1]))];
    for (os, ctx, digest) in others {
        assert!(!bool::from(s.ct_eq(&Secret::draw(&os, &ctx, &digest))));
        assert!(noise_rng(&os, &ctx, &digest) != noise_rng(&[1; 32], &[2; 32], &update_digest(&[1, -2])));
    }
    assert!(s.words().iter().all(|&w| w < Q));
}

#[test]
fn the_update_digest_is_over_big_endian_words() {
    use sha2::{Digest, Sha256};
    let update: Vec<i32> = (-3000..3000).collect();
    let bytes: Vec<u8> = update.iter().flat_map(|m| m.to_be_bytes()).collect();
    assert_eq!(update_digest(&update), <[u8; 32]>::from(Sha256::digest(bytes)));
}

#[test]
fn scales_and_updates_out_of_range_are_refused() {
    assert!(Params::new(3 << 16, 1).is_err());
    assert!(Params::new(0, 1).is_err());
    assert!(Params::new(1 << 49, 1).is_err());
    assert!(Params::new(1 << 34, 32_767).is_ok());
    assert!(Params::new(1 << 35, 32_767).is_err());
    let params = Params::new(1 << 17, 50).unwrap();
    let seed = EpochSeed([1; 32]);
    for bad in [51, -51, i32::MIN, i32::MAX] {
        let refused = encrypt_update(&seed, secret(1), &[50, -50, bad], &params, &mut rng(1));
        assert_eq!(refused.unwrap_err(), CryptoError::UpdateOutOfRange { position: 2 });
    }
    let mut encryptor = at(0, &seed, secret(1), &params);
    let long = encryptor.next_block(&[0; N + 1], &mut rng(1), &mut [0; DATA_BLOCK_BYTES]);
    assert!(matches!(long, Err(CryptoError::Length { .. })));
}
