//! Arithmetic in `Z_q[X]/(X^2048 + 1)`, `q = 2^50 − 16383`.
//!
//! Purpose: what every other module computes with: reduction by folding, the negacyclic transform, centred values.
//! Steps: [`reduce`] folds any 64-bit value; [`mul`] multiplies reduced values; [`ntt`] and [`intt`] go between
//! coefficients and the transform domain, in which products are taken word by word.
//! Attacks answered: timing. No division and no branch depends on a value: `%` on wide integers is variable time,
//! so reduction is `x = lo + 2^50·hi = lo + 16383·hi`, twice, and one masked subtraction. Inverses and powers are
//! only ever taken of public values.
//! Where the processor has fused multiply-add, transforms and products are computed in floats, which is exact, gives the
//! same words and takes half the time.
//! Not protected: a compiler may turn a mask into a branch; nothing here defends against power or fault analysis.

mod float;
mod modulus;
mod ntt;
mod tables;

pub(crate) use modulus::mul_lazy;
pub use modulus::{
    MASK, Q, Q_BITS, add, centre, from_i128, from_signed, invert, invert_all, mul, neg, pow, reduce, reduce_wide, sub,
};
pub(crate) use ntt::product_intt;
pub use ntt::{intt, ntt};
pub use tables::root_of_unity;

/// Coefficients of a block.
pub const N: usize = 2048;
/// `log2 N`.
pub const LOG_N: u32 = 11;

/// One block: `N` words, coefficients or transform values.
pub type Poly = [u64; N];

/// A zero block on the heap.
pub fn zero_poly() -> Box<Poly> {
    Box::new([0; N])
}

#[cfg(test)]
mod tests;
