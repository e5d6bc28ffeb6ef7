//! Operations of a participant: encryption, shares, seals.

use almoner_crypto::encrypt::{Ciphertext, Params, Secret, check_data_block, encrypt_update, noise_rng, update_digest};
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::seal::{MemberKey, ShareAad, open_share, seal_share};
use almoner_crypto::share::{AnswerVec, ShareVec, deal, interpolate, share_root, weighted_sum};
use almoner_crypto::{Result, tree};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::values::{array, bytes, digest, generator, hex, items, number, pack, signed, sparse};

/// The secret of an upload, drawn as an upload draws it.
pub(crate) fn draw(v: &Value) -> Secret {
    Secret::draw(&array(&v["os_randomness"]), &array(&v["ctx"]), &update_digest(&signed::<i32>(&v["update"])))
}

pub(crate) fn ciphertext(v: &Value) -> Result<Ciphertext> {
    let update: Vec<i32> = signed(&v["update"]);
    let params = Params::new(number(&v["delta"]), number(&v["update_max"]) as u32)?;
    let mut noise = noise_rng(&array(&v["os_randomness"]), &array(&v["ctx"]), &update_digest(&update));
    let seed = EpochSeed(array(&v["seed"]));
    encrypt_update(&seed, draw(v), &update, &params, &mut noise)
}

/// The secret itself is a share of threshold one.
fn secret_words(secret: &Secret) -> Vec<u64> {
    let share = deal(secret, 1, 1, &mut generator(&Value::from("00".repeat(32)))).expect("one of one");
    weighted_sum(&[(1, &share[0])]).words().to_vec()
}

pub(crate) fn encrypt(v: &Value) -> Result<Value> {
    let c = ciphertext(v)?;
    Ok(json!({
        "update_digest": hex(&update_digest(&signed::<i32>(&v["update"]))),
        "secret": digest(&secret_words(&draw(v))),
        "data_length": c.data.len(),
        "data_first_words": hex(&c.data[..24]),
        "data_sha256": hex(&Sha256::digest(&c.data)),
        "check_first_words": hex(&c.check[..32]),
        "check_sha256": hex(&Sha256::digest(&c.check)),
        "ciphertext_root": hex(&c.ciphertext_root),
        "check_root": hex(&c.check_root),
    }))
}

pub(crate) fn data_block(v: &Value) -> Result<Value> {
    let mut block = pack(&*sparse(&v["words"]), 6);
    block.truncate(v["bytes"].as_u64().map_or(block.len(), |n| n as usize));
    check_data_block(&block)?;
    let sha256 = Sha256::digest(&block);
    Ok(json!({ "sha256": hex(&sha256) }))
}

pub(crate) fn shares(v: &Value) -> Result<Vec<ShareVec>> {
    let (m, t) = (number(&v["members"]) as usize, number(&v["threshold"]) as usize);
    deal(&draw(v), m, t, &mut generator(&v["chacha20"]))
}

/// Shares, their root under the salts `SHA-256(k)`, and the secret from the members of `subset`.
pub(crate) fn deal_shares(v: &Value) -> Result<Value> {
    let shares = shares(v)?;
    let salts: Vec<[u8; 32]> = (0..shares.len()).map(|k| Sha256::digest([k as u8]).into()).collect();
    let answers: Vec<AnswerVec> = shares.iter().map(|s| weighted_sum(&[(1, s)])).collect();
    let subset: Vec<u16> = items(&v["subset"]).iter().map(|k| number(k) as u16).collect();
    let pairs: Vec<_> = subset.iter().map(|&k| (k, &answers[usize::from(k)])).collect();
    let opened = interpolate(&pairs, number(&v["threshold"]) as usize)?;
    let digests: Vec<Value> = answers.iter().map(|a| digest(a.words())).collect();
    Ok(json!({
        "shares": digests,
        "share_root": hex(&share_root(salts.iter().zip(&shares))),
        "opened": digest(opened.words()),
    }))
}

pub(crate) fn parse_share(v: &Value) -> Result<Value> {
    let mut bytes = pack(&*sparse(&v["words"]), 8);
    bytes.truncate(v["bytes"].as_u64().map_or(bytes.len(), |n| n as usize));
    let share = ShareVec::from_bytes(&bytes)?;
    let leaf = tree::leaf_hash(tree::kind::SHARES, 0, &[&[0; 32], &**share.to_bytes()].concat());
    Ok(json!({ "leaf_0_under_zero_salt": hex(&leaf) }))
}

fn aad(v: &Value) -> ShareAad {
    ShareAad {
        round: number(&v["round"]),
        participant: array(&v["participant"]),
        member: number(&v["member"]) as u16,
        ciphertext_root: array(&v["ciphertext_root"]),
        check_root: array(&v["check_root"]),
        share_root: array(&v["share_root"]),
    }
}

/// Seals, perhaps spoils, and opens again, perhaps with another context.
pub(crate) fn seal(v: &Value) -> Result<Value> {
    let key = MemberKey::from_seed(&array(&v["member_seed"]));
    let share = ShareVec::from_bytes(&pack(&*sparse(&v["words"]), 8))?;
    let (ctx, salt) = (array(&v["ctx"]), array(&v["salt"]));
    let public = key.public();
    let mut rng = generator(&v["chacha20"]);
    let mut sealed = seal_share(&public, &ctx, &aad(&v["aad"]), &salt, &share, &mut rng)?;
    let sha256 = Sha256::digest(&sealed);
    if let Some(at) = v["flip"].as_u64() {
        sealed[at as usize] ^= 1;
    }
    sealed.truncate(v["bytes"].as_u64().map_or(sealed.len(), |n| n as usize));
    let opened_as = if v["opened_as"].is_null() { v } else { &v["opened_as"] };
    let ctx = array(&opened_as["ctx"]);
    let (opened_salt, opened) = open_share(&key, &ctx, &aad(&opened_as["aad"]), &sealed)?;
    assert_eq!((bytes(&v["salt"]), share.to_bytes()), (opened_salt.to_vec(), opened.to_bytes()));
    Ok(json!({
        "public_key_sha256": hex(&Sha256::digest(public)),
        "sealed_length": sealed.len(),
        "sealed_sha256": hex(&sha256),
    }))
}
