// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SettleItem} from "../../src/Types.sol";

/// The positional sum tree of docs/PROTOCOL.md, section 6.
library SettleTree {
    struct Node {
        bytes32 hash;
        uint128 sum;
    }

    function leaf(SettleItem memory item) internal pure returns (Node memory) {
        return Node(keccak256(bytes.concat(hex"00", abi.encode(item))), item.pay);
    }

    function parent(Node memory a, Node memory b) internal pure returns (Node memory) {
        return Node(keccak256(abi.encodePacked(hex"01", a.hash, a.sum, b.hash, b.sum)), a.sum + b.sum);
    }

    function close(uint32 n, Node memory top) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"02", n, top.hash, top.sum));
    }

    function rootOf(SettleItem[] memory items) internal pure returns (bytes32, uint128) {
        uint256 width = 1;
        while (width < items.length) {
            width *= 2;
        }
        Node[] memory row = new Node[](width);
        for (uint256 i = 0; i < items.length; ++i) {
            row[i] = leaf(items[i]);
        }
        for (; width > 1; width /= 2) {
            for (uint256 i = 0; i < width / 2; ++i) {
                row[i] = parent(row[2 * i], row[2 * i + 1]);
            }
        }
        return (close(uint32(items.length), row[0]), row[0].sum);
    }

    /// Whether `item` is at its index of a tree of `n`.
    function verify(SettleItem memory item, uint32 n, bytes32[] memory hashes, uint256[] memory sums, bytes32 root)
        internal
        pure
        returns (bool)
    {
        Node memory node = leaf(item);
        uint256 index = item.index;
        if (index >= n || hashes.length != sums.length) return false;
        for (uint256 i = 0; i < hashes.length; ++i) {
            Node memory sibling = Node(hashes[i], uint128(sums[i]));
            node = index % 2 == 0 ? parent(node, sibling) : parent(sibling, node);
            index /= 2;
        }
        return index == 0 && close(n, node) == root;
    }
}
