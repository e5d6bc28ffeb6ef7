// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Contribution, DirectionPromise, Join, Ready, Reveal, StageAck} from "../Types.sol";

/// EIP-712 struct hashes of what is signed for the contracts.
library TypeHashes {
    bytes32 internal constant JOIN = keccak256("Join(uint64 federation,address account,bytes32 entity,uint8 role)");
    bytes32 internal constant READY = keccak256("Ready(uint64 federation,uint64 round,address member,bytes32 keyHash)");
    bytes32 internal constant PROMISE = keccak256("DirectionPromise(bytes32 ctx,address validator,bytes32 commitment)");
    bytes32 internal constant REVEAL =
        keccak256("Reveal(bytes32 ctx,address validator,bytes32 directionRoot,bytes32 salt)");
    bytes32 internal constant STAGE_ACK = keccak256("StageAck(bytes32 ctx,uint8 stage,bytes32 transcript)");
    bytes32 internal constant CONTRIBUTION = keccak256(
        "Contribution(bytes32 ctx,address participant,uint32 blocks,bytes32 ciphertextRoot,bytes32 checkRoot,bytes32 shareRoot,bytes ciphertextCid,bytes checkCid,bytes sharesCid,uint8 normClass)"
    );

    function structHash(Join calldata j) internal pure returns (bytes32) {
        return keccak256(abi.encode(JOIN, j.federation, j.account, j.entity, j.role));
    }

    function structHash(Ready calldata r) internal pure returns (bytes32) {
        return keccak256(abi.encode(READY, r.federation, r.round, r.member, r.keyHash));
    }

    function structHash(DirectionPromise calldata p) internal pure returns (bytes32) {
        return keccak256(abi.encode(PROMISE, p.ctx, p.validator, p.commitment));
    }

    function structHash(Reveal calldata r) internal pure returns (bytes32) {
        return keccak256(abi.encode(REVEAL, r.ctx, r.validator, r.directionRoot, r.salt));
    }

    function structHash(StageAck memory a) internal pure returns (bytes32) {
        return keccak256(abi.encode(STAGE_ACK, a.ctx, a.stage, a.transcript));
    }

    function structHash(Contribution calldata c) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                CONTRIBUTION,
                c.ctx,
                c.participant,
                c.blocks,
                c.ciphertextRoot,
                c.checkRoot,
                c.shareRoot,
                keccak256(c.ciphertextCid),
                keccak256(c.checkCid),
                keccak256(c.sharesCid),
                c.normClass
            )
        );
    }
}
