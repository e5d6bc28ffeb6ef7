//! Directions, and the linear form on secrets that belongs to one.
//!
//! With `x = a_j·s` as coefficients, `<x, g> = Σ_k s[k]·a_j[k]·n^{-1}·G[n−1−k]` where `G` is the transform of `g`:
//! the inverse transform evaluates at the inverse roots, and index `n−1−k` complements the reversed bits of `k`.

use crate::matrix::EpochSeed;
use crate::ring::{N, Poly, add, from_signed, invert, mul, mul_lazy, ntt, reduce, zero_poly};
use crate::share::ShareVec;
use crate::widest;

/// Blocks added before the accumulator is reduced: `2^12 · 2q < 2^63`.
const BLOCKS_PER_REDUCTION: usize = 1 << 12;

/// A validator's direction: one small integer per parameter.
#[derive(Debug, Clone, Copy)]
pub struct Direction<'a>(pub &'a [i8]);

impl Direction<'_> {
    /// `‖g‖²`.
    pub fn norm2(&self) -> u64 {
        // 2^14 each, so 2^16 of them fit 32 bits.
        let of = |part: &[i8]| part.iter().fold(0u32, |sum, &g| sum.wrapping_add(i32::from(g).pow(2).unsigned_abs()));
        widest(
            #[inline(always)]
            || self.0.chunks(1 << 16).map(|part| u64::from(of(part))).sum(),
        )
    }

    /// The entries of block `j`; shorter than a block at the end, empty beyond it.
    pub fn block(&self, j: usize) -> &[i8] {
        self.0.chunks(N).nth(j).unwrap_or(&[])
    }

    /// `Σ g_j`.
    pub(super) fn sum(&self) -> i64 {
        let of = |part: &[i8]| part.iter().fold(0i32, |sum, &g| sum.wrapping_add(g.into()));
        widest(
            #[inline(always)]
            || self.0.chunks(1 << 16).map(|part| i64::from(of(part))).sum(),
        )
    }
}

/// `L`, the form that takes a share to its answer. Only [`linear_form`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearForm(Box<Poly>);

impl LinearForm {
    /// The words, for auditors and test vectors.
    pub fn words(&self) -> &Poly {
        &self.0
    }
}

/// Derives `L = A^T g`: a member does this itself, once per direction.
pub fn linear_form(seed: &EpochSeed, direction: &Direction) -> LinearForm {
    let (mut sum, mut matrix, mut g) = (zero_poly(), zero_poly(), zero_poly());
    for (j, entries) in direction.0.chunks(N).enumerate() {
        g.fill(0);
        g.iter_mut().zip(entries).for_each(|(x, &e)| *x = from_signed(e.into()));
        ntt(&mut g);
        seed.data_block_into(j as u64, &mut matrix);
        for ((s, &a), &x) in sum.iter_mut().zip(matrix.iter()).zip(g.iter().rev()) {
            *s = s.wrapping_add(mul_lazy(a, x));
        }
        if j % BLOCKS_PER_REDUCTION == BLOCKS_PER_REDUCTION - 1 {
            sum.iter_mut().for_each(|s| *s = reduce(*s));
        }
    }
    let n_inverse = invert(N as u64);
    sum.iter_mut().for_each(|s| *s = mul(reduce(*s), n_inverse));
    LinearForm(sum)
}

/// `<share, L> mod q`: a member's answer for one participant and direction.
pub fn answer(share: &ShareVec, form: &LinearForm) -> u64 {
    let terms = share.words().iter().zip(form.0.iter());
    terms.fold(0, |sum, (&s, &l)| add(sum, mul(s, l)))
}
