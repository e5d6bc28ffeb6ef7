// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// The SHA-256 tree of docs/PROTOCOL.md, section 1, and the framing of lists.
library ListTree {
    function rootOf(uint8 kind, bytes[] memory items) internal pure returns (bytes32) {
        uint256 width = 1;
        while (width < items.length) {
            width *= 2;
        }
        bytes32[] memory row = new bytes32[](width);
        for (uint256 i = 0; i < items.length; ++i) {
            row[i] = sha256(abi.encodePacked(hex"00", kind, uint64(i), items[i]));
        }
        for (; width > 1; width /= 2) {
            for (uint256 i = 0; i < width / 2; ++i) {
                row[i] = sha256(abi.encodePacked(hex"01", row[2 * i], row[2 * i + 1]));
            }
        }
        return sha256(abi.encodePacked(hex"02", kind, uint64(items.length), row[0]));
    }

    function framed(uint8 kind, bytes[] memory items) internal pure returns (bytes memory list) {
        list = abi.encodePacked("ALMN", hex"00", kind, uint32(items.length));
        for (uint256 i = 0; i < items.length; ++i) {
            list = abi.encodePacked(list, uint32(items[i].length), items[i]);
        }
    }
}
