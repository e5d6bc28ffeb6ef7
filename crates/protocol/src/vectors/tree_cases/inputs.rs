//! Inputs of the tree vectors.

use super::*;

fn word(n: u8) -> B256 {
    B256::repeat_byte(n)
}

fn account(n: u8) -> Address {
    Address::repeat_byte(n)
}

fn case<const N: usize>(kind: &str, fields: [(&str, serde_json::Value); N]) -> Object {
    let mut vector = object(fields);
    vector.insert("kind".to_owned(), text(kind));
    vector
}

fn promises(order: &[u8]) -> Object {
    let item = |n: &u8| PromiseItem { validator: account(*n), commitment: word(0x80 + n) };
    case("list", [("items", texts(order.iter().map(|n| Bytes::from(item(n).abi_encode()))))])
}

fn typed<T: SolStruct + SolValue>(message: &T) -> Object {
    let fields = [
        ("chainId", text(31337)),
        ("contract", text(account(0x77))),
        ("type", text(<T as SolStruct>::NAME)),
        ("message", text(Bytes::from(message.abi_encode()))),
    ];
    case("eip712", fields)
}

fn descriptor() -> Descriptor {
    Descriptor {
        federation: 1,
        round: 2,
        parentCtx: word(1),
        baseModelRoot: word(2),
        specHash: word(3),
        scale: Scales {
            parameters: 513,
            clip: 1 << 15,
            delta: 1 << 17,
            updateBits: 15,
            fracBits: 24,
            dropBits: 2,
            updateMax: 32767,
            directionNorm: 23,
        },
        members: 4,
        faults: 1,
        threshold: 3,
        minAdmitted: 3,
        validators: 3,
        acceptLeak: true,
        scalarsMax: 45,
        lrNum: 1,
        lrDen: 2,
        pot: u128::MAX,
        feeBps: 1000,
        rule: 0,
        qualityFloor: 1 << 32,
        epoch: 7,
        matrixRoot: word(4),
        challengeWindow: 3600,
        deadlines: [1, 2, 3, 4, 5, 6, 7, 8, 9],
        ..Descriptor::default()
    }
}

fn contribution() -> Contribution {
    Contribution {
        ctx: word(1),
        participant: account(2),
        blocks: 3,
        ciphertextRoot: word(4),
        checkRoot: word(5),
        shareRoot: word(6),
        ciphertextCid: vec![1, 85, 18, 32].into(),
        checkCid: vec![7; 36].into(),
        sharesCid: Bytes::new(),
        normClass: 9,
    }
}

fn messages() -> Vec<(&'static str, Object)> {
    let ready = Ready { federation: 1, round: 2, member: account(3), keyHash: word(4) };
    let join = Join { federation: 1, account: account(2), entity: word(3), role: 1 };
    let receipt = Receipt { ctx: word(1), participant: account(2), manifestHash: word(3), receivedAt: 4 };
    let promise = DirectionPromise { ctx: word(1), validator: account(2), commitment: word(3) };
    let reveal = Reveal { ctx: word(1), validator: account(2), directionRoot: word(3), salt: word(4) };
    let ack = StageAck { ctx: word(1), stage: 6, transcript: word(2) };
    let answer = Answer { ctx: word(1), stage: 5, member: 2, answerHash: word(3) };
    vec![
        ("eip712_ready", typed(&ready)),
        ("eip712_join", typed(&join)),
        ("eip712_contribution", typed(&contribution())),
        ("eip712_receipt", typed(&receipt)),
        ("eip712_direction_promise", typed(&promise)),
        ("eip712_reveal", typed(&reveal)),
        ("eip712_stage_ack", typed(&ack)),
        ("eip712_answer", typed(&answer)),
    ]
}

fn settle_list(count: u32) -> Vec<SettleItem> {
    let item = |index: u32| SettleItem {
        index,
        account: account(index as u8 + 1),
        role: u8::from(index >= 4),
        quality: u128::from(index) + 1,
        weight: U256::from(index + 1),
        prefix: U256::from((index + 1) * (index + 2) / 2),
        pay: 10 * (u128::from(index) + 1),
        cumulative: 1000,
    };
    (0..count).map(item).collect()
}

fn settles() -> Vec<(&'static str, Object)> {
    let encoded = |item: &SettleItem| Bytes::from(item.abi_encode());
    let tree_of = |count: u32, index: u32| {
        case("settle", [("items", texts(settle_list(count).iter().map(encoded))), ("index", text(index))])
    };
    let items = settle_list(7);
    let tree = SettleTree::new(&items).unwrap();
    let proof_of = |item: &SettleItem, proof: &[SettleNode]| {
        let fields = [
            ("root", text(tree.root())),
            ("count", text(7)),
            ("item", text(encoded(item))),
            ("proofHashes", texts(proof.iter().map(|node| node.hash))),
            ("proofSums", texts(proof.iter().map(|node| node.sum))),
        ];
        case("settleProof", fields)
    };
    let proof = tree.proof(5).unwrap();
    let mut shifted = proof.clone();
    shifted[0].sum += 1;
    vec![
        ("settle_empty", tree_of(0, 0)),
        ("settle_one", tree_of(1, 0)),
        ("settle_seven", tree_of(7, 5)),
        ("settle_eight", tree_of(8, 0)),
        ("settle_proof", proof_of(&items[5], &proof)),
        ("bad_settle_proof_pay", proof_of(&SettleItem { pay: 61, ..items[5].clone() }, &proof)),
        ("bad_settle_proof_index", proof_of(&SettleItem { index: 4, ..items[5].clone() }, &proof)),
        ("bad_settle_proof_sum", proof_of(&items[5], &shifted)),
        ("bad_settle_proof_short", proof_of(&items[5], &proof[..2])),
    ]
}

fn payouts() -> Vec<(&'static str, Object)> {
    let tree_of = |count: u8, of: u8| {
        let fields = [
            ("accounts", texts((1..=count).map(account))),
            ("cumulatives", texts((1..=count).map(|n| U256::from(n) * U256::from(1_000_000_000_000_000_000u64)))),
            ("account", text(account(of))),
        ];
        case("payout", fields)
    };
    let item = |n: u8| PayoutItem { account: account(n), cumulative: U256::from(n) };
    let tree = PayoutTree::new(&[item(1), item(2), item(3)]);
    let (_, proof) = tree.proof(account(2)).unwrap();
    let proof_of = |of: u8, cumulative: u8| {
        let fields = [
            ("root", text(tree.root())),
            ("account", text(account(of))),
            ("cumulative", text(cumulative)),
            ("proof", texts(&proof)),
        ];
        case("payoutProof", fields)
    };
    vec![
        ("payout_empty", tree_of(0, 1)),
        ("payout_one", tree_of(1, 1)),
        ("payout_two", tree_of(2, 2)),
        ("payout_seven", tree_of(7, 4)),
        ("payout_proof", proof_of(2, 2)),
        ("bad_payout_proof_account", proof_of(1, 2)),
        ("bad_payout_proof_amount", proof_of(2, 3)),
    ]
}

pub(super) fn cases() -> Vec<(&'static str, Object)> {
    let context = [
        ("chainId", text(31337)),
        ("rounds", text(account(0x77))),
        ("descriptor", text(Bytes::from(descriptor().abi_encode()))),
    ];
    let commitment = [
        ("chainId", text(31337)),
        ("rounds", text(account(0x77))),
        ("federation", text(1)),
        ("round", text(2)),
        ("validator", text(account(3))),
        ("ctx", text(word(4))),
        ("directionRoot", text(word(5))),
        ("salt", text(word(6))),
    ];
    let epoch = [
        ("chainId", text(31337)),
        ("federations", text(account(0x78))),
        ("federation", text(1)),
        ("epoch", text(2)),
        ("beacon", text(word(3))),
    ];
    let mut cases = vec![
        ("list_empty", promises(&[])),
        ("list_three", promises(&[1, 2, 3])),
        ("bad_list_order", promises(&[2, 1, 3])),
        ("bad_list_twice", promises(&[1, 1, 3])),
        ("transcript", case("transcript", [("roots", texts((1..=12).map(word)))])),
        ("ctx", case("ctx", context)),
        ("commitment", case("commitment", commitment)),
        ("epoch_seed", case("epoch", epoch)),
    ];
    cases.extend(messages());
    cases.extend(settles());
    cases.extend(payouts());
    cases
}
