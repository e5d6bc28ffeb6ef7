use std::f64::consts::TAU;
use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The random source of everything numeric here: a pure function of a seed, a purpose and a number.
///
/// Two purposes under one seed never share a stream, so one seed per role is enough.
#[derive(Clone)]
pub struct HostRng(ChaCha20Rng);

impl HostRng {
    /// First weights of a model.
    pub const INIT: u8 = 1;
    /// Order of the rows; the number is the epoch.
    pub const SHUFFLE: u8 = 2;
    /// Noise on a direction; the number is the round.
    pub const NOISE: u8 = 3;
    /// Dealing rows to holders.
    pub const SPLIT: u8 = 4;

    /// The stream of `purpose` (one of the constants) and `number`, which must be below 2^56.
    pub fn new(seed: [u8; 32], purpose: u8, number: u64) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        rng.set_stream((u64::from(purpose) << 56) | (number & ((1 << 56) - 1)));
        Self(rng)
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        // 1 - u is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }

    /// Uniform below `bound`, without bias. `bound` 0 gives 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound < 2 {
            return 0;
        }
        let mask = u64::MAX >> (bound - 1).leading_zeros();
        loop {
            let draw = self.0.next_u64() & mask;
            if draw < bound {
                return draw;
            }
        }
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    /// A random order of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

/// The state would give away a validator's noise.
impl fmt::Debug for HostRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostRng(..)")
    }
}
