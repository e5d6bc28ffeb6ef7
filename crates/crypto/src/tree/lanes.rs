//! Sixteen leaves at once: a SHA-256 whose words are vectors of one word of each.
//!
//! A processor hashes one message no faster than its rounds depend on each other; leaves do not. With AVX-512 sixteen
//! take the time of eight or nine that the SHA instructions hash one after another. Elsewhere leaves are hashed one by one.
//!
//! Source: FIPS 180-4, sections 4.1.2, 4.2.2, 5 and 6.2. It is held against `sha2` by the tests.

use super::{Hash, leaf_hash};

/// Leaves hashed at once: whoever collects them before they are hashed collects so many.
pub const LANES: usize = 16;

/// Hashes of the leaves `first … first + 15`, which lie one behind the other and are of one length.
pub(super) fn leaf_hashes(kind: u8, first: u64, leaves: &[u8]) -> [Hash; LANES] {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V4::try_new() {
        return simd.vectorize(wide::Leaves { simd, kind, first, leaves });
    }
    let length = leaves.len() / LANES;
    std::array::from_fn(|l| leaf_hash(kind, first + l as u64, &leaves[l * length..(l + 1) * length]))
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use pulp::x86::V4;
    use pulp::{NullaryFnOnce, u32x16};

    use super::super::leaf_head;
    use super::{Hash, LANES};

    /// Bytes of a block.
    const BLOCK: usize = 64;

    /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
    #[rustfmt::skip]
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];

    /// The same of the square roots of the first eight.
    const START: [u32; 8] =
        [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

    pub(super) struct Leaves<'a> {
        pub(super) simd: V4,
        pub(super) kind: u8,
        pub(super) first: u64,
        pub(super) leaves: &'a [u8],
    }

    impl NullaryFnOnce for Leaves<'_> {
        type Output = [Hash; LANES];

        #[inline(always)]
        fn call(self) -> [Hash; LANES] {
            let Self { simd, kind, first, leaves } = self;
            let length = leaves.len() / LANES;
            let messages: [Message; LANES] = std::array::from_fn(|l| Message {
                head: leaf_head(kind, first + l as u64),
                data: &leaves[l * length..(l + 1) * length],
            });
            let mut state = START.map(|word| simd.splat_u32x16(word));
            let (mut rooms, mut words) = ([[0; BLOCK]; LANES], [[0; LANES]; 16]);
            for block in 0..messages[0].blocks() {
                for (lane, (message, room)) in messages.iter().zip(&mut rooms).enumerate() {
                    let bytes = message.whole(block).unwrap_or_else(|| message.at_an_end(block, room));
                    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
                        word[lane] = u32::from_be_bytes(*bytes);
                    }
                }
                compress(simd, &mut state, pulp::cast(words));
            }
            let state: [[u32; LANES]; 8] = state.map(pulp::cast);
            std::array::from_fn(|lane| {
                let mut hash = [0; 32];
                let words = hash.as_chunks_mut::<4>().0.iter_mut().zip(&state);
                words.for_each(|(bytes, word)| *bytes = word[lane].to_be_bytes());
                hash
            })
        }
    }

    /// One leaf, head and padding included.
    struct Message<'a> {
        head: [u8; 10],
        data: &'a [u8],
    }

    impl Message<'_> {
        fn length(&self) -> usize {
            self.head.len() + self.data.len()
        }

        /// With a byte that ends it and eight for its length.
        fn blocks(&self) -> usize {
            (self.length() + 9).div_ceil(BLOCK)
        }

        /// A block that is all data, where it lies.
        #[inline(always)]
        fn whole(&self, block: usize) -> Option<&[u8; BLOCK]> {
            let start = (block * BLOCK).checked_sub(self.head.len())?;
            self.data.get(start..)?.first_chunk()
        }

        /// A block with some of the head or of the padding, put together.
        #[inline(never)]
        fn at_an_end<'a>(&self, block: usize, room: &'a mut [u8; BLOCK]) -> &'a [u8; BLOCK] {
            let (start, length) = (block * BLOCK, self.length());
            *room = [0; BLOCK];
            let mut at = 0;
            if block == 0 {
                at = self.head.len();
                room[..at].copy_from_slice(&self.head);
            }
            let data = self.data.get(start + at - self.head.len()..).unwrap_or_default();
            let here = data.len().min(BLOCK - at);
            room[at..at + here].copy_from_slice(&data[..here]);
            if let Some(end) = length.checked_sub(start).and_then(|end| room.get_mut(end)) {
                *end = 0x80;
            }
            if block + 1 == self.blocks() {
                room[BLOCK - 8..].copy_from_slice(&(8 * length as u64).to_be_bytes());
            }
            room
        }
    }

    #[inline(always)]
    fn rotated<const RIGHT: u32, const LEFT: u32>(simd: V4, x: u32x16) -> u32x16 {
        simd.or_u32x16(simd.shr_const_u32x16::<RIGHT>(x), simd.shl_const_u32x16::<LEFT>(x))
    }

    #[inline(always)]
    fn compress(simd: V4, state: &mut [u32x16; 8], mut w: [u32x16; 16]) {
        let add = |x, y| simd.wrapping_add_u32x16(x, y);
        let xor3 = |x, y, z| simd.xor_u32x16(simd.xor_u32x16(x, y), z);
        let mut s = *state;
        for (pass, k) in K.as_chunks::<16>().0.iter().enumerate() {
            for i in 0..16 {
                if pass > 0 {
                    let (x, y) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                    let low =
                        xor3(rotated::<7, 25>(simd, x), rotated::<18, 14>(simd, x), simd.shr_const_u32x16::<3>(x));
                    let high =
                        xor3(rotated::<17, 15>(simd, y), rotated::<19, 13>(simd, y), simd.shr_const_u32x16::<10>(y));
                    w[i] = add(add(w[i], low), add(w[(i + 9) % 16], high));
                }
                let [a, b, c, d, e, f, g, h] = s;
                let large = xor3(rotated::<6, 26>(simd, e), rotated::<11, 21>(simd, e), rotated::<25, 7>(simd, e));
                let choice = simd.xor_u32x16(simd.and_u32x16(e, simd.xor_u32x16(f, g)), g);
                let one = add(add(add(h, large), choice), add(w[i], simd.splat_u32x16(k[i])));
                let large = xor3(rotated::<2, 30>(simd, a), rotated::<13, 19>(simd, a), rotated::<22, 10>(simd, a));
                let both = simd.and_u32x16(a, b);
                let majority = simd.or_u32x16(both, simd.and_u32x16(c, simd.or_u32x16(a, b)));
                s = [add(one, add(large, majority)), a, b, c, add(d, one), e, f, g];
            }
        }
        state.iter_mut().zip(s).for_each(|(word, new)| *word = add(*word, new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_at_once_are_leaves_one_by_one() {
        for length in (0..200).chain([512, 768, 1024, 4096]) {
            let leaves: Vec<u8> = (0..LANES * length).map(|i| ((i * 7919) >> 3) as u8).collect();
            let first = u64::MAX / 3 - length as u64;
            let single = |l: usize| leaf_hash(0x21, first + l as u64, &leaves[l * length..(l + 1) * length]);
            assert_eq!(leaf_hashes(0x21, first, &leaves), std::array::from_fn(single), "{length} bytes");
        }
    }
}
