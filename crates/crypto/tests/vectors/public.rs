//! Operations on public data: matrix, transform, trees.

use almoner_crypto::matrix::{self, EpochSeed};
use almoner_crypto::ring::{intt, ntt};
use almoner_crypto::tree::{self, Hash};
use almoner_crypto::{CryptoError, Result};
use serde_json::{Value, json};

use crate::values::{array, bytes, digest, hex, items, number, pack, sparse};

pub(crate) fn epoch_seed(v: &Value) -> Result<Value> {
    let seed = EpochSeed::derive(
        number(&v["chain_id"]),
        &array(&v["federations"]),
        number(&v["federation"]),
        number(&v["epoch"]) as u32,
        &array(&v["beacon"]),
    );
    Ok(json!({ "seed": hex(&seed.0) }))
}

pub(crate) fn matrix_block(v: &Value) -> Result<Value> {
    let (seed, block) = (EpochSeed(array(&v["seed"])), number(&v["block"]));
    let words = match number(&v["domain"]) {
        1 => seed.data_block(block),
        _ => seed.check_block(block),
    };
    let chosen = v["positions"].as_array().into_iter().flatten();
    let chosen: Vec<u64> = chosen.map(|p| words[number(p) as usize]).collect();
    Ok(json!({ "words": digest(&*words), "at_positions": chosen }))
}

pub(crate) fn matrix_root(v: &Value) -> Result<Value> {
    let root = matrix::matrix_root(&EpochSeed(array(&v["seed"])), number(&v["data_blocks"]));
    Ok(json!({ "root": hex(&root) }))
}

pub(crate) fn transform(v: &Value) -> Result<Value> {
    let mut x = sparse(&v["words"]);
    match v["inverse"].as_bool() {
        Some(true) => intt(&mut x),
        _ => ntt(&mut x),
    }
    Ok(digest(&*x))
}

fn leaves(v: &Value) -> Vec<Vec<u8>> {
    items(&v["leaves"]).iter().map(bytes).collect()
}

pub(crate) fn tree_root(v: &Value) -> Result<Value> {
    let root = tree::root(number(&v["kind"]) as u8, leaves(v));
    Ok(json!({ "root": hex(&root) }))
}

/// Words 0, 1, 2, … packed.
pub(crate) fn vector_root(v: &Value) -> Result<Value> {
    let word_bytes = number(&v["word_bytes"]) as usize;
    let words: Vec<u64> = (0..number(&v["words"])).collect();
    let root = tree::vector_root(number(&v["kind"]) as u8, word_bytes, &pack(&words, word_bytes));
    Ok(json!({ "root": hex(&root) }))
}

/// Subtree roots of ranges, and the root they make.
pub(crate) fn subtrees(v: &Value) -> Result<Value> {
    let (kind, size) = (number(&v["kind"]) as u8, number(&v["size"]));
    let leaves = leaves(v);
    let mut roots: Vec<Hash> = Vec::new();
    for (i, range) in leaves.chunks(size as usize).enumerate() {
        roots.push(tree::subtree_root(kind, i as u64 * size, size, range)?);
    }
    let root = tree::root_from_subtrees(kind, leaves.len() as u64, size, &roots)?;
    let roots: Vec<String> = roots.iter().map(|r| hex(r)).collect();
    Ok(json!({ "subtrees": roots, "root": hex(&root) }))
}

/// The path of a leaf; a `claimed` leaf must verify against the root with it.
pub(crate) fn proof(v: &Value) -> Result<Value> {
    let (kind, index) = (number(&v["kind"]) as u8, number(&v["index"]));
    let leaves = leaves(v);
    let hashes: Vec<Hash> = (0..).zip(&leaves).map(|(i, d)| tree::leaf_hash(kind, i, d)).collect();
    let path = tree::proof(&hashes, index).expect("a leaf of the tree");
    let root = tree::root(kind, &leaves);
    let claimed = bytes(&v["claimed"]);
    if !tree::verify(&root, kind, leaves.len() as u64, index, &claimed, &path) {
        let position = index as usize;
        return Err(CryptoError::WordOutOfRange { what: "leaf", position });
    }
    let path: Vec<String> = path.iter().map(|h| hex(h)).collect();
    Ok(json!({ "root": hex(&root), "path": path }))
}
