// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {
    Answer,
    Contribution,
    Descriptor,
    DirectionPromise,
    Join,
    Ready,
    Receipt,
    Reveal,
    SettleItem,
    StageAck
} from "../../src/Types.sol";
import {TypeHashes} from "../../src/libraries/TypeHashes.sol";
import {ListTree} from "../utils/ListTree.sol";
import {Merkle} from "../utils/Merkle.sol";
import {SettleTree} from "../utils/SettleTree.sol";
import {vm} from "../utils/Vm.sol";
import {Vectors} from "./Vectors.sol";

/// Every hash that both languages take, as Rust has it.
contract TreesVectorsTest is Vectors {
    using TypeHashes for *;

    function test_vectors_trees() external {
        _run("trees/0", 25);
    }

    function check(string calldata json, string calldata path) external view override {
        bytes32 kind = keccak256(bytes(vm.parseJsonString(json, ".kind")));
        if (kind == keccak256("list")) _list(json, path);
        else if (kind == keccak256("settle")) _settle(json, path);
        else if (kind == keccak256("settleProof")) _settleProof(json, path);
        else if (kind == keccak256("payout")) _payout(json, path);
        else if (kind == keccak256("payoutProof")) _payoutProof(json, path);
        else if (kind == keccak256("eip712")) _eip712(json, path);
        else if (kind == keccak256("ctx")) _ctx(json, path);
        else if (kind == keccak256("commitment")) _commitment(json, path);
        else if (kind == keccak256("transcript")) _transcript(json, path);
        else if (kind == keccak256("epoch")) _epochSeed(json, path);
        else revert(path);
    }

    // ---- trees ---------------------------------------------------------------------------------

    function _list(string calldata json, string calldata path) private pure {
        bytes[] memory items = vm.parseJsonBytesArray(json, ".items");
        uint256 previous = 0;
        for (uint256 i = 0; i < items.length; ++i) {
            uint256 account = uint256(bytes32(items[i]));
            require(account > previous, "order");
            previous = account;
        }
        bytes memory list = vm.parseJsonBytes(json, ".bytes");
        uint8 kind = uint8(list[5]);
        vm.assertEq(ListTree.framed(kind, items), list, path);
        vm.assertEq(ListTree.rootOf(kind, items), vm.parseJsonBytes32(json, ".root"), path);
    }

    function _settle(string calldata json, string calldata path) private pure {
        bytes[] memory encoded = vm.parseJsonBytesArray(json, ".items");
        bytes32[] memory leaves = vm.parseJsonBytes32Array(json, ".leaves");
        SettleItem[] memory items = new SettleItem[](encoded.length);
        for (uint256 i = 0; i < items.length; ++i) {
            items[i] = abi.decode(encoded[i], (SettleItem));
            vm.assertEq(SettleTree.leaf(items[i]).hash, leaves[i], path);
        }
        (bytes32 root, uint128 total) = SettleTree.rootOf(items);
        vm.assertEq(root, vm.parseJsonBytes32(json, ".root"), path);
        vm.assertEq(total, _uint(json, ".total"), path);
        if (items.length == 0) return;
        require(_provesSettle(json, items[_uint(json, ".index")], uint32(items.length)), path);
    }

    function _settleProof(string calldata json, string calldata path) private pure {
        SettleItem memory item = abi.decode(vm.parseJsonBytes(json, ".item"), (SettleItem));
        require(_provesSettle(json, item, uint32(_uint(json, ".count"))), path);
    }

    function _provesSettle(string calldata json, SettleItem memory item, uint32 n) private pure returns (bool) {
        return SettleTree.verify(
            item,
            n,
            vm.parseJsonBytes32Array(json, ".proofHashes"),
            _uints(json, ".proofSums"),
            vm.parseJsonBytes32(json, ".root")
        );
    }

    function _payout(string calldata json, string calldata path) private pure {
        address[] memory accounts = vm.parseJsonAddressArray(json, ".accounts");
        uint256[] memory cumulatives = _uints(json, ".cumulatives");
        bytes32 root = vm.parseJsonBytes32(json, ".root");
        if (accounts.length == 0) {
            vm.assertEq(root, bytes32(0), path);
            return;
        }
        vm.assertEq(Merkle.tree(accounts, cumulatives)[0], root, path);
        address account = vm.parseJsonAddress(json, ".account");
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (accounts[i] == account) _proves(json, account, cumulatives[i], path);
        }
    }

    function _payoutProof(string calldata json, string calldata path) private pure {
        _proves(json, vm.parseJsonAddress(json, ".account"), _uint(json, ".cumulative"), path);
    }

    function _proves(string calldata json, address account, uint256 cumulative, string calldata path) private pure {
        bytes32[] memory proof = vm.parseJsonBytes32Array(json, ".proof");
        bytes32 root = vm.parseJsonBytes32(json, ".root");
        require(MerkleProof.verify(proof, root, Merkle.leaf(account, cumulative)), path);
    }

    // ---- structs -------------------------------------------------------------------------------

    function _eip712(string calldata json, string calldata path) private view {
        bytes32 hash =
            this.structHash(keccak256(bytes(vm.parseJsonString(json, ".type"))), vm.parseJsonBytes(json, ".message"));
        vm.assertEq(hash, vm.parseJsonBytes32(json, ".structHash"), path);
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Almoner"),
                keccak256("0"),
                _uint(json, ".chainId"),
                vm.parseJsonAddress(json, ".contract")
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, hash));
        vm.assertEq(digest, vm.parseJsonBytes32(json, ".digest"), path);
    }

    function structHash(bytes32 name, bytes calldata message) external view returns (bytes32) {
        if (name == keccak256("Join")) return this.joinHash(abi.decode(message, (Join)));
        if (name == keccak256("Ready")) return this.readyHash(abi.decode(message, (Ready)));
        if (name == keccak256("Contribution")) return this.contributionHash(abi.decode(message, (Contribution)));
        if (name == keccak256("DirectionPromise")) return this.promiseHash(abi.decode(message, (DirectionPromise)));
        if (name == keccak256("Reveal")) return this.revealHash(abi.decode(message, (Reveal)));
        if (name == keccak256("StageAck")) return abi.decode(message, (StageAck)).structHash();
        // Signed off chain only, so the contracts have no hash of these two.
        if (name == keccak256("Receipt")) {
            bytes32 t = keccak256("Receipt(bytes32 ctx,address participant,bytes32 manifestHash,uint64 receivedAt)");
            return keccak256(abi.encode(t, abi.decode(message, (Receipt))));
        }
        require(name == keccak256("Answer"), "type");
        bytes32 answer = keccak256("Answer(bytes32 ctx,uint8 stage,uint16 member,bytes32 answerHash)");
        return keccak256(abi.encode(answer, abi.decode(message, (Answer))));
    }

    function joinHash(Join calldata x) external pure returns (bytes32) {
        return x.structHash();
    }

    function readyHash(Ready calldata x) external pure returns (bytes32) {
        return x.structHash();
    }

    function contributionHash(Contribution calldata x) external pure returns (bytes32) {
        return x.structHash();
    }

    function promiseHash(DirectionPromise calldata x) external pure returns (bytes32) {
        return x.structHash();
    }

    function revealHash(Reveal calldata x) external pure returns (bytes32) {
        return x.structHash();
    }

    function _ctx(string calldata json, string calldata path) private pure {
        Descriptor memory d = abi.decode(vm.parseJsonBytes(json, ".descriptor"), (Descriptor));
        bytes32 ctx = keccak256(abi.encode(_uint(json, ".chainId"), vm.parseJsonAddress(json, ".rounds"), d));
        vm.assertEq(ctx, vm.parseJsonBytes32(json, ".ctx"), path);
    }

    function _commitment(string calldata json, string calldata path) private pure {
        bytes32 commitment = keccak256(
            abi.encode(
                _uint(json, ".chainId"),
                vm.parseJsonAddress(json, ".rounds"),
                _uint(json, ".federation"),
                _uint(json, ".round"),
                vm.parseJsonAddress(json, ".validator"),
                vm.parseJsonBytes32(json, ".ctx"),
                vm.parseJsonBytes32(json, ".directionRoot"),
                vm.parseJsonBytes32(json, ".salt")
            )
        );
        vm.assertEq(commitment, vm.parseJsonBytes32(json, ".commitment"), path);
    }

    function _transcript(string calldata json, string calldata path) private pure {
        bytes32[] memory roots = vm.parseJsonBytes32Array(json, ".roots");
        bytes32[] memory transcript = vm.parseJsonBytes32Array(json, ".transcript");
        bytes32 h = 0;
        for (uint256 s = 0; s < roots.length; ++s) {
            h = keccak256(abi.encode(h, uint8(s), roots[s], bytes32(0)));
            vm.assertEq(h, transcript[s], path);
        }
    }

    function _epochSeed(string calldata json, string calldata path) private pure {
        bytes32 seed = sha256(
            abi.encodePacked(
                "almoner/epoch/v0",
                uint64(_uint(json, ".chainId")),
                vm.parseJsonAddress(json, ".federations"),
                uint64(_uint(json, ".federation")),
                uint32(_uint(json, ".epoch")),
                vm.parseJsonBytes32(json, ".beacon")
            )
        );
        vm.assertEq(seed, vm.parseJsonBytes32(json, ".seed"), path);
    }
}
