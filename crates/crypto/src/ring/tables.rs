//! Powers of the root of unity, once per process.

use std::sync::LazyLock;

use super::modulus::{Q, invert, mul, pow};
use super::{LOG_N, N};

/// A constant factor `w` with `floor(w·2^64/q)`, after Shoup: the product with any word then needs no division.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Factor {
    pub(super) w: u64,
    quotient: u64,
}

impl Factor {
    fn new(w: u64) -> Self {
        Self { w, quotient: ((u128::from(w) << 64) / u128::from(Q)) as u64 }
    }

    /// `w·y mod q`, below `2q`, for any word `y`.
    #[inline(always)]
    pub(super) fn times(self, y: u64) -> u64 {
        let estimate = ((u128::from(self.quotient) * u128::from(y)) >> 64) as u64;
        self.w.wrapping_mul(y).wrapping_sub(estimate.wrapping_mul(Q))
    }
}

/// Twiddle factors: entry `m + i` belongs to group `i` of the layer with `m` groups.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) forward: [Factor; N],
    pub(super) inverse: [Factor; N],
    /// `n^{-1}`, and the last inverse twiddle times `n^{-1}`.
    pub(super) scale: Factor,
    pub(super) last: Factor,
}

pub(super) static TABLES: LazyLock<Box<Tables>> = LazyLock::new(|| Box::new(Tables::new()));

impl Tables {
    fn new() -> Self {
        let psi = root_of_unity();
        let n_inverse = invert(N as u64);
        let inverse = bit_reversed_powers(invert(psi));
        Self {
            forward: bit_reversed_powers(psi).map(Factor::new),
            inverse: inverse.map(Factor::new),
            scale: Factor::new(n_inverse),
            last: Factor::new(mul(inverse[1], n_inverse)),
        }
    }
}

/// `ψ = g^((q−1)/4096)` for the least `g ≥ 2` with `ψ^2048 = −1`.
pub fn root_of_unity() -> u64 {
    let n = N as u64;
    let mut g = 2;
    // Half of all g are non-residues, for which the condition holds: the search ends within a few steps.
    loop {
        let psi = pow(g, (Q - 1) / (2 * n));
        if pow(psi, n) == Q - 1 {
            return psi;
        }
        g += 1;
    }
}

fn bit_reversed_powers(base: u64) -> [u64; N] {
    let mut table = [0; N];
    let mut power = 1;
    for i in 0..N as u32 {
        table[(i.reverse_bits() >> (32 - LOG_N)) as usize] = power;
        power = mul(power, base);
    }
    table
}
