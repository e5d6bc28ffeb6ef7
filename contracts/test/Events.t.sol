// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Federation, IFederations} from "../src/interfaces/IFederations.sol";
import {IPayouts} from "../src/interfaces/IPayouts.sol";
import {IRounds, RoundStatus} from "../src/interfaces/IRounds.sol";
import {Driver} from "./utils/Driver.sol";
import {Merkle} from "./utils/Merkle.sol";
import {Vm, vm} from "./utils/Vm.sol";

/// Every amount, and every transcript value, follows from the events alone.
contract EventsTest is Driver {
    /// The accounts of one federation, as an explorer would keep them.
    struct Book {
        uint256 free;
        uint256 carry;
        uint256 reservedFree;
        uint256 reservedCarry;
        uint256 credited;
        uint256 claimed;
        uint256 bonds;
        uint256 refunded;
        bytes32 transcript;
        uint8 stage;
    }

    Book internal book;

    function test_everyAmountFollowsFromEvents() public {
        vm.recordLogs();
        _fund(fed, 5000e18);
        _driveTo(SCORE);
        _voidNow();
        _driveTo(SUM);
        _voidNow();
        _driveTo(MODEL);
        _propose(coordinator, 0);
        _finalise();
        _payRound();
        _driveTo(ADMIT);
        _voidNow();
        _replay(vm.getRecordedLogs());
        // What happened before the recording: 10,000 and two bonds.
        book.free += 10_000e18;
        book.bonds += 2 * BOND;
        _compare();

        vm.recordLogs();
        vm.prank(standIn);
        federations.withdrawBond(fed);
        _closeNow();
        _replay(vm.getRecordedLogs());
        _compare();
        vm.assertEq(book.free + book.carry + book.reservedFree + book.reservedCarry, 0);
    }

    function _voidNow() internal {
        uint64 round = rounds.lastRound(fed);
        vm.prank(coordinator);
        rounds.voidRound(fed, round);
    }

    function _payRound() internal {
        (address[] memory accounts, uint256[] memory cumulatives, bytes32[] memory tree) = _twoAccounts(0, POT);
        nextPayoutRoot = tree[0];
        _driveTo(PAYOUT);
        _finalise();
        bytes32[] memory proof = Merkle.proof(tree, Merkle.leaf(accounts[1], cumulatives[1]));
        payouts.claim(fed, accounts[1], cumulatives[1], proof);
    }

    function _closeNow() internal {
        (,, bytes32[] memory tree) = _twoAccounts(POT, federations.federationOf(fed).carry);
        vm.prank(coordinator);
        federations.closeProposed(fed, tree[0], CID);
        vm.warp(block.timestamp + WINDOW);
        federations.closeFinalise(fed);
    }

    function _twoAccounts(uint256 before, uint256 total)
        internal
        pure
        returns (address[] memory accounts, uint256[] memory cumulatives, bytes32[] memory tree)
    {
        accounts = new address[](2);
        cumulatives = new uint256[](2);
        (accounts[0], accounts[1]) = (address(0xE1), address(0xE2));
        (cumulatives[0], cumulatives[1]) = (before / 4 + total / 4, before - before / 4 + total - total / 4);
        tree = Merkle.tree(accounts, cumulatives);
    }

    function _compare() internal view {
        Federation memory f = federations.federationOf(fed);
        vm.assertEq(book.free, f.free, "free");
        vm.assertEq(book.carry, f.carry, "carry");
        vm.assertEq(book.reservedFree, f.reservedFree, "reservedFree");
        vm.assertEq(book.reservedCarry, f.reservedCarry, "reservedCarry");
        vm.assertEq(book.credited, payouts.creditedOf(fed), "credited");
        vm.assertEq(book.claimed, payouts.claimedOf(fed), "claimed");
        vm.assertEq(
            book.free + book.carry + book.reservedFree + book.reservedCarry + book.bonds,
            token.balanceOf(address(federations)),
            "Federations' tokens"
        );
        vm.assertEq(book.credited - book.claimed, token.balanceOf(address(payouts)), "Payouts' tokens");
        vm.assertEq(book.transcript, _current().transcript);
        vm.assertEq(book.stage, _current().stage);
    }

    // ---- the explorer --------------------------------------------------------------------------

    function _replay(Vm.Log[] memory logs) internal {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(federations)) _money(logs[i].topics[0], logs[i].data);
            else if (logs[i].emitter == address(payouts)) _payout(logs[i].topics[0], logs[i].data);
            else if (logs[i].emitter == address(rounds)) _round(logs[i].topics[0], logs[i].data);
        }
    }

    function _money(bytes32 topic, bytes memory data) internal {
        if (topic == IFederations.Funded.selector) {
            book.free += abi.decode(data, (uint128));
        } else if (topic == IFederations.BondPosted.selector) {
            book.bonds += abi.decode(data, (uint128));
        } else if (topic == IFederations.BondWithdrawn.selector) {
            book.bonds -= abi.decode(data, (uint128));
        } else if (topic == IFederations.PotReserved.selector) {
            (book.reservedFree, book.reservedCarry) = abi.decode(data, (uint128, uint128));
            book.free -= book.reservedFree;
            book.carry -= book.reservedCarry;
        } else if (topic == IFederations.PotReleased.selector) {
            (uint128 toFree, uint128 toCarry) = abi.decode(data, (uint128, uint128));
            book.free += toFree;
            book.carry += toCarry;
            _unreserve();
        } else if (topic == IFederations.PotCarried.selector) {
            book.carry += abi.decode(data, (uint128));
            _unreserve();
        } else if (topic == IFederations.PotPaid.selector) {
            _unreserve();
        } else if (topic == IFederations.FederationClosed.selector) {
            (uint128 refunded, uint128 paid,) = abi.decode(data, (uint128, uint128, bytes32));
            book.free -= refunded;
            book.carry -= paid;
            book.refunded += refunded;
        }
    }

    function _unreserve() internal {
        (book.reservedFree, book.reservedCarry) = (0, 0);
    }

    function _payout(bytes32 topic, bytes memory data) internal {
        if (topic == IPayouts.Credited.selector) {
            (, uint128 amount,) = abi.decode(data, (bytes32, uint128, uint256));
            book.credited += amount;
        } else if (topic == IPayouts.Claimed.selector) {
            (, uint256 paid) = abi.decode(data, (uint256, uint256));
            book.claimed += paid;
        }
    }

    function _round(bytes32 topic, bytes memory data) internal {
        if (topic == IRounds.RoundOpened.selector) {
            book.transcript = _chain(0, 0, abi.decode(data, (bytes32)));
            book.stage = 0;
        } else if (topic == IRounds.StagePosted.selector) {
            (uint8 stage, bytes32 root, bytes32 transcript,) = abi.decode(data, (uint8, bytes32, bytes32, bytes));
            vm.assertEq(stage, book.stage + 1);
            book.transcript = _chain(book.transcript, stage, root);
            book.stage = stage;
            vm.assertEq(book.transcript, transcript);
        }
    }
}
