// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Descriptor, OpenCids} from "../src/Types.sol";
import {Federation, FederationState, IFederations} from "../src/interfaces/IFederations.sol";
import {IRounds} from "../src/interfaces/IRounds.sol";
import {Driver} from "./utils/Driver.sol";
import {Merkle} from "./utils/Merkle.sol";
import {vm} from "./utils/Vm.sol";

/// The branches `close`, `closeProposed` and `closeFinalise` of Federations.tree.
contract CloseTest is Driver {
    address[] internal accounts = [address(0xE1), address(0xE2)];
    uint256[] internal cumulatives = [uint256(POT) / 4, uint256(POT) / 4 * 3];

    function _carryOnePot() internal {
        _driveTo(MODEL);
        _propose(coordinator, 0);
        _finalise();
    }

    function _closeProposed() internal returns (bytes32[] memory tree) {
        tree = Merkle.tree(accounts, cumulatives);
        vm.prank(coordinator);
        federations.closeProposed(fed, tree[0], CID);
    }

    function test_close_whenCallerHasNoPower_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotAuthorised.selector, stranger));
        vm.prank(stranger);
        federations.close(fed);
    }

    function test_close_whileARoundRuns_reverts() public {
        _openRound();
        vm.expectRevert(abi.encodeWithSelector(IFederations.RoundIsRunning.selector, fed, 1));
        vm.prank(owner);
        federations.close(fed);
    }

    function test_close_whenSomethingIsCarried_reverts() public {
        _carryOnePot();
        vm.expectRevert(abi.encodeWithSelector(IFederations.CarryNeedsPayout.selector, fed, POT));
        vm.prank(owner);
        federations.close(fed);
    }

    function test_close_returnsTheFreeBalance() public {
        uint256 before = token.balanceOf(owner);
        vm.expectEmit();
        emit IFederations.FederationClosed(fed, 10_000e18, 0, 0);
        vm.prank(coordinator);
        federations.close(fed);
        vm.assertEq(token.balanceOf(owner), before + 10_000e18);
        // Bonds are not the federation's: they leave after the close as before it.
        vm.prank(standIn);
        federations.withdrawBond(fed);
        _readyAll();
        Descriptor memory d = _descriptor();
        OpenCids memory cids;
        vm.expectRevert(abi.encodeWithSelector(IRounds.FederationNotOpen.selector, fed));
        vm.prank(coordinator);
        rounds.open(d, cids);
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotOpen.selector, fed, FederationState.Closed));
        vm.prank(owner);
        federations.fund(fed, 1);
    }

    function test_closeProposed_whenNothingIsCarried_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IFederations.NothingCarried.selector, fed));
        vm.prank(owner);
        federations.closeProposed(fed, keccak256("root"), CID);
    }

    function test_closeProposed_withoutBond_reverts() public {
        _carryOnePot();
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotBonded.selector, owner, 0, BOND));
        vm.prank(owner);
        federations.closeProposed(fed, keccak256("root"), CID);
    }

    function test_closeFinalise_whileTheWindowIsOpen_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotClosing.selector, fed, FederationState.Open));
        federations.closeFinalise(fed);
        _carryOnePot();
        _closeProposed();
        vm.expectPartialRevert(IFederations.WindowOpen.selector);
        federations.closeFinalise(fed);
        vm.expectRevert(abi.encodeWithSelector(IFederations.BondInUse.selector, coordinator, 0));
        vm.prank(coordinator);
        federations.withdrawBond(fed);
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotOpen.selector, fed, FederationState.Closing));
        vm.prank(coordinator);
        federations.closeProposed(fed, keccak256("another"), CID);
    }

    function test_closeFinalise_sharesTheCarryAndReturnsTheRest() public {
        _carryOnePot();
        bytes32[] memory tree = _closeProposed();
        uint256 before = token.balanceOf(owner);
        vm.warp(block.timestamp + WINDOW);
        vm.prank(stranger);
        federations.closeFinalise(fed);
        vm.assertEq(token.balanceOf(owner), before + 9000e18);
        for (uint256 i = 0; i < 2; ++i) {
            bytes32[] memory proof = Merkle.proof(tree, Merkle.leaf(accounts[i], cumulatives[i]));
            payouts.claim(fed, accounts[i], cumulatives[i], proof);
            vm.assertEq(token.balanceOf(accounts[i]), cumulatives[i]);
        }
        vm.prank(coordinator);
        federations.withdrawBond(fed);
        vm.prank(standIn);
        federations.withdrawBond(fed);
        vm.assertEq(token.balanceOf(address(federations)), 0);
        vm.assertEq(token.balanceOf(address(payouts)), 0);
    }
}
