//! The transform in floats, several words at a time: for processors that multiply and add in one rounding.
//!
//! Words are integers below `2^53` in size, which an f64 holds exactly. The product of such a `y` and a factor `w`, centred
//! so that `|w| ≤ q/2`, is `h + l` with `h = fl(y·w)` and `l = fma(y, w, −h)`; with `c = round(fl(y·fl(w/q)))` the difference
//! `h − c·q` is an integer below `2^53`, so that `fma(−c, q, h)` is exact, and so is the sum with `l`.
//!
//! Bounds, in multiples of `q` (`2^53 > 8q`): of a `y` below `B` the quotient is off by at most `1/2 + B/8`, and so the product
//! is below `1/2 + B/8`. Inverse: sums double, from at most 1 to 8 in three layers and from 1/2 in four, after which
//! everything is reduced. Forward: a layer takes `B` to at most `9B/8 + 1/2`, so six layers end below 7.
//!
//! As in the integers, no division depends on a value, nor does a branch (a sign is a mask, which a compiler may turn into
//! one), and no value is subnormal. A block stays in its place, so that there is no copy of it to wipe: as in the integers a
//! few words at a time are on the stack.

use std::sync::LazyLock;

use super::modulus::{Q, centre};
use super::tables::{TABLES, Tables};
use super::{N, Poly};
use crate::widest;

const Q_FLOAT: f64 = Q as f64;
const Q_INVERSE: f64 = 1.0 / Q_FLOAT;
/// Adding it to a whole number below it puts the number into the low bits.
const TWO_52: u64 = 1 << 52;

/// Whether the processor has the instructions; without them `mul_add` is a call.
pub(super) fn at_hand() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pulp::x86::V3::try_new().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// A constant and its quotient by `q`.
#[derive(Debug, Clone, Copy)]
struct Factor {
    w: f64,
    ratio: f64,
}

impl Factor {
    fn new(w: u64) -> Self {
        let w = centre(w) as f64;
        Self { w, ratio: w / Q_FLOAT }
    }

    #[inline(always)]
    fn times(self, y: f64) -> f64 {
        product(y, self.w, y * self.ratio)
    }
}

/// `y·w` less the multiple of `q` that is next to `quotient·q`.
#[inline(always)]
fn product(y: f64, w: f64, quotient: f64) -> f64 {
    let h = y * w;
    let l = y.mul_add(w, -h);
    (-quotient.round_ties_even()).mul_add(Q_FLOAT, h) + l
}

/// At most `q/2`, but for the rounding of `1/q`.
#[inline(always)]
fn small(y: f64) -> f64 {
    (-(y * Q_INVERSE).round_ties_even()).mul_add(Q_FLOAT, y)
}

/// A word below `2^52`.
#[inline(always)]
fn from_word(x: u64) -> f64 {
    f64::from_bits(x | (TWO_52 as f64).to_bits()) - TWO_52 as f64
}

/// The residue of what [`small`] returned.
#[inline(always)]
fn to_word(y: f64) -> u64 {
    let y = if y < 0.0 { y + Q_FLOAT } else { y };
    (y + TWO_52 as f64).to_bits() & (TWO_52 - 1)
}

struct Floats {
    forward: Vec<Factor>,
    inverse: Vec<Factor>,
    forward_triples: Vec<Triples>,
    inverse_triples: Vec<Triples>,
    scale: Factor,
    last: Factor,
}

static FLOATS: LazyLock<Floats> = LazyLock::new(|| Floats::new(&TABLES));

impl Floats {
    fn new(t: &Tables) -> Self {
        let floats = |factors: &[super::tables::Factor]| -> Vec<Factor> {
            factors.iter().map(|factor| Factor::new(factor.w)).collect()
        };
        let (forward, inverse) = (floats(&t.forward), floats(&t.inverse));
        Self {
            forward_triples: triples(&forward),
            inverse_triples: triples(&inverse),
            forward,
            inverse,
            scale: Factor::new(t.scale.w),
            last: Factor::new(t.last.w),
        }
    }
}

/// The passes read and write floats in the place of words.
#[inline(always)]
fn each(x: &mut Poly, change: impl Fn(f64) -> f64) {
    for x in x.iter_mut() {
        *x = change(f64::from_bits(*x)).to_bits();
    }
}

/// As [`super::ntt`].
pub(super) fn ntt(x: &mut Poly) {
    let t = &*FLOATS;
    widest(
        #[inline(always)]
        || {
            for x in x.iter_mut() {
                *x = small(from_word(*x)).to_bits();
            }
            forward_pair::<1024>(x, t);
            forward_pair::<256>(x, t);
            forward_pair::<64>(x, t);
            each(x, small);
            forward_pair::<16>(x, t);
            forward_triple(x, t);
            for x in x.iter_mut() {
                *x = to_word(small(f64::from_bits(*x)));
            }
        },
    );
}

/// As [`super::intt`].
pub(super) fn intt(x: &mut Poly) {
    let t = &*FLOATS;
    widest(
        #[inline(always)]
        || {
            for x in x.iter_mut() {
                *x = small(from_word(*x)).to_bits();
            }
            inverse(x, t);
        },
    );
}

/// As [`super::product_intt`].
pub(super) fn product_intt(a: &mut Poly, b: &Poly) {
    let t = &*FLOATS;
    widest(
        #[inline(always)]
        || {
            for (a, b) in a.iter_mut().zip(b) {
                let (x, y) = (from_word(*a), small(from_word(*b)));
                // Three roundings: below 1/2 + 3/16.
                *a = product(x, y, x * y * Q_INVERSE).to_bits();
            }
            inverse(a, t);
        },
    );
}

/// From floats below `q` to reduced coefficients.
#[inline(always)]
fn inverse(x: &mut Poly, t: &Floats) {
    inverse_triple(x, t);
    each(x, small);
    inverse_pair::<8>(x, t);
    inverse_pair::<32>(x, t);
    each(x, small);
    inverse_pair::<128>(x, t);
    inverse_last_pair(x, t);
    for x in x.iter_mut() {
        *x = to_word(small(f64::from_bits(*x)));
    }
}

#[inline(always)]
fn butterfly(a: f64, b: f64, w: Factor) -> (f64, f64) {
    let p = w.times(b);
    (a + p, a - p)
}

#[inline(always)]
fn inverse_butterfly(a: f64, b: f64, w: Factor) -> (f64, f64) {
    (a + b, w.times(a - b))
}

/// The same words of the four quarters of a group.
#[inline(always)]
fn quarters(group: &mut [u64], change: impl Fn([f64; 4]) -> [f64; 4]) {
    let half = group.len() / 2;
    let (left, right) = group.split_at_mut(half);
    let (a, b) = left.split_at_mut(half / 2);
    let (c, d) = right.split_at_mut(half / 2);
    for ((a, b), (c, d)) in a.iter_mut().zip(b).zip(c.iter_mut().zip(d)) {
        let [e, f, g, h] = change([f64::from_bits(*a), f64::from_bits(*b), f64::from_bits(*c), f64::from_bits(*d)]);
        (*a, *b, *c, *d) = (e.to_bits(), f.to_bits(), g.to_bits(), h.to_bits());
    }
}

/// Two forward layers with distances `T` and `T/2`.
#[inline(always)]
fn forward_pair<const T: usize>(x: &mut Poly, t: &Floats) {
    let groups = N / (2 * T);
    let outer = &t.forward[groups..2 * groups];
    let inner = t.forward[2 * groups..4 * groups].as_chunks::<2>().0;
    for ((group, &w), &[u, v]) in x.chunks_exact_mut(2 * T).zip(outer).zip(inner) {
        quarters(
            group,
            #[inline(always)]
            |[a, b, c, d]| {
                let (a, c) = butterfly(a, c, w);
                let (b, d) = butterfly(b, d, w);
                let (a, b) = butterfly(a, b, u);
                let (c, d) = butterfly(c, d, v);
                [a, b, c, d]
            },
        );
    }
}

/// Two inverse layers with distances `T` and `2T`.
#[inline(always)]
fn inverse_pair<const T: usize>(x: &mut Poly, t: &Floats) {
    let groups = N / (4 * T);
    let outer = &t.inverse[groups..2 * groups];
    let inner = t.inverse[2 * groups..4 * groups].as_chunks::<2>().0;
    for ((group, &w), &[u, v]) in x.chunks_exact_mut(4 * T).zip(outer).zip(inner) {
        quarters(
            group,
            #[inline(always)]
            |[a, b, c, d]| {
                let (a, b) = inverse_butterfly(a, b, u);
                let (c, d) = inverse_butterfly(c, d, v);
                let (a, c) = inverse_butterfly(a, c, w);
                let (b, d) = inverse_butterfly(b, d, w);
                [a, b, c, d]
            },
        );
    }
}

/// The last two inverse layers, distances 512 and 1024, with the factor `n^{-1}` folded into the products.
#[inline(always)]
fn inverse_last_pair(x: &mut Poly, t: &Floats) {
    let (u, v) = (t.inverse[2], t.inverse[3]);
    quarters(
        x,
        #[inline(always)]
        |[a, b, c, d]| {
            let (a, b) = inverse_butterfly(a, b, u);
            let (c, d) = inverse_butterfly(c, d, v);
            [t.scale.times(a + c), t.scale.times(b + d), t.last.times(a - c), t.last.times(b - d)]
        },
    );
}

/// Groups of eight neighbours that are walked together, a word of each at a time.
const TOGETHER: usize = 8;
/// The same word of each group.
type Row = [f64; TOGETHER];

/// The factors of three layers inside groups that are walked together: one of the layer with distance 4, two, then four.
type Triples = [(Row, Row); 7];

fn triples(factors: &[Factor]) -> Vec<Triples> {
    let of = |block: usize| {
        std::array::from_fn(|i| {
            // Layer by layer: 1, 2, 4 factors a group.
            let (layer, width, at) = match i {
                0 => (256, 1, 0),
                1 | 2 => (512, 2, i - 1),
                _ => (1024, 4, i - 3),
            };
            let factor = |g: usize| factors[layer + width * (TOGETHER * block + g) + at];
            (std::array::from_fn(|g| factor(g).w), std::array::from_fn(|g| factor(g).ratio))
        })
    };
    (0..N / (8 * TOGETHER)).map(of).collect()
}

/// Shows `change` the words of groups that are walked together.
#[inline(always)]
fn eights(x: &mut Poly, triples: &[Triples], change: impl Fn(&mut [Row; 8], &Triples)) {
    for (words, triples) in x.as_chunks_mut::<{ 8 * TOGETHER }>().0.iter_mut().zip(triples) {
        let mut rows = [[0.0; TOGETHER]; 8];
        for (g, group) in words.as_chunks::<8>().0.iter().enumerate() {
            for (row, word) in rows.iter_mut().zip(group) {
                row[g] = f64::from_bits(*word);
            }
        }
        change(&mut rows, triples);
        for (g, group) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for (row, word) in rows.iter().zip(group) {
                *word = row[g].to_bits();
            }
        }
    }
}

/// A butterfly of the rows `a` and `b`, word by word.
#[inline(always)]
fn cross(
    rows: &mut [Row; 8],
    (a, b): (usize, usize),
    (w, ratio): &(Row, Row),
    one: impl Fn(f64, f64, Factor) -> (f64, f64),
) {
    let (mut left, mut right) = (rows[a], rows[b]);
    for ((x, y), (&w, &ratio)) in left.iter_mut().zip(&mut right).zip(w.iter().zip(ratio)) {
        (*x, *y) = one(*x, *y, Factor { w, ratio });
    }
    (rows[a], rows[b]) = (left, right);
}

/// Three forward layers with distances 4, 2, 1.
#[inline(always)]
fn forward_triple(x: &mut Poly, t: &Floats) {
    eights(
        x,
        &t.forward_triples,
        #[inline(always)]
        |rows, of| {
            for i in 0..4 {
                cross(rows, (i, i + 4), &of[0], butterfly);
            }
            for (half, of) in [(0, &of[1]), (4, &of[2])] {
                cross(rows, (half, half + 2), of, butterfly);
                cross(rows, (half + 1, half + 3), of, butterfly);
            }
            for i in 0..4 {
                cross(rows, (2 * i, 2 * i + 1), &of[3 + i], butterfly);
            }
        },
    );
}

/// Three inverse layers with distances 1, 2, 4.
#[inline(always)]
fn inverse_triple(x: &mut Poly, t: &Floats) {
    eights(
        x,
        &t.inverse_triples,
        #[inline(always)]
        |rows, of| {
            for i in 0..4 {
                cross(rows, (2 * i, 2 * i + 1), &of[3 + i], inverse_butterfly);
            }
            for (half, of) in [(0, &of[1]), (4, &of[2])] {
                cross(rows, (half, half + 2), of, inverse_butterfly);
                cross(rows, (half + 1, half + 3), of, inverse_butterfly);
            }
            for i in 0..4 {
                cross(rows, (i, i + 4), &of[0], inverse_butterfly);
            }
        },
    );
}
