// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The structs that Rust and Solidity hash, sign and publish alike. `almoner-protocol` reads this very file, so
// there is one definition of each. An artefact is a list of ABI-encoded items of one of the types below; how a
// list is framed and how its root is taken stands in docs/PROTOCOL.md.

/// A hospital of the federation. `class` is its attested size and its weight in the sum (1..255).
struct Member {
    address account;
    bytes32 entity;
    uint16 class;
}

/// Holder of a private evaluation set. `stake` is 1 where none is asked.
struct Validator {
    address account;
    bytes32 entity;
    uint128 stake;
}

/// A member of one round's committee: who answers, and the X-Wing key (1216 bytes) its shares are sealed to.
struct CommitteeMember {
    address account;
    bytes key;
}

/// How large and how fine an update is; from one function, never by hand.
struct Scales {
    uint32 parameters; // d
    uint64 clip; // C, L2 bound in update units
    uint64 delta; // message scale, a power of two
    uint8 updateBits;
    uint8 fracBits;
    uint8 dropBits;
    uint16 updateMax; // U_max, bound of |u_j|
    uint32 directionNorm; // G, bound of a direction's L2 norm
}

/// Who takes part, as roots of lists.
struct ListRoots {
    bytes32 membershipRoot; // list of Member
    bytes32 committeeRoot; // list of CommitteeMember
    bytes32 validatorRoot; // list of Validator
}

/// Everything a round is about. ctx = keccak256(abi.encode(block.chainid, address(Rounds), Descriptor)).
struct Descriptor {
    uint64 federation;
    uint64 round;
    bytes32 parentCtx; // ctx of the round whose model this one starts from; 0 for the first
    bytes32 baseModelRoot;
    bytes32 specHash; // SHA-256 of the federation's spec (TOML, canonical bytes as published)
    Scales scale;
    uint16 members; // m
    uint16 faults; // f
    uint16 threshold; // t
    uint16 minAdmitted; // N_min
    uint16 validators; // V
    bool acceptLeak;
    uint32 scalarsMax; // limit of opened scalars per site over the federation's life
    uint64 lrNum; // server learning rate, rational
    uint64 lrDen;
    uint128 pot;
    uint16 feeBps;
    uint8 rule; // 0 proportional, 1 multiplier
    uint64 qualityFloor; // 2^32 = all of it
    uint32 epoch;
    bytes32 matrixRoot; // root of the public matrix of this epoch
    ListRoots lists;
    uint64 challengeWindow; // seconds
    uint64[9] deadlines; // unix seconds by which a stage must be posted: promise, lock, direction, audit, score, admit, sum, model, settle
}

/// Where the artefacts of `open` are found (CIDs, binary form).
struct OpenCids {
    bytes spec;
    bytes base;
    bytes members;
    bytes committee;
    bytes validators;
}

/// EIP-712. A member offers to serve on the committee of one round; keyHash = keccak256(X-Wing key).
struct Ready {
    uint64 federation;
    uint64 round;
    address member;
    bytes32 keyHash;
}

/// EIP-712. A site consents to join a federation in a role (0 member, 1 validator).
struct Join {
    uint64 federation;
    address account;
    bytes32 entity;
    uint8 role;
}

/// EIP-712. One upload: what a participant commits to for one round.
struct Contribution {
    bytes32 ctx;
    address participant;
    uint32 blocks; // data blocks of 2048 coefficients
    bytes32 ciphertextRoot;
    bytes32 checkRoot;
    bytes32 shareRoot;
    bytes ciphertextCid;
    bytes checkCid;
    bytes sharesCid;
    uint8 normClass;
}

/// EIP-712. The coordinator's countersignature: this manifest was accepted before lock.
struct Receipt {
    bytes32 ctx;
    address participant;
    bytes32 manifestHash; // EIP-712 struct hash of the Contribution
    uint64 receivedAt;
}

/// EIP-712. commitment = keccak256(abi.encode(chainid, rounds, federation, round, validator, ctx, directionRoot, salt)).
struct DirectionPromise {
    bytes32 ctx;
    address validator;
    bytes32 commitment;
}

/// EIP-712. Opens a promise.
struct Reveal {
    bytes32 ctx;
    address validator;
    bytes32 directionRoot; // list root of the one DirectionItem
    bytes32 salt;
}

/// EIP-712. "I saw this transcript value at this stage, and will sign no other for it."
struct StageAck {
    bytes32 ctx;
    uint8 stage;
    bytes32 transcript; // H_stage
}

/// EIP-712. A member's answer at a stage; answerHash = SHA-256 of the answer's wire bytes.
struct Answer {
    bytes32 ctx;
    uint8 stage;
    uint16 member;
    bytes32 answerHash;
}

// ---- items of artefact lists -------------------------------------------------------------------

/// Lock list, sorted by participant.
struct LockItem {
    Contribution manifest;
    bytes signature;
    bytes receipt; // the coordinator's signature over Receipt; empty for commitDirect
    uint64 receivedAt;
}

/// Promise list, sorted by validator.
struct PromiseItem {
    address validator;
    bytes32 commitment;
}

/// Direction list, sorted by validator. entries: d of 4 bits (two's complement), two a byte, the first in the low half.
struct DirectionItem {
    address validator;
    bytes entries;
}

/// Audit list, in lock-list order. verdict: see docs/PROTOCOL.md.
struct VerdictItem {
    address participant;
    uint8 verdict;
}

/// Score list: one row per participant of A, in lock-list order. V = directions of the direction list.
struct ScoreItem {
    address participant;
    uint64[] inner; // <2^b c_i + mid, g_v> mod q, per direction
    uint16[] responders; // committee indices that answered, ascending
    uint64[] answers; // y_k[i][v], responders x V, row-major
    uint8 verdict; // 0 ok; otherwise why every t-subset was refused
    int64[] scores; // w_iv; empty where verdict != 0
}

/// Admit list: one row per participant of the lock list, in its order.
struct AdmitItem {
    address participant;
    uint8 verdict; // 0 admitted; otherwise why not
    uint16 class; // weight in the sum
    uint128 quality; // 2^32 = all of it
}

/// Open list: the t members' answers from which the sum's secret is interpolated.
struct OpenItem {
    uint16 member;
    bytes words; // 2048 big-endian u64: T_k
}

/// Settle leaf. Hospitals of A in address order, then validators in address order.
struct SettleItem {
    uint32 index;
    address account;
    uint8 role; // 0 hospital, 1 validator
    uint128 quality; // hospitals: quality_i; validators: sum of q_iv
    uint256 weight;
    uint256 prefix; // P_i within the role
    uint128 pay;
    uint128 cumulative; // of this account in this federation, this round included
}

/// Payout leaf of the claim tree (OpenZeppelin StandardMerkleTree of these two columns).
struct PayoutItem {
    address account;
    uint256 cumulative;
}
