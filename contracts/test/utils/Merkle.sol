// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// StandardMerkleTree of (address, uint256), built in memory: leaves hashed twice, sorted, in one array heap.
library Merkle {
    function leaf(address account, uint256 cumulative) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
    }

    function tree(address[] memory accounts, uint256[] memory cumulatives) internal pure returns (bytes32[] memory t) {
        uint256 n = accounts.length;
        bytes32[] memory sorted = new bytes32[](n);
        for (uint256 i = 0; i < n; ++i) {
            sorted[i] = leaf(accounts[i], cumulatives[i]);
            for (uint256 j = i; j > 0 && sorted[j - 1] > sorted[j]; --j) {
                (sorted[j - 1], sorted[j]) = (sorted[j], sorted[j - 1]);
            }
        }
        t = new bytes32[](2 * n - 1);
        for (uint256 i = 0; i < n; ++i) {
            t[t.length - 1 - i] = sorted[i];
        }
        for (uint256 i = n - 1; i > 0; --i) {
            t[i - 1] = pair(t[2 * i - 1], t[2 * i]);
        }
    }

    function proof(bytes32[] memory t, bytes32 of_) internal pure returns (bytes32[] memory p) {
        uint256 index = t.length;
        for (uint256 i = t.length / 2; i < t.length; ++i) {
            if (t[i] == of_) index = i;
        }
        require(index < t.length, "no such leaf");
        uint256 depth = 0;
        for (uint256 i = index; i > 0; i = (i - 1) / 2) {
            ++depth;
        }
        p = new bytes32[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            p[i] = t[index % 2 == 1 ? index + 1 : index - 1];
            index = (index - 1) / 2;
        }
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }
}
