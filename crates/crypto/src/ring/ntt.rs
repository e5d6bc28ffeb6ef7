//! The negacyclic transform, `X_k = Σ_i x_i ψ^{i(2·brv(k)+1)}`, and its inverse.
//!
//! Steps: four passes of two layers each, then (or, backwards, first) one pass of three layers inside groups of
//! eight words. Eleven layers in all, each word loaded five times instead of eleven.
//! Values stay lazy. Forward: a product is below `2q`, so a layer adds at most `2q` and the eleven end below `26q`.
//! Inverse: sums at most double, so the eleven end below `2^12·q < 2^63`, and the last layer's products are below `2q`.
//! No comparison is made on the way, and one full reduction at the end.

use super::float;
use super::modulus::{Q, mul_lazy, reduce};
use super::tables::{Factor, TABLES, Tables};
use super::{N, Poly};

/// Coefficients, below `2q`, to reduced transform values.
pub fn ntt(x: &mut Poly) {
    if float::at_hand() {
        return float::ntt(x);
    }
    integer_ntt(x);
}

pub(super) fn integer_ntt(x: &mut Poly) {
    let t = &**TABLES;
    forward_pair::<1024>(x, t);
    forward_pair::<256>(x, t);
    forward_pair::<64>(x, t);
    forward_pair::<16>(x, t);
    forward_triple(x, t);
}

/// Transform values, below `2q`, to reduced coefficients.
pub fn intt(x: &mut Poly) {
    if float::at_hand() {
        return float::intt(x);
    }
    integer_intt(x);
}

/// `a ← a·b`, of reduced transform values, as coefficients below `2q`.
pub(crate) fn product_intt(a: &mut Poly, b: &Poly) {
    if float::at_hand() {
        return float::product_intt(a, b);
    }
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = mul_lazy(*a, b));
    intt_lazy(a);
}

pub(super) fn integer_intt(x: &mut Poly) {
    intt_lazy(x);
    x.iter_mut().for_each(|v| *v = reduce(*v));
}

/// As [`intt`], leaving coefficients below `2q`.
pub(super) fn intt_lazy(x: &mut Poly) {
    let t = &**TABLES;
    inverse_triple(x, t);
    inverse_pair::<8, { 16 * Q }, { 32 * Q }>(x, t);
    inverse_pair::<32, { 64 * Q }, { 128 * Q }>(x, t);
    inverse_pair::<128, { 256 * Q }, { 512 * Q }>(x, t);
    inverse_last_pair(x, t);
}

#[inline(always)]
fn butterfly(a: u64, b: u64, w: Factor) -> (u64, u64) {
    let p = w.times(b);
    (a.wrapping_add(p), a.wrapping_add(2 * Q).wrapping_sub(p))
}

/// `BOUND` is a multiple of q above every input.
#[inline(always)]
fn inverse_butterfly<const BOUND: u64>(a: u64, b: u64, w: Factor) -> (u64, u64) {
    (a.wrapping_add(b), w.times(a.wrapping_add(BOUND).wrapping_sub(b)))
}

/// Two forward layers with distances `T` and `T/2`.
fn forward_pair<const T: usize>(x: &mut Poly, t: &Tables) {
    let groups = N / (2 * T);
    let outer = &t.forward[groups..2 * groups];
    let inner = t.forward[2 * groups..4 * groups].as_chunks::<2>().0;
    for ((group, &w), &[u, v]) in x.chunks_exact_mut(2 * T).zip(outer).zip(inner) {
        for [a, b, c, d] in quarters(group) {
            let (a0, c0) = butterfly(*a, *c, w);
            let (b0, d0) = butterfly(*b, *d, w);
            (*a, *b) = butterfly(a0, b0, u);
            (*c, *d) = butterfly(c0, d0, v);
        }
    }
}

/// Two inverse layers with distances `T` and `2T`; `B1` and `B2` bound their inputs.
fn inverse_pair<const T: usize, const B1: u64, const B2: u64>(x: &mut Poly, t: &Tables) {
    let groups = N / (4 * T);
    let outer = &t.inverse[groups..2 * groups];
    let inner = t.inverse[2 * groups..4 * groups].as_chunks::<2>().0;
    for ((group, &w), &[u, v]) in x.chunks_exact_mut(4 * T).zip(outer).zip(inner) {
        for [a, b, c, d] in quarters(group) {
            let (a0, b0) = inverse_butterfly::<B1>(*a, *b, u);
            let (c0, d0) = inverse_butterfly::<B1>(*c, *d, v);
            (*a, *c) = inverse_butterfly::<B2>(a0, c0, w);
            (*b, *d) = inverse_butterfly::<B2>(b0, d0, w);
        }
    }
}

/// The last two inverse layers, distances 512 and 1024, with the factor `n^{-1}` folded into the products.
fn inverse_last_pair(x: &mut Poly, t: &Tables) {
    let (u, v) = (t.inverse[2], t.inverse[3]);
    for [a, b, c, d] in quarters(x) {
        let (a0, b0) = inverse_butterfly::<{ 1024 * Q }>(*a, *b, u);
        let (c0, d0) = inverse_butterfly::<{ 1024 * Q }>(*c, *d, v);
        let bound = 2048 * Q;
        *a = t.scale.times(a0.wrapping_add(c0));
        *c = t.last.times(a0.wrapping_add(bound).wrapping_sub(c0));
        *b = t.scale.times(b0.wrapping_add(d0));
        *d = t.last.times(b0.wrapping_add(bound).wrapping_sub(d0));
    }
}

/// Three forward layers with distances 4, 2, 1.
fn forward_triple(x: &mut Poly, t: &Tables) {
    let first = &t.forward[256..512];
    let second = t.forward[512..1024].as_chunks::<2>().0;
    let third = t.forward[1024..2048].as_chunks::<4>().0;
    let groups = x.as_chunks_mut::<8>().0;
    for (((g, &w), &[u0, u1]), v) in groups.iter_mut().zip(first).zip(second).zip(third) {
        let mut y = *g;
        for i in 0..4 {
            (y[i], y[i + 4]) = butterfly(y[i], y[i + 4], w);
        }
        for i in 0..2 {
            (y[i], y[i + 2]) = butterfly(y[i], y[i + 2], u0);
            (y[i + 4], y[i + 6]) = butterfly(y[i + 4], y[i + 6], u1);
        }
        for (i, &w) in v.iter().enumerate() {
            let (a, b) = butterfly(y[2 * i], y[2 * i + 1], w);
            (y[2 * i], y[2 * i + 1]) = (reduce(a), reduce(b));
        }
        *g = y;
    }
}

/// Three inverse layers with distances 1, 2, 4.
fn inverse_triple(x: &mut Poly, t: &Tables) {
    let first = &t.inverse[256..512];
    let second = t.inverse[512..1024].as_chunks::<2>().0;
    let third = t.inverse[1024..2048].as_chunks::<4>().0;
    let groups = x.as_chunks_mut::<8>().0;
    for (((g, &w), &[u0, u1]), v) in groups.iter_mut().zip(first).zip(second).zip(third) {
        let mut y = *g;
        for (i, &w) in v.iter().enumerate() {
            (y[2 * i], y[2 * i + 1]) = inverse_butterfly::<{ 2 * Q }>(y[2 * i], y[2 * i + 1], w);
        }
        for i in 0..2 {
            (y[i], y[i + 2]) = inverse_butterfly::<{ 4 * Q }>(y[i], y[i + 2], u0);
            (y[i + 4], y[i + 6]) = inverse_butterfly::<{ 4 * Q }>(y[i + 4], y[i + 6], u1);
        }
        for i in 0..4 {
            (y[i], y[i + 4]) = inverse_butterfly::<{ 8 * Q }>(y[i], y[i + 4], w);
        }
        *g = y;
    }
}

/// The four quarters of a group, walked together.
#[inline(always)]
fn quarters(group: &mut [u64]) -> impl Iterator<Item = [&mut u64; 4]> {
    let half = group.len() / 2;
    let (left, right) = group.split_at_mut(half);
    let (a, b) = left.split_at_mut(half / 2);
    let (c, d) = right.split_at_mut(half / 2);
    a.iter_mut().zip(b).zip(c.iter_mut().zip(d)).map(|((a, b), (c, d))| [a, b, c, d])
}
