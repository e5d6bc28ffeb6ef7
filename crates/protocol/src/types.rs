//! The structs that are hashed, signed and published, and the hashes taken over them.
//!
//! They are generated from the Solidity file itself, so that the two languages cannot disagree about a field.

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain, sol};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

sol!(
    #![sol(all_derives = true, extra_derives(serde::Serialize, serde::Deserialize))]
    "../../contracts/src/Types.sol"
);

/// The posted roots of a round, in the order of the transcript chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Stage {
    Ctx = 0,
    Promise = 1,
    Lock = 2,
    Direction = 3,
    Audit = 4,
    Score = 5,
    Admit = 6,
    Sum = 7,
    Open = 8,
    Model = 9,
    Settle = 10,
    Payout = 11,
}

impl Stage {
    pub const ALL: [Self; 12] = [
        Self::Ctx,
        Self::Promise,
        Self::Lock,
        Self::Direction,
        Self::Audit,
        Self::Score,
        Self::Admit,
        Self::Sum,
        Self::Open,
        Self::Model,
        Self::Settle,
        Self::Payout,
    ];

    /// The word used for it in events, logs and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ctx => "ctx",
            Self::Promise => "promise",
            Self::Lock => "lock",
            Self::Direction => "direction",
            Self::Audit => "audit",
            Self::Score => "score",
            Self::Admit => "admit",
            Self::Sum => "sum",
            Self::Open => "open",
            Self::Model => "model",
            Self::Settle => "settle",
            Self::Payout => "payout",
        }
    }

    /// Its number in the transcript chain.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for Stage {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        Self::ALL.get(usize::from(number)).copied().ok_or(Error::UnknownStage(number))
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The EIP-712 domain of everything but `Join` (whose verifying contract is `Federations`): `Rounds`.
pub fn domain(chain_id: u64, contract: Address) -> Eip712Domain {
    eip712_domain! {
        name: "Almoner",
        version: "0",
        chain_id: chain_id,
        verifying_contract: contract,
    }
}

/// What a signer of `message` signs.
pub fn signing_hash<T: SolStruct>(message: &T, domain: &Eip712Domain) -> B256 {
    message.eip712_signing_hash(domain)
}

/// Name of a round: every message, seal and signature of the round is bound to it.
pub fn ctx(chain_id: u64, rounds: Address, descriptor: &Descriptor) -> B256 {
    keccak256((alloy_primitives::U256::from(chain_id), rounds, descriptor.clone()).abi_encode_params())
}

/// `H_s` from `H_{s-1}`. Version 0 has no beacons, so that word is zero.
pub fn transcript(previous: B256, stage: Stage, root: B256) -> B256 {
    let number = alloy_primitives::U256::from(stage.number());
    keccak256((previous, number, root, B256::ZERO).abi_encode_params())
}

/// Commitment of a validator to its direction. It names the validator, so a copied promise does not open.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub chain_id: u64,
    pub rounds: Address,
    pub federation: u64,
    pub round: u64,
    pub validator: Address,
    pub ctx: B256,
    pub direction_root: B256,
    pub salt: B256,
}

/// `keccak256(abi.encode(chainid, rounds, federation, round, validator, ctx, directionRoot, salt))`.
pub fn commitment(promise: &Promise) -> B256 {
    let word = alloy_primitives::U256::from;
    keccak256(
        (
            word(promise.chain_id),
            promise.rounds,
            word(promise.federation),
            word(promise.round),
            promise.validator,
            promise.ctx,
            promise.direction_root,
            promise.salt,
        )
            .abi_encode_params(),
    )
}

/// Seed of the public matrix of one epoch.
pub fn epoch_seed(chain_id: u64, federations: Address, federation: u64, epoch: u32, beacon: B256) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"almoner/epoch/v0");
    hash.update(chain_id.to_be_bytes());
    hash.update(federations);
    hash.update(federation.to_be_bytes());
    hash.update(epoch.to_be_bytes());
    hash.update(beacon);
    hash.finalize().into()
}

/// SHA-256, as `Answer.answerHash` and the spec hash use it.
pub fn sha256(bytes: &[u8]) -> B256 {
    B256::from(<[u8; 32]>::from(Sha256::digest(bytes)))
}

/// The account that signed `hash`. Only the one form the contracts accept passes: r, s, v with s in the lower half
/// and v 27 or 28; else one signature would have two encodings and two list roots.
pub fn recover(hash: B256, signature: &[u8]) -> Result<Address, Error> {
    let (Some((words, &[v @ (27 | 28)])), 65) = (signature.split_at_checked(64), signature.len()) else {
        return Err(Error::Signature("expected 65 bytes ending in 27 or 28"));
    };
    let parity = if v == 27 { RecoveryId::Zero } else { RecoveryId::One };
    let parsed = RecoverableSignature::from_compact(words, parity);
    let parsed = parsed.map_err(|_| Error::Signature("not a secp256k1 signature"))?;
    let mut low = parsed.to_standard();
    low.normalize_s();
    if low != parsed.to_standard() {
        return Err(Error::Signature("s is in the upper half"));
    }
    let key = SECP256K1.recover_ecdsa(Message::from_digest(hash.0), &parsed);
    let key = key.map_err(|_| Error::Signature("no key recovers from it"))?;
    let account = Address::from_raw_public_key(&key.serialize_uncompressed()[1..]);
    if account.is_zero() { Err(Error::Signature("recovers to the zero address")) } else { Ok(account) }
}

#[cfg(test)]
mod tests;
