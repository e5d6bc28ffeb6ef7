// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {vm, Vm} from "../utils/Vm.sol";

/// Runs every file of a folder of tests/vectors: each must hold, and those named `bad_…` must be refused.
abstract contract Vectors {
    uint256 private constant NOT_FOUND = type(uint256).max;

    /// Recomputes a file's outputs from its inputs and compares.
    function check(string calldata json, string calldata path) external virtual;

    function _run(string memory folder, uint256 least) internal {
        Vm.DirEntry[] memory entries = vm.readDir(string.concat("../tests/vectors/", folder));
        vm.assertGe(entries.length, least, "vectors are missing");
        for (uint256 i = 0; i < entries.length; ++i) {
            string memory path = entries[i].path;
            string memory json = vm.readFile(path);
            if (vm.indexOf(path, "/bad_") == NOT_FOUND) {
                this.check(json, path);
                continue;
            }
            bytes4 reason = 0;
            try this.check(json, path) {}
            catch (bytes memory data) {
                reason = bytes4(data);
            }
            // Refused by the rule itself: not for a key the file lacks, which would be a failed cheat code.
            vm.assertTrue(reason != 0 && reason != bytes4(keccak256("CheatcodeError(string)")), path);
        }
    }

    function _uint(string memory json, string memory key) internal pure returns (uint256) {
        return vm.parseJsonUint(json, key);
    }

    function _uints(string memory json, string memory key) internal pure returns (uint256[] memory) {
        return vm.parseJsonUintArray(json, key);
    }

    function _same(uint256[] memory a, uint256[] memory b, string memory what) internal pure {
        vm.assertEq(a.length, b.length, what);
        for (uint256 i = 0; i < a.length; ++i) {
            vm.assertEq(a[i], b[i], what);
        }
    }
}
