// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Sample} from "../../src/libraries/Sample.sol";
import {vm} from "../utils/Vm.sol";
import {Vectors} from "./Vectors.sol";

/// Who of many members may serve, as Rust has it.
contract CommitteeVectorsTest is Vectors {
    function test_vectors_committee() external {
        _run("committee/0", 6);
    }

    function check(string calldata json, string calldata path) external pure override {
        address[] memory accounts = vm.parseJsonAddressArray(json, ".accounts");
        address[] memory drawn = vm.parseJsonAddressArray(json, ".drawn");
        uint256 found = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (!_serves(json, accounts[i])) continue;
            require(found < drawn.length, path);
            vm.assertEq(drawn[found++], accounts[i], path);
        }
        vm.assertEq(found, drawn.length, path);
    }

    function _serves(string calldata json, address account) private pure returns (bool) {
        uint256 members = _uint(json, ".members");
        if (members <= Sample.MAX_COMMITTEE) return true;
        bytes32 beacon = vm.parseJsonBytes32(json, ".beacon");
        return Sample.drawn(beacon, uint64(_uint(json, ".federation")), uint64(_uint(json, ".round")), members, account);
    }
}
