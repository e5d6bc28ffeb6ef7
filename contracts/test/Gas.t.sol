// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Driver} from "./utils/Driver.sol";
import {Merkle} from "./utils/Merkle.sol";
import {vm} from "./utils/Vm.sol";

/// One whole round, step by step: what the gas snapshot is there to watch.
contract GasTest is Driver {
    function test_gas_round_1_ready() public {
        _readyAll();
    }

    function test_gas_round_2_toOpen() public {
        _openRound();
    }

    function test_gas_round_3_toAdmit() public {
        _driveTo(ADMIT);
    }

    function test_gas_round_4_toProposal() public {
        _driveTo(PAYOUT);
    }

    function test_gas_round_5_toClaim() public {
        address[] memory accounts = new address[](7);
        uint256[] memory cumulatives = new uint256[](7);
        for (uint256 i = 0; i < 7; ++i) {
            (accounts[i], cumulatives[i]) = (address(uint160(0xE000 + i)), POT / 7);
        }
        bytes32[] memory tree = Merkle.tree(accounts, cumulatives);
        nextPayoutRoot = tree[0];
        _driveTo(PAYOUT);
        _finalise();
        payouts.claim(fed, accounts[0], POT / 7, Merkle.proof(tree, Merkle.leaf(accounts[0], POT / 7)));
    }
}
