use alloy_primitives::{U256, b256};
use k256::ecdsa::SigningKey;

use super::*;

fn sign(key: u8, hash: B256) -> Vec<u8> {
    let key = SigningKey::from_slice(&[key; 32]).unwrap();
    let (signature, parity) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(27 + u8::from(parity));
    bytes
}

fn address(key: u8) -> Address {
    Address::from_public_key(SigningKey::from_slice(&[key; 32]).unwrap().verifying_key())
}

#[test]
fn a_signature_names_its_signer_and_nobody_else() {
    let domain = domain(31337, Address::repeat_byte(1));
    let ack = StageAck { ctx: B256::repeat_byte(2), stage: 6, transcript: B256::repeat_byte(3) };
    let hash = signing_hash(&ack, &domain);
    let signature = sign(7, hash);
    assert_eq!(recover(hash, &signature).unwrap(), address(7));

    let elsewhere = signing_hash(&ack, &super::domain(31338, Address::repeat_byte(1)));
    assert_ne!(recover(elsewhere, &signature).ok(), Some(address(7)));
}

#[test]
fn only_one_encoding_of_a_signature_passes() {
    let hash = B256::repeat_byte(9);
    let good = sign(7, hash);

    let mut high = good.clone();
    let order = U256::from_be_bytes(b256!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").0);
    let s = order - U256::from_be_slice(&good[32..64]);
    high[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    high[64] = 27 + 28 - good[64];
    assert!(recover(hash, &high).is_err());

    let mut parity = good.clone();
    parity[64] -= 27;
    assert!(recover(hash, &parity).is_err());
    for short in [&good[..64], &[][..], &[27][..]] {
        assert!(recover(hash, short).is_err());
    }
    assert!(recover(hash, &[0; 65]).is_err());
}

#[test]
fn eip712_type_strings_are_those_of_the_contracts() {
    assert_eq!(StageAck::eip712_encode_type(), "StageAck(bytes32 ctx,uint8 stage,bytes32 transcript)");
    assert_eq!(Ready::eip712_encode_type(), "Ready(uint64 federation,uint64 round,address member,bytes32 keyHash)");
    assert_eq!(
        Contribution::eip712_encode_type(),
        "Contribution(bytes32 ctx,address participant,uint32 blocks,bytes32 ciphertextRoot,bytes32 checkRoot,\
         bytes32 shareRoot,bytes ciphertextCid,bytes checkCid,bytes sharesCid,uint8 normClass)"
    );
}

#[test]
fn the_transcript_binds_stage_order_and_root() {
    let root = B256::repeat_byte(5);
    let first = transcript(B256::ZERO, Stage::Ctx, root);
    let expected = keccak256([[0u8; 32], [0; 32], root.0, [0; 32]].concat());
    assert_eq!(first, expected);
    assert_ne!(transcript(first, Stage::Promise, root), transcript(first, Stage::Lock, root));
}

#[test]
fn ctx_is_the_hash_of_flat_words() {
    let descriptor = Descriptor { round: 3, deadlines: [1, 2, 3, 4, 5, 6, 7, 8, 9], ..Descriptor::default() };
    let mut words = U256::from(5).to_be_bytes::<32>().to_vec();
    words.extend_from_slice(Address::repeat_byte(1).into_word().as_slice());
    words.extend_from_slice(&descriptor.abi_encode());
    assert_eq!(ctx(5, Address::repeat_byte(1), &descriptor), keccak256(&words));
    assert_eq!(words.len() % 32, 0);
}

#[test]
fn a_copied_promise_is_another_commitment() {
    let mine = Promise {
        chain_id: 1,
        rounds: Address::repeat_byte(1),
        federation: 2,
        round: 3,
        validator: Address::repeat_byte(4),
        ctx: B256::repeat_byte(5),
        direction_root: B256::repeat_byte(6),
        salt: B256::repeat_byte(7),
    };
    let copied = Promise { validator: Address::repeat_byte(8), ..mine };
    assert_ne!(commitment(&mine), commitment(&copied));
}

#[test]
fn stages_are_numbered_as_documented() {
    for (number, stage) in Stage::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(stage.number()), number);
        assert_eq!(Stage::try_from(number as u8).unwrap(), stage);
    }
    assert!(Stage::try_from(12).is_err());
}
