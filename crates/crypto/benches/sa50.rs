//! What one parameter costs, in nanoseconds, on one thread; beside it the ratio to copying or hashing the same bytes
//! on the same machine in the same run. Nothing is asserted: machines differ, ratios say more than times.
//!
//! `cargo bench -p almoner-crypto` runs it; an argument sets the number of parameters (default 262 144).

use std::hint::black_box;
use std::time::Instant;

use almoner_crypto::encrypt::{DATA_BLOCK_BYTES, Encryptor, Params, Secret, check_data_block, noise_rng};
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::{N, intt, ntt, zero_poly};
use almoner_crypto::score::{Direction, answer, inner_partial, linear_form};
use almoner_crypto::share::{AnswerVec, deal, interpolate, weighted_sum};
use almoner_crypto::sum::{SumBlock, SumRule, open_block};
use almoner_crypto::tree::{kind, vector_root};
use sha2::{Digest, Sha256};

const REPEATS: usize = 20;

/// The best of some runs, in nanoseconds.
fn best(mut run: impl FnMut()) -> f64 {
    run();
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64
    };
    (0..REPEATS).map(once).fold(f64::INFINITY, f64::min)
}

struct Report {
    parameters: f64,
    copy: f64,
    hash: f64,
}

impl Report {
    fn line(&self, name: &str, nanoseconds: f64) {
        let ns = nanoseconds / self.parameters;
        let (copy, hash) = (ns / self.copy, ns / self.hash);
        println!("{name:<28} {ns:>8.2} ns/parameter {copy:>8.1} x copy {hash:>7.2} x hash");
    }
}

fn main() {
    let asked = std::env::args().filter_map(|a| a.parse::<usize>().ok()).next();
    let blocks = asked.unwrap_or(1 << 18).div_ceil(N).max(1);
    let d = blocks * N;
    let seed = EpochSeed([1; 32]);
    let secret = Secret::draw(&[1; 32], &[2; 32], &[3; 32]);
    let mut rng = noise_rng(&[1; 32], &[2; 32], &[3; 32]);
    let params = Params::new(1 << 18, 2000).expect("a scale within range");
    let message: Vec<i32> = (0..N as i32).map(|i| i % 4001 - 2000).collect();
    let entries: Vec<i8> = (0..d).map(|i| (i % 15) as i8 - 7).collect();
    let mut data = vec![0; blocks * DATA_BLOCK_BYTES];
    let mut copy = data.clone();

    let parameters = d as f64;
    let report = Report {
        parameters,
        copy: best(|| black_box(&mut copy).copy_from_slice(black_box(&data))) / parameters,
        hash: best(|| {
            black_box(vector_root(kind::CIPHERTEXT, 6, &data));
        }) / parameters,
    };
    println!("{d} parameters, 6 bytes each; best of {REPEATS}");
    report.line("copy of the ciphertext", report.copy * parameters);
    report.line("hash: ciphertext tree", report.hash * parameters);
    let message_hash = best(|| {
        black_box(Sha256::digest(&data));
    });
    report.line("hash: one message, as a CID", message_hash);

    let encrypt = best(|| {
        // The same randomness and values each time: what matters here is that the last run is a valid encryption.
        let secret = Secret::draw(&[1; 32], &[2; 32], &[3; 32]);
        let mut encryptor = Encryptor::new(seed, secret, params);
        for out in data.as_chunks_mut::<DATA_BLOCK_BYTES>().0 {
            encryptor.next_block(&message, &mut rng, out).expect("values within range");
        }
    });
    report.line("encrypt", encrypt);

    let mut sums = vec![SumBlock::new(); blocks];
    let add = best(|| {
        for (sum, block) in sums.iter_mut().zip(data.chunks_exact(DATA_BLOCK_BYTES)) {
            sum.add(block, 1).expect("a valid block");
        }
    });
    report.line("add, per participant", add);
    let validate = best(|| {
        data.chunks_exact(DATA_BLOCK_BYTES).for_each(|block| check_data_block(block).expect("a valid block"));
    });
    report.line("validate words", validate);

    let shares = deal(&secret, 4, 3, &mut rng).expect("a possible threshold");
    let answers: Vec<AnswerVec> = shares[..3].iter().map(|s| weighted_sum(&[(sums[0].weight() as u16, s)])).collect();
    let pairs: Vec<_> = (0..).zip(&answers).collect();
    let opened = interpolate(&pairs, 3).expect("three answers");
    let weight = sums[0].weight();
    let rule = SumRule { weight, weight_norm2: weight * weight, delta: params.delta(), update_max: 2000 };
    let unmask = best(|| {
        for (j, sum) in sums.iter().enumerate() {
            let block = open_block(&seed, j as u64, &opened, sum.words(), &rule);
            assert!(black_box(block).expect("a valid rule").ok);
        }
    });
    report.line("unmask", unmask);

    let inner = best(|| {
        let words = data.chunks_exact(DATA_BLOCK_BYTES).zip(entries.chunks_exact(N));
        for (block, g) in words {
            black_box(inner_partial(block, g).expect("a valid block"));
        }
    });
    report.line("scalar, per participant", inner);
    let direction = Direction(&entries);
    let form = best(|| drop(black_box(linear_form(&seed, &direction))));
    report.line("scalar, once per direction", form);

    let mut poly = zero_poly();
    report.line("of which transform", best(|| (0..blocks).for_each(|_| ntt(black_box(&mut poly)))));
    report.line("of which inverse", best(|| (0..blocks).for_each(|_| intt(black_box(&mut poly)))));
    report.line("of which matrix", best(|| (0..blocks as u64).for_each(|j| drop(black_box(seed.data_block(j))))));

    let form = linear_form(&seed, &direction);
    let one = best(|| {
        black_box(answer(&shares[0], &form));
    });
    println!("one answer of a member: {:.1} us", one / 1000.0);
}
