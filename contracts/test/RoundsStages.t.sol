// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Contribution, DirectionPromise, StageAck} from "../src/Types.sol";
import {CreateParams, IFederations} from "../src/interfaces/IFederations.sol";
import {IRounds, Round, RoundStatus} from "../src/interfaces/IRounds.sol";
import {Driver} from "./utils/Driver.sol";
import {vm} from "./utils/Vm.sol";

contract RoundsStagesTest is Driver {
    bytes32 internal constant DIRECTION_ROOT = keccak256("direction");
    bytes32 internal constant SALT = keccak256("salt");

    // ---- every post ----------------------------------------------------------------------------

    /// Calls the function that posts `stage`, whatever the round's state.
    function _call(address who, uint8 stage) internal {
        vm.prank(who);
        if (stage == PROMISE) rounds.postPromises(fed, 1, SALT, CID);
        else if (stage == LOCK) rounds.lock(fed, 1, SALT, 4, CID);
        else if (stage == DIRECTION) rounds.postDirections(fed, 1, SALT, CID);
        else if (stage == AUDIT) rounds.postAudit(fed, 1, SALT, CID);
        else if (stage == SCORE) rounds.postScores(fed, 1, SALT, CID);
        else if (stage == ADMIT) rounds.admit(fed, 1, SALT, CID, 3, new address[](3), new bytes[](3));
        else if (stage == SUM) rounds.postSum(fed, 1, SALT, CID);
        else if (stage == 8) rounds.openSum(fed, 1, SALT, CID, SALT, CID);
        else rounds.propose(fed, 1, SALT, CID, SALT, CID, POT);
    }

    function test_post_outOfOrder_reverts() public {
        _openRound();
        for (uint8 at_ = 0; at_ < 10; at_ = _current().stage) {
            for (uint8 stage = 1; stage < 11; ++stage) {
                if (stage == at_ + 1 || stage == 9) continue;
                vm.expectRevert(abi.encodeWithSelector(IRounds.NotNext.selector, stage, at_ + 1));
                _call(coordinator, stage);
            }
            _step(coordinator);
        }
        vm.assertEq(_current().stage, PAYOUT);
        for (uint8 stage = 1; stage < 11; ++stage) {
            if (stage == 9) continue;
            bytes4 refusal = IRounds.NotRunning.selector;
            vm.expectRevert(abi.encodeWithSelector(refusal, fed, 1, RoundStatus.Proposed));
            _call(coordinator, stage);
        }
    }

    function test_post_afterTheDeadline_reverts() public {
        _openRound();
        uint256 start = block.timestamp;
        uint64[9] memory deadlines = _current().deadlines;
        for (uint256 i = 0; i < 9; ++i) {
            uint8 stage = _current().stage + 1;
            vm.warp(deadlines[i] + 1);
            vm.expectRevert(
                abi.encodeWithSelector(IRounds.DeadlinePassed.selector, stage, deadlines[i], deadlines[i] + 1)
            );
            _call(coordinator, stage);
            // At the deadline itself it is in time.
            vm.warp(deadlines[i]);
            _step(coordinator);
        }
        vm.assertEq(_current().stage, PAYOUT);
        vm.assertTrue(block.timestamp > start);
    }

    function test_post_promisesAndLock_areTheCoordinatorsAlone() public {
        _openRound();
        bytes memory refusal = abi.encodeWithSelector(IRounds.NotCoordinator.selector, standIn, coordinator);
        vm.warp(_current().deadlines[0]);
        vm.expectRevert(refusal);
        _call(standIn, PROMISE);
        _step(coordinator);
        vm.warp(_current().deadlines[1]);
        vm.expectRevert(refusal);
        _call(standIn, LOCK);
    }

    function test_post_byAStandIn() public {
        _driveTo(LOCK);
        while (_current().stage < PAYOUT) {
            Round memory r = _current();
            uint8 next = r.stage + 1;
            uint64 deadline = r.deadlines[r.stage < 9 ? r.stage : 8];
            uint64 from = r.enteredAt + (deadline - r.enteredAt) / 2;
            vm.warp(from - 1);
            vm.expectRevert(abi.encodeWithSelector(IRounds.NotYetYours.selector, standIn, next, from));
            _call(standIn, next);
            vm.warp(from);
            vm.expectRevert(abi.encodeWithSelector(IFederations.NotBonded.selector, stranger, 0, BOND));
            _call(stranger, next);
            _step(standIn);
            vm.assertEq(federations.bondOf(fed, standIn).lockedFor, 1);
        }
        vm.expectRevert(abi.encodeWithSelector(IFederations.BondInUse.selector, standIn, 1));
        vm.prank(standIn);
        federations.withdrawBond(fed);
    }

    function test_post_whereTheBondIsZero_nobodyStandsIn() public {
        CreateParams memory p = _params();
        p.bond = 0;
        fed = _create(p);
        _joinAll(fed);
        _epoch(fed, 0);
        _fund(fed, POT);
        _driveTo(LOCK);
        vm.warp(_current().deadlines[2]);
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotBonded.selector, standIn, 0, 0));
        _call(standIn, DIRECTION);
        _continueTo(PAYOUT);
    }

    function test_post_chainsTheTranscript() public {
        _openRound();
        bytes32 h = _chain(0, 0, _current().ctx);
        for (uint8 stage = 1; stage < 6; ++stage) {
            h = _chain(h, stage, _root(stage));
            vm.expectEmit();
            emit IRounds.StagePosted(fed, 1, stage, _root(stage), h, CID);
            _step(coordinator);
            vm.assertEq(_current().transcript, h);
        }
        _continueTo(PAYOUT);
        h = _chain(_chain(h, ADMIT, _root(ADMIT)), SUM, _root(SUM));
        h = _chain(_chain(h, 8, _root(8)), MODEL, keccak256(abi.encode("model", uint64(1))));
        h = _chain(_chain(h, 10, _root(10)), PAYOUT, nextPayoutRoot);
        vm.assertEq(_current().transcript, h);
    }

    // ---- promise -------------------------------------------------------------------------------

    function test_promise_whenContextIsUnknown_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRounds.UnknownContext.selector, bytes32(0)));
        _promiseAs(validatorKeys[0], validatorKeys[0], SALT);
    }

    function test_promise_whenLate_reverts() public {
        _openHere();
        uint64 deadline = _current().deadlines[0];
        vm.warp(deadline + 1);
        vm.expectPartialRevert(IRounds.DeadlinePassed.selector);
        _promiseAs(validatorKeys[0], validatorKeys[0], SALT);
        vm.warp(deadline);
        _step(coordinator);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotAtStage.selector, OPENED, PROMISE));
        _promiseAs(validatorKeys[0], validatorKeys[0], SALT);
    }

    bytes32 internal _ctx;

    function _openHere() internal {
        _openRound();
        _ctx = _current().ctx;
    }

    /// One call, so that an expected revert hits it.
    function _promiseAs(uint256 key, uint256 signer, bytes32 commitment) internal {
        DirectionPromise[] memory promises = new DirectionPromise[](1);
        bytes[] memory signatures = new bytes[](1);
        promises[0] = DirectionPromise({ctx: _ctx, validator: vm.addr(key), commitment: commitment});
        signatures[0] = _signPromise(signer, promises[0]);
        rounds.promiseDirections(promises, signatures);
    }

    function test_promise_whenNotAValidatorOrAnothersSignature_reverts() public {
        _openHere();
        address member = vm.addr(memberKeys[0]);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotValidator.selector, fed, member));
        _promiseAs(memberKeys[0], memberKeys[0], SALT);
        (address a, address b) = (vm.addr(validatorKeys[0]), vm.addr(validatorKeys[1]));
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadSignature.selector, a, b));
        _promiseAs(validatorKeys[0], validatorKeys[1], SALT);
    }

    function test_promise_repeatedAndChanged() public {
        _openHere();
        _promiseAs(validatorKeys[0], validatorKeys[0], SALT);
        _promiseAs(validatorKeys[0], validatorKeys[0], SALT);
        vm.assertEq(_current().promised, 1);
        address v = vm.addr(validatorKeys[0]);
        vm.expectRevert(abi.encodeWithSelector(IRounds.PromiseDiffers.selector, _ctx, v, SALT));
        _promiseAs(validatorKeys[0], validatorKeys[0], DIRECTION_ROOT);
    }

    function test_promise_beyondV_reverts() public {
        _join(fed, 0x2222, 1, 0);
        _openHere();
        for (uint256 i = 0; i < 3; ++i) {
            _promiseAs(validatorKeys[i], validatorKeys[i], SALT);
        }
        vm.expectRevert(abi.encodeWithSelector(IRounds.TooManyPromises.selector, 3));
        _promiseAs(0x2222, 0x2222, SALT);
    }

    // ---- commitDirect and lock -----------------------------------------------------------------

    function test_commitDirect_outsideItsTime_reverts() public {
        _openRound();
        Contribution memory c = _manifest(memberKeys[0]);
        bytes memory signature = _signContribution(memberKeys[0], c);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotAtStage.selector, PROMISE, OPENED));
        rounds.commitDirect(c, signature);
        _continueTo(LOCK);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotAtStage.selector, PROMISE, LOCK));
        rounds.commitDirect(c, signature);
    }

    function test_commitDirect_refusals() public {
        _driveTo(PROMISE);
        Contribution memory c = _manifest(validatorKeys[0]);
        bytes memory signature = _signContribution(validatorKeys[0], c);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotMember.selector, fed, c.participant));
        rounds.commitDirect(c, signature);
        c = _manifest(memberKeys[0]);
        vm.expectPartialRevert(IRounds.BadSignature.selector);
        rounds.commitDirect(c, signature);
        rounds.commitDirect(c, _signContribution(memberKeys[0], c));
        rounds.commitDirect(c, _signContribution(memberKeys[0], c));
        vm.assertEq(_current().direct, 1);
        c.blocks = 2;
        signature = _signContribution(memberKeys[0], c);
        vm.expectRevert(abi.encodeWithSelector(IRounds.CommitDiffers.selector, c.ctx, c.participant));
        rounds.commitDirect(c, signature);
    }

    function test_lock_holdsAtLeastTheDirectCommits() public {
        _driveTo(PROMISE);
        for (uint256 i = 0; i < 4; ++i) {
            Contribution memory c = _manifest(memberKeys[i]);
            rounds.commitDirect(c, _signContribution(memberKeys[i], c));
        }
        vm.expectRevert(abi.encodeWithSelector(IRounds.LockTooShort.selector, 3, 4));
        vm.prank(coordinator);
        rounds.lock(fed, 1, SALT, 3, CID);
        _step(coordinator);
        vm.assertEq(_current().locked, 4);
    }

    // ---- reveal --------------------------------------------------------------------------------

    function _promised() internal returns (address validator) {
        _openHere();
        validator = vm.addr(validatorKeys[0]);
        bytes32 commitment = _commitment(validatorKeys[0], DIRECTION_ROOT, SALT);
        _promiseAs(validatorKeys[0], validatorKeys[0], commitment);
        // The second validator copies the first one's promise.
        _promiseAs(validatorKeys[1], validatorKeys[1], commitment);
    }

    function test_reveal_outsideItsTime_reverts() public {
        _promised();
        _continueTo(PROMISE);
        vm.expectPartialRevert(IRounds.NotAtStage.selector);
        this.revealFromOutside(0, DIRECTION_ROOT, SALT);
        _continueTo(DIRECTION);
        vm.expectPartialRevert(IRounds.NotAtStage.selector);
        this.revealFromOutside(0, DIRECTION_ROOT, SALT);
    }

    /// One call, so that an expected revert covers the whole of `_reveal`.
    function revealFromOutside(uint256 i, bytes32 directionRoot, bytes32 salt) external {
        _reveal(validatorKeys[i], directionRoot, salt);
    }

    function test_reveal_whenNothingWasPromised_reverts() public {
        _promised();
        _continueTo(LOCK);
        vm.expectPartialRevert(IRounds.NoPromise.selector);
        this.revealFromOutside(2, DIRECTION_ROOT, SALT);
    }

    function testFuzz_reveal_whenItDiffers_reverts(bytes32 directionRoot, bytes32 salt) public {
        vm.assume(directionRoot != DIRECTION_ROOT || salt != SALT);
        _promised();
        _continueTo(LOCK);
        vm.expectPartialRevert(IRounds.RevealDiffers.selector);
        this.revealFromOutside(0, directionRoot, salt);
    }

    function test_reveal_ofACopiedPromise_reverts() public {
        _promised();
        _continueTo(LOCK);
        _reveal(validatorKeys[0], DIRECTION_ROOT, SALT);
        vm.expectPartialRevert(IRounds.RevealDiffers.selector);
        this.revealFromOutside(1, DIRECTION_ROOT, SALT);
    }

    function test_reveal_isRecordedOnce() public {
        address validator = _promised();
        _continueTo(LOCK);
        _reveal(validatorKeys[0], DIRECTION_ROOT, SALT);
        vm.assertEq(rounds.revealOf(_ctx, validator), DIRECTION_ROOT);
        _reveal(validatorKeys[0], DIRECTION_ROOT, SALT);
    }

    // ---- admit ---------------------------------------------------------------------------------

    /// One call, so that an expected revert covers the whole of `_admit`.
    function admitFromOutside(uint16 count, uint256[] calldata keys) external {
        _admit(coordinator, count, keys);
    }

    function test_admit_whenTooFewOrTooMany_reverts() public {
        _driveTo(SCORE);
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadAdmittedCount.selector, 2, 3, 4));
        this.admitFromOutside(2, _ackKeys(3));
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadAdmittedCount.selector, 5, 3, 4));
        this.admitFromOutside(5, _ackKeys(3));
    }

    function test_admit_withoutAQuorum_reverts() public {
        _driveTo(SCORE);
        vm.expectRevert(abi.encodeWithSelector(IRounds.TooFewSigners.selector, 2, 3));
        this.admitFromOutside(3, _ackKeys(2));
        uint256[] memory keys = _ackKeys(3);
        keys[2] = keys[1];
        vm.expectPartialRevert(IRounds.SignersNotAscending.selector);
        this.admitFromOutside(3, keys);
    }

    function test_admit_whenOneIsNotReady_reverts() public {
        _join(fed, 0x77, 0, 1);
        _driveTo(SCORE);
        memberKeys[0] = 0x77;
        vm.expectPartialRevert(IRounds.NotReady.selector);
        this.admitFromOutside(3, _ackKeys(3));
    }

    function test_admit_overAnotherValue_reverts() public {
        _driveTo(SCORE);
        Round memory r = _current();
        StageAck memory ack = StageAck({ctx: r.ctx, stage: ADMIT, transcript: _chain(r.transcript, ADMIT, SALT)});
        (address[] memory signers, bytes[] memory signatures) = _acks(_ackKeys(3), ack);
        vm.expectPartialRevert(IRounds.BadSignature.selector);
        vm.prank(coordinator);
        rounds.admit(fed, 1, DIRECTION_ROOT, CID, 3, signers, signatures);
        // Acknowledged for the direction stage, not for this one.
        ack.stage = DIRECTION;
        (signers, signatures) = _acks(_ackKeys(3), ack);
        vm.expectPartialRevert(IRounds.BadSignature.selector);
        vm.prank(coordinator);
        rounds.admit(fed, 1, SALT, CID, 3, signers, signatures);
    }

    function test_admit_namesTheSigners_once() public {
        _driveTo(ADMIT);
        vm.assertEq(_current().admitted, 3);
        bytes32 h = _current().transcript;
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotNext.selector, ADMIT, SUM));
        this.admitFromOutside(4, _ackKeys(4));
        vm.assertEq(_current().transcript, h);
    }

    // ---- propose -------------------------------------------------------------------------------

    function proposeFromOutside(uint128 total) external {
        _propose(coordinator, total);
    }

    function testFuzz_propose_anotherTotal_reverts(uint128 total) public {
        vm.assume(total != 0 && total != POT);
        _driveTo(MODEL);
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadTotal.selector, total, POT));
        this.proposeFromOutside(total);
    }

    function test_propose_withoutBond_reverts() public {
        vm.prank(coordinator);
        federations.withdrawBond(fed);
        _driveTo(MODEL);
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotBonded.selector, coordinator, 0, BOND));
        this.proposeFromOutside(POT);
    }
}
