//! Test vectors of SA-50, version 0: `tests/vectors/crypto/0/*.json`.
//!
//! A file holds cases `{name, op, in, out}`; those named `bad_…` hold `{name, op, in, error}` and must be refused with
//! this message. Inputs are written by hand. `ALMONER_WRITE_VECTORS=1 cargo test -p almoner-crypto --test vectors`
//! computes outputs and errors anew: a change of them is a change of the protocol.
//!
//! Byte strings are hex; vectors of 2048 words are given by their first and last four and the SHA-256 of all of them as
//! 8 big-endian bytes each. `chacha20` seeds stand for a generator: ChaCha20, 64-bit counter and nonce zero.

mod encrypting;
mod opening;
mod public;
mod values;

use std::fs;
use std::path::Path;

use serde_json::Value;

/// One operation of a case: its input to its output.
type Op = fn(&Value) -> almoner_crypto::Result<Value>;

fn operation(name: &str) -> Op {
    match name {
        "epoch_seed" => public::epoch_seed,
        "matrix_block" => public::matrix_block,
        "matrix_root" => public::matrix_root,
        "transform" => public::transform,
        "tree_root" => public::tree_root,
        "vector_root" => public::vector_root,
        "subtrees" => public::subtrees,
        "proof" => public::proof,
        "encrypt" => encrypting::encrypt,
        "data_block" => encrypting::data_block,
        "deal" => encrypting::deal_shares,
        "share" => encrypting::parse_share,
        "seal" => encrypting::seal,
        "linear_form" => opening::form,
        "inner" => opening::inner,
        "open_score" => opening::score,
        "round_score" => opening::round_score,
        "round_sum" => opening::round_sum,
        other => panic!("no operation {other}"),
    }
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/crypto/0").join(file);
    let text = fs::read_to_string(&path).expect("a vector file");
    let mut vectors: Value = serde_json::from_str(&text).expect("JSON");
    let write = std::env::var_os("ALMONER_WRITE_VECTORS").is_some();
    for case in vectors["cases"].as_array_mut().expect("cases") {
        let name = case["name"].as_str().expect("a name").to_owned();
        let result = operation(case["op"].as_str().expect("an operation"))(&case["in"]);
        assert_eq!(result.is_err(), name.starts_with("bad_"), "{file}: {name}: {result:?}");
        let (key, got) = match result {
            Ok(out) => ("out", out),
            Err(error) => ("error", Value::from(error.to_string())),
        };
        if write {
            case[key] = got;
        } else {
            assert_eq!(case[key], got, "{file}: {name}");
        }
    }
    if write {
        let text = serde_json::to_string_pretty(&vectors).expect("JSON") + "\n";
        fs::write(&path, text).expect("the vector file to be writable");
    }
}

macro_rules! files {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(concat!(stringify!($name), ".json"));
        })*
    };
}

files!(matrix transform tree encrypt share seal score sum);
