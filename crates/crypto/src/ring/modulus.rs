//! The modulus and its constant-time arithmetic.

/// `q = 2^50 − 16383`, prime, 1 modulo 2^14.
pub const Q: u64 = (1 << Q_BITS) - FOLD;
/// Bits of the modulus.
pub const Q_BITS: u32 = 50;
/// The low 50 bits.
pub const MASK: u64 = (1 << Q_BITS) - 1;
/// `2^50 mod q`.
const FOLD: u64 = 16383;

/// `x − q` if `x ≥ q`, else `x`, for `x < 2^63`.
#[inline(always)]
fn subtract_once(x: u64) -> u64 {
    let t = x.wrapping_sub(Q);
    // All ones exactly when the subtraction went below zero.
    let borrow = 0u64.wrapping_sub(t >> 63);
    t.wrapping_add(Q & borrow)
}

/// Any word, reduced below `q`.
#[inline(always)]
pub fn reduce(x: u64) -> u64 {
    // The high part is below 2^14, so the folded value is below 2^50 + 2^28 < 2q.
    subtract_once((x & MASK).wrapping_add((x >> Q_BITS).wrapping_mul(FOLD)))
}

/// Any double word, reduced below `q`.
#[inline(always)]
pub fn reduce_wide(x: u128) -> u64 {
    let x0 = x as u64 & MASK;
    let x1 = (x >> Q_BITS) as u64 & MASK;
    let x2 = (x >> (2 * Q_BITS)) as u64;
    // x1·FOLD < 2^64; x2 < 2^28, so x2·FOLD² < 2^56.
    let middle = reduce(x1.wrapping_mul(FOLD));
    reduce(x0.wrapping_add(x2.wrapping_mul(FOLD * FOLD)).wrapping_add(middle))
}

/// Product of two values of which one is below `q` and the other below `2^50`; below `2q`, not fully reduced.
#[inline(always)]
pub(crate) fn mul_lazy(a: u64, b: u64) -> u64 {
    let p = u128::from(a) * u128::from(b);
    let (hi, lo) = ((p >> Q_BITS) as u64, p as u64 & MASK);
    // hi < q, so hi·16383 + lo < 2^64; see the module docs for the second fold.
    let x = hi.wrapping_mul(FOLD).wrapping_add(lo);
    (x & MASK).wrapping_add((x >> Q_BITS).wrapping_mul(FOLD))
}

/// `a·b mod q` for reduced `a`, `b`.
#[inline(always)]
pub fn mul(a: u64, b: u64) -> u64 {
    subtract_once(mul_lazy(a, b))
}

/// `a + b mod q` for reduced `a`, `b`.
#[inline(always)]
pub fn add(a: u64, b: u64) -> u64 {
    subtract_once(a.wrapping_add(b))
}

/// `a − b mod q` for reduced `a`, `b`.
#[inline(always)]
pub fn sub(a: u64, b: u64) -> u64 {
    subtract_once(a.wrapping_add(Q).wrapping_sub(b))
}

/// `−a mod q` for reduced `a`.
#[inline(always)]
pub fn neg(a: u64) -> u64 {
    sub(0, a)
}

/// A signed value with `|x| < q` as a residue.
#[inline(always)]
pub fn from_signed(x: i64) -> u64 {
    // The shift spreads the sign bit: adds q exactly when x is negative.
    (x as u64).wrapping_add(Q & (x >> 63) as u64)
}

/// Any signed double word as a residue. For public values.
pub fn from_i128(x: i128) -> u64 {
    let r = reduce_wide(x.unsigned_abs());
    if x < 0 { neg(r) } else { r }
}

/// The representative of a reduced value in `(−q/2, q/2]`.
#[inline(always)]
pub fn centre(x: u64) -> i64 {
    // Q/2 < x exactly when the difference wraps, whose top bit is then set.
    let above = 0u64.wrapping_sub((Q / 2).wrapping_sub(x) >> 63);
    x.wrapping_sub(Q & above) as i64
}

/// `base^exponent mod q`, for public values.
pub fn pow(base: u64, mut exponent: u64) -> u64 {
    let (mut square, mut result) = (reduce(base), 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, square);
        }
        square = mul(square, square);
        exponent >>= 1;
    }
    result
}

/// Inverse of a public non-zero value.
pub fn invert(x: u64) -> u64 {
    pow(x, Q - 2)
}

/// Inverses of public non-zero values, in their place, for the price of one and three products each.
pub fn invert_all(values: &mut [u64]) {
    let (mut product, mut before) = (1, Vec::with_capacity(values.len()));
    for &value in values.iter() {
        before.push(product);
        product = mul(product, value);
    }
    let mut inverse = invert(product);
    for (value, before) in values.iter_mut().zip(before).rev() {
        let next = mul(inverse, *value);
        *value = mul(inverse, before);
        inverse = next;
    }
}
