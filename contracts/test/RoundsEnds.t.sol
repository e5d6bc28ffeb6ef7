// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Federation, IFederations} from "../src/interfaces/IFederations.sol";
import {IRounds, RoundStatus} from "../src/interfaces/IRounds.sol";
import {Driver} from "./utils/Driver.sol";
import {vm} from "./utils/Vm.sol";

contract RoundsEndsTest is Driver {
    uint128 internal constant FUNDS = 10_000e18;

    function _money(uint128 free, uint128 carry) internal view {
        Federation memory f = federations.federationOf(fed);
        vm.assertEq(f.free, free, "free");
        vm.assertEq(f.carry, carry, "carry");
        vm.assertEq(uint256(f.reservedFree) + f.reservedCarry, 0, "reserved");
        vm.assertEq(f.running, 0, "running");
    }

    function _void() internal {
        uint64 round = rounds.lastRound(fed);
        vm.prank(coordinator);
        rounds.voidRound(fed, round);
    }

    function _expire() internal {
        uint64 round = rounds.lastRound(fed);
        uint8 stage = _current().stage;
        uint64 deadline = _current().deadlines[stage < MODEL ? stage : 8];
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IRounds.DeadlineNotPassed.selector, stage + 1, deadline, deadline));
        rounds.expire(fed, round);
        vm.warp(deadline + 1);
        vm.prank(stranger);
        rounds.expire(fed, round);
    }

    function _head(bytes32 ctx) internal view {
        (bytes32 headCtx,) = rounds.headOf(fed);
        vm.assertEq(headCtx, ctx);
    }

    // ---- void ----------------------------------------------------------------------------------

    function test_void_byAnother_reverts() public {
        _openRound();
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotCoordinator.selector, owner, coordinator));
        vm.prank(owner);
        rounds.voidRound(fed, 1);
    }

    function test_void_atEveryStage() public {
        uint128 carried = 0;
        for (uint8 stage = 0; stage < 8; ++stage) {
            _driveTo(stage);
            _void();
            if (stage >= ADMIT && carried == 0) carried = POT;
            // From the second carried pot on, the carry itself was the pot.
            _money(FUNDS - carried, carried);
            vm.assertTrue(_current().status == RoundStatus.Void);
            _head(0);
        }
    }

    function test_void_onceOpened_reverts() public {
        _driveTo(MODEL);
        vm.expectRevert(abi.encodeWithSelector(IRounds.AlreadyOpened.selector, fed, 1));
        vm.prank(coordinator);
        rounds.voidRound(fed, 1);
        _continueTo(PAYOUT);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotRunning.selector, fed, 1, RoundStatus.Proposed));
        vm.prank(coordinator);
        rounds.voidRound(fed, 1);
        _finalise();
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotRunning.selector, fed, 1, RoundStatus.Final));
        vm.prank(coordinator);
        rounds.voidRound(fed, 1);
    }

    // ---- expire --------------------------------------------------------------------------------

    function test_expire_atEveryStage() public {
        uint128 carried = 0;
        for (uint8 stage = 0; stage < 8; ++stage) {
            _driveTo(stage);
            _expire();
            if (stage >= ADMIT && carried == 0) carried = POT;
            _money(FUNDS - carried, carried);
            vm.assertTrue(_current().status == RoundStatus.Expired);
            _head(0);
        }
    }

    function test_expire_onceOpened_keepsTheModel() public {
        _driveTo(MODEL);
        bytes32 ctx = _current().ctx;
        _expire();
        _money(FUNDS - POT, POT);
        _head(ctx);
        _driveTo(PAYOUT);
    }

    function test_expire_onceProposed_reverts() public {
        _driveTo(PAYOUT);
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotRunning.selector, fed, 1, RoundStatus.Proposed));
        rounds.expire(fed, 1);
    }

    // ---- finalise ------------------------------------------------------------------------------

    function test_finalise_tooEarly_reverts() public {
        _driveTo(MODEL);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotRunning.selector, fed, 1, RoundStatus.Running));
        rounds.finalise(fed, 1);
        _continueTo(PAYOUT);
        uint64 endsAt = uint64(block.timestamp) + WINDOW;
        vm.warp(endsAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.WindowOpen.selector, endsAt, endsAt - 1));
        rounds.finalise(fed, 1);
    }

    function test_finalise_pays_once() public {
        _driveTo(PAYOUT);
        bytes32 ctx = _current().ctx;
        _finalise();
        _money(FUNDS - POT, 0);
        _head(ctx);
        vm.assertEq(token.balanceOf(address(payouts)), POT);
        vm.assertEq(payouts.rootOf(fed), nextPayoutRoot);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotRunning.selector, fed, 1, RoundStatus.Final));
        rounds.finalise(fed, 1);
    }

    function test_finalise_payingNobody_carries() public {
        _driveTo(PAYOUT);
        _finalise();
        bytes32 root = payouts.rootOf(fed);
        nextPayoutRoot = keccak256("not used");
        _driveTo(MODEL);
        bytes32 ctx = _current().ctx;
        _propose(coordinator, 0);
        vm.expectEmit();
        emit IRounds.RoundFinal(fed, 2, _current().modelRoot, 0);
        _finalise();
        _money(FUNDS - 2 * POT, POT);
        _head(ctx);
        vm.assertEq(payouts.rootOf(fed), root);
        vm.assertEq(payouts.creditedOf(fed), POT);
    }

    // ---- the carried pot -----------------------------------------------------------------------

    function test_carry_ofARoundEndedBeforeAdmit_returnsToCarry() public {
        _driveTo(ADMIT);
        _void();
        _driveTo(SCORE);
        _void();
        _money(FUNDS - POT, POT);
    }

    function test_carry_isPaidByALaterRound() public {
        _driveTo(ADMIT);
        _expire();
        _driveTo(PAYOUT);
        _finalise();
        _money(FUNDS - POT, 0);
        vm.assertEq(payouts.creditedOf(fed), POT);
    }
}
