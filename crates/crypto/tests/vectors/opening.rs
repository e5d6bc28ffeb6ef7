//! Operations of the committee, the aggregator and auditors: scores and sums.

use almoner_crypto::Result;
use almoner_crypto::encrypt::{Ciphertext, DATA_BLOCK_BYTES};
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::add;
use almoner_crypto::score::{Direction, ScoreOpening, answer, finish_inner, inner_partial, linear_form, open_score};
use almoner_crypto::share::{AnswerVec, weighted_sum};
use almoner_crypto::sum::{CheckSum, SumBlock, SumRule, find_secret, open_block};
use serde_json::{Map, Value, json};

use crate::encrypting::{ciphertext, shares};
use crate::values::{array, digest, items, number, numbers, pack, signed, sparse};

pub(crate) fn form(v: &Value) -> Result<Value> {
    let entries: Vec<i8> = signed(&v["direction"]);
    let form = linear_form(&EpochSeed(array(&v["seed"])), &Direction(&entries));
    Ok(digest(form.words()))
}

pub(crate) fn inner(v: &Value) -> Result<Value> {
    let entries: Vec<i8> = signed(&v["direction"]);
    let raw = inner_partial(&pack(&*sparse(&v["words"]), 6), &entries)?;
    Ok(json!({ "partial": raw, "inner": finish_inner(raw, &Direction(&entries)) }))
}

fn members(v: &Value) -> Vec<u16> {
    numbers(v).into_iter().map(|k| k as u16).collect()
}

fn opening_json(opening: &ScoreOpening) -> Value {
    json!({ "scores": opening.scores, "subset": opening.subset, "off": opening.off })
}

pub(crate) fn score(v: &Value) -> Result<Value> {
    let opening = open_score(
        &numbers(&v["inner"]),
        &members(&v["responders"]),
        &numbers(&v["answers"]),
        number(&v["threshold"]) as usize,
        number(&v["delta"]),
        &numbers(&v["norm2s"]),
    )?;
    Ok(opening_json(&opening))
}

/// From an update to its scores: encryption, shares, forms, answers, opening.
pub(crate) fn round_score(v: &Value) -> Result<Value> {
    let (c, shares) = (ciphertext(v)?, shares(v)?);
    let entries: Vec<Vec<i8>> = items(&v["directions"]).iter().map(signed).collect();
    let directions: Vec<Direction> = entries.iter().map(|e| Direction(e)).collect();
    let mut inner = Vec::new();
    for g in &directions {
        let mut raw = 0;
        for (j, block) in c.data.chunks(DATA_BLOCK_BYTES).enumerate() {
            raw = add(raw, inner_partial(block, g.block(j))?);
        }
        inner.push(finish_inner(raw, g));
    }
    let seed = EpochSeed(array(&v["seed"]));
    let forms: Vec<_> = directions.iter().map(|g| linear_form(&seed, g)).collect();
    let responders = members(&v["responders"]);
    let rows = responders.iter().map(|&k| &shares[usize::from(k)]);
    let answers: Vec<u64> = rows.flat_map(|s| forms.iter().map(|l| answer(s, l))).collect();
    let norm2s: Vec<u64> = directions.iter().map(Direction::norm2).collect();
    let (t, delta) = (number(&v["threshold"]) as usize, number(&v["delta"]));
    let opening = open_score(&inner, &responders, &answers, t, delta, &norm2s)?;
    Ok(json!({ "inner": inner, "answers": answers, "norm2s": norm2s, "opening": opening_json(&opening) }))
}

/// One participant of `round_sum`: the common fields with its own laid over them.
fn merged(common: &Value, own: &Value) -> Value {
    let fields = |v: &Value| v.as_object().cloned().expect("an object");
    let mut all: Map<String, Value> = fields(common);
    all.extend(fields(own));
    Value::from(all)
}

/// From updates to their weighted sum. `lies` are `[member, position, added]`.
pub(crate) fn round_sum(v: &Value) -> Result<Value> {
    let participants: Vec<Value> = items(&v["participants"]).iter().map(|p| merged(v, p)).collect();
    let weights: Vec<u16> = participants.iter().map(|p| number(&p["weight"]) as u16).collect();
    let ciphertexts: Vec<Ciphertext> = participants.iter().map(ciphertext).collect::<Result<_>>()?;
    let dealt = participants.iter().map(shares).collect::<Result<Vec<_>>>()?;

    let mut check = CheckSum::new();
    let mut sums = vec![SumBlock::new(); ciphertexts[0].data.len() / DATA_BLOCK_BYTES];
    for (c, &w) in ciphertexts.iter().zip(&weights) {
        check.add(&c.check, w)?;
        for (sum, block) in sums.iter_mut().zip(c.data.chunks(DATA_BLOCK_BYTES)) {
            sum.add(block, w)?;
        }
    }

    let mut answers = Vec::new();
    for k in members(&v["responders"]) {
        let held: Vec<_> = weights.iter().zip(&dealt).map(|(&w, s)| (w, &s[usize::from(k)])).collect();
        let mut words = *weighted_sum(&held).words();
        let lies = v["lies"].as_array().into_iter().flatten();
        for lie in lies.filter(|lie| number(&lie[0]) == u64::from(k)) {
            let word = &mut words[number(&lie[1]) as usize];
            *word = add(*word, number(&lie[2]));
        }
        answers.push((k, AnswerVec::from_bytes(&pack(&words, 8))?));
    }

    let rule = SumRule {
        weight: weights.iter().map(|&w| u64::from(w)).sum(),
        weight_norm2: weights.iter().map(|&w| u64::from(w).pow(2)).sum(),
        delta: number(&v["delta"]),
        update_max: number(&v["update_max"]) as u32,
    };
    let seed = EpochSeed(array(&v["seed"]));
    let answers: Vec<_> = answers.iter().map(|(k, a)| (*k, a)).collect();
    let t = number(&v["threshold"]) as usize;
    let (subset, secret) = find_secret(&seed, &answers, t, check.words(), rule.weight_norm2)?;
    let mut blocks = Vec::new();
    for (j, sum) in sums.iter().enumerate() {
        let opened = open_block(&seed, j as u64, &secret, sum.words(), &rule)?;
        let values: Vec<u64> = opened.values.iter().map(|&x| x as u64).collect();
        blocks.push(json!({
            "sums": digest(sum.words()),
            "first_values": &opened.values[..8],
            "values_sha256": digest(&values)["sha256"],
            "max_residual": opened.max_residual,
            "ok": opened.ok,
        }));
    }
    let check: Vec<Value> = check.words().chunks(2048).map(digest).collect();
    Ok(json!({ "subset": subset, "secret": digest(secret.words()), "check_sums": check, "blocks": blocks }))
}
