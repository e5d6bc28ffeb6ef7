//! Roots, proofs and hashes. `kind` says which function a vector is of; a `bad_` one is a proof that must fail.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolStruct, SolValue};

use super::Object;
use super::fields::{many, object, one, text, texts};
use crate::types::{
    Answer, Contribution, Descriptor, DirectionPromise, Join, PayoutItem, Promise, PromiseItem, Ready, Receipt, Reveal,
    Scales, SettleItem, StageAck, commitment, ctx, domain, epoch_seed, transcript,
};
use crate::{
    ListItem, PayoutTree, SettleNode, SettleTree, Stage, encode_list, list_root, payout_leaf, settle_leaf,
    verify_claim, verify_settle,
};

pub(super) fn run(vector: &Object) -> Result<Object, String> {
    match one::<String>(vector, "kind").as_str() {
        "list" => list(vector),
        "transcript" => Ok(chain(vector)),
        "ctx" => context(vector),
        "commitment" => Ok(promise(vector)),
        "epoch" => Ok(epoch(vector)),
        "eip712" => typed(vector),
        "settle" => settle_tree(vector),
        "settleProof" => settle_proof(vector),
        "payout" => Ok(payout_tree(vector)),
        "payoutProof" => payout_proof(vector),
        other => Err(format!("kind {other}")),
    }
}

fn decoded<T>(bytes: &Bytes) -> Result<T, String>
where
    T: SolValue + From<<T::SolType as alloy_sol_types::SolType>::RustType>,
{
    T::abi_decode(bytes).map_err(|error| error.to_string())
}

fn list(vector: &Object) -> Result<Object, String> {
    let items: Vec<Bytes> = many(vector, "items");
    let items = items.iter().map(|item| PromiseItem::decode(item).ok_or("not a promise item"));
    let items: Vec<PromiseItem> = items.collect::<Result<_, _>>()?;
    let bytes = encode_list(&items);
    crate::decode_list::<PromiseItem>(&bytes, items.len()).map_err(|error| error.to_string())?;
    Ok(object([("bytes", text(Bytes::from(bytes))), ("root", text(list_root(&items)))]))
}

fn chain(vector: &Object) -> Object {
    let mut head = B256::ZERO;
    let mut heads = Vec::new();
    for (stage, root) in Stage::ALL.into_iter().zip(many::<B256>(vector, "roots")) {
        head = transcript(head, stage, root);
        heads.push(head);
    }
    object([("transcript", texts(heads))])
}

fn context(vector: &Object) -> Result<Object, String> {
    let descriptor: Descriptor = decoded(&one(vector, "descriptor"))?;
    Ok(object([("ctx", text(ctx(one(vector, "chainId"), one(vector, "rounds"), &descriptor)))]))
}

fn promise(vector: &Object) -> Object {
    let promise = Promise {
        chain_id: one(vector, "chainId"),
        rounds: one(vector, "rounds"),
        federation: one(vector, "federation"),
        round: one(vector, "round"),
        validator: one(vector, "validator"),
        ctx: one(vector, "ctx"),
        direction_root: one(vector, "directionRoot"),
        salt: one(vector, "salt"),
    };
    object([("commitment", text(commitment(&promise)))])
}

fn epoch(vector: &Object) -> Object {
    let seed = epoch_seed(
        one(vector, "chainId"),
        one(vector, "federations"),
        one(vector, "federation"),
        one(vector, "epoch"),
        one(vector, "beacon"),
    );
    object([("seed", text(B256::from(seed)))])
}

fn typed(vector: &Object) -> Result<Object, String> {
    let message: Bytes = one(vector, "message");
    let domain = domain(one(vector, "chainId"), one(vector, "contract"));
    macro_rules! hashes {
        ($($type:ident),+) => {
            match one::<String>(vector, "type").as_str() {
                $(stringify!($type) => {
                    let message: $type = decoded(&message)?;
                    (message.eip712_hash_struct(), message.eip712_signing_hash(&domain))
                })+
                other => return Err(format!("type {other}")),
            }
        };
    }
    let (struct_hash, digest) = hashes!(Ready, Join, Contribution, Receipt, DirectionPromise, Reveal, StageAck, Answer);
    Ok(object([("structHash", text(struct_hash)), ("digest", text(digest))]))
}

fn settle_items(vector: &Object) -> Result<Vec<SettleItem>, String> {
    many::<Bytes>(vector, "items").iter().map(decoded).collect()
}

fn settle_tree(vector: &Object) -> Result<Object, String> {
    let items = settle_items(vector)?;
    let tree = SettleTree::new(&items).map_err(|error| error.to_string())?;
    let index: u32 = one(vector, "index");
    let proof = tree.proof(index).unwrap_or_default();
    Ok(object([
        ("leaves", texts(items.iter().map(|item| settle_leaf(item).hash))),
        ("root", text(tree.root())),
        ("total", text(tree.total())),
        ("proofHashes", texts(proof.iter().map(|node| node.hash))),
        ("proofSums", texts(proof.iter().map(|node| node.sum))),
    ]))
}

fn settle_proof(vector: &Object) -> Result<Object, String> {
    let hashes = many::<B256>(vector, "proofHashes").into_iter();
    let siblings: Vec<SettleNode> =
        hashes.zip(many::<u128>(vector, "proofSums")).map(|(hash, sum)| SettleNode { hash, sum }).collect();
    let item: SettleItem = decoded(&one(vector, "item"))?;
    let holds = verify_settle(one(vector, "root"), one(vector, "count"), &item, &siblings);
    if holds { Ok(Object::new()) } else { Err("the leaf is not in the tree".into()) }
}

fn payout_tree(vector: &Object) -> Object {
    let accounts = many::<Address>(vector, "accounts").into_iter();
    let items: Vec<PayoutItem> = accounts
        .zip(many::<U256>(vector, "cumulatives"))
        .map(|(account, cumulative)| PayoutItem { account, cumulative })
        .collect();
    let tree = PayoutTree::new(&items);
    let (_, proof) = tree.proof(one(vector, "account")).unwrap_or_default();
    object([
        ("leaves", texts(items.iter().map(|item| payout_leaf(item.account, item.cumulative)))),
        ("root", text(tree.root())),
        ("proof", texts(proof)),
    ])
}

fn payout_proof(vector: &Object) -> Result<Object, String> {
    let (root, proof) = (one(vector, "root"), many::<B256>(vector, "proof"));
    let holds = verify_claim(root, one(vector, "account"), one(vector, "cumulative"), &proof);
    if holds { Ok(Object::new()) } else { Err("the claim is not in the tree".into()) }
}

mod inputs;

pub(super) fn cases() -> Vec<(&'static str, Object)> {
    inputs::cases()
}
