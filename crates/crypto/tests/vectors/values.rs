//! Reading inputs, writing outputs.

use almoner_crypto::ring::{N, Poly, zero_poly};
use chacha20::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn bytes(v: &Value) -> Vec<u8> {
    let text = v.as_str().expect("hex").as_bytes();
    let pair = |p: &[u8]| u8::from_str_radix(core::str::from_utf8(p).expect("ASCII"), 16).expect("hex");
    text.chunks(2).map(pair).collect()
}

pub(crate) fn array<const L: usize>(v: &Value) -> [u8; L] {
    bytes(v).try_into().expect("the right length")
}

pub(crate) fn number(v: &Value) -> u64 {
    v.as_u64().expect("a number")
}

pub(crate) fn numbers(v: &Value) -> Vec<u64> {
    items(v).iter().map(number).collect()
}

pub(crate) fn items(v: &Value) -> &[Value] {
    v.as_array().expect("a list")
}

/// Small signed integers, given one by one or as `{pattern, length}`.
pub(crate) fn signed<T: TryFrom<i64, Error: core::fmt::Debug>>(v: &Value) -> Vec<T> {
    let pattern = if v.is_array() { v } else { &v["pattern"] };
    let length = v["length"].as_u64().map(|n| n as usize);
    let one = |v: &Value| T::try_from(v.as_i64().expect("an integer")).expect("in range");
    let length = length.unwrap_or(items(pattern).len());
    items(pattern).iter().cycle().take(length).map(one).collect()
}

/// A block of words from `[position, value]` pairs, zero elsewhere.
pub(crate) fn sparse(v: &Value) -> Box<Poly> {
    let mut out = zero_poly();
    for pair in items(v) {
        out[number(&pair[0]) as usize] = number(&pair[1]);
    }
    out
}

/// The low `word_bytes` bytes of each word, big-endian.
pub(crate) fn pack(words: &[u64], word_bytes: usize) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()[8 - word_bytes..].to_vec()).collect()
}

pub(crate) fn digest(words: &[u64]) -> Value {
    let sha256 = Sha256::digest(pack(words, 8));
    json!({ "first": &words[..4], "last": &words[N - 4..], "sha256": hex(&sha256) })
}

pub(crate) fn generator(v: &Value) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(array(v))
}
