// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Descriptor, OpenCids, Ready} from "../src/Types.sol";
import {CreateParams, Federation, IFederations} from "../src/interfaces/IFederations.sol";
import {IRounds, Round, RoundStatus} from "../src/interfaces/IRounds.sol";
import {Rounds} from "../src/Rounds.sol";
import {Driver} from "./utils/Driver.sol";
import {vm} from "./utils/Vm.sol";

contract RoundsOpenTest is Driver {
    uint256 internal constant Q = 1125899906826241;

    // ---- ready ---------------------------------------------------------------------------------

    function _one(Ready memory offer, bytes memory signature)
        internal
        pure
        returns (Ready[] memory offers, bytes[] memory signatures)
    {
        offers = new Ready[](1);
        signatures = new bytes[](1);
        (offers[0], signatures[0]) = (offer, signature);
    }

    function _expectReady(Ready memory offer, bytes memory signature, bytes memory refusal) internal {
        (Ready[] memory offers, bytes[] memory signatures) = _one(offer, signature);
        vm.expectRevert(refusal);
        rounds.ready(offers, signatures);
    }

    function test_constructor_whenWiredElsewhere_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongWiring.selector, address(rounds)));
        new Rounds(IFederations(address(federations)));
    }

    function test_ready_whenNotAMember_reverts() public {
        (Ready memory offer, bytes memory signature) = _offer(validatorKeys[0], 1);
        _expectReady(offer, signature, abi.encodeWithSelector(IRounds.NotMember.selector, fed, offer.member));
    }

    function test_ready_whenSignatureIsAnothers_reverts() public {
        (Ready memory offer,) = _offer(memberKeys[0], 1);
        bytes memory signature = _signReady(memberKeys[1], offer);
        bytes memory refusal =
            abi.encodeWithSelector(IRounds.BadSignature.selector, offer.member, vm.addr(memberKeys[1]));
        _expectReady(offer, signature, refusal);
    }

    function test_ready_whenLengthsDiffer_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthMismatch.selector, 1, 2));
        rounds.ready(new Ready[](1), new bytes[](2));
    }

    function test_ready_whenRoundIsOpenOrPast_reverts() public {
        _openRound();
        (Ready memory offer, bytes memory signature) = _offer(memberKeys[0], 1);
        _expectReady(offer, signature, abi.encodeWithSelector(IRounds.ReadyTooLate.selector, fed, 1, 1));
    }

    function test_ready_repeated_changesNothing() public {
        _readyAll();
        _readyAll();
        vm.assertEq(rounds.readyCount(fed, 1), MEMBERS);
    }

    function test_ready_withAnotherKey_reverts() public {
        _readyAll();
        (Ready memory offer,) = _offer(memberKeys[0], 1);
        bytes32 first = offer.keyHash;
        offer.keyHash = keccak256("another");
        bytes memory refusal = abi.encodeWithSelector(IRounds.ReadyDiffers.selector, fed, 1, offer.member, first);
        _expectReady(offer, _signReady(memberKeys[0], offer), refusal);
    }

    function _readyOne(uint256 key) private {
        (Ready memory o, bytes memory s) = _offer(key, 1);
        (Ready[] memory offers, bytes[] memory signatures) = _one(o, s);
        rounds.ready(offers, signatures);
    }

    function _joinMany(uint256 until) private {
        for (uint256 i = MEMBERS; i < until; ++i) {
            _join(fed, 0x1000 + i, 0, 1);
        }
    }

    function test_ready_beyondTheCommitteeLimit_reverts() public {
        _joinMany(64);
        for (uint256 i = 0; i < 64; ++i) {
            _readyOne(0x1000 + i);
        }
        uint256 more = 64;
        do {
            _join(fed, 0x1000 + more, 0, 1);
        } while (!rounds.mayServe(fed, 1, vm.addr(0x1000 + more++)));
        (Ready memory offer, bytes memory signature) = _offer(0x1000 + more - 1, 1);
        _expectReady(offer, signature, abi.encodeWithSelector(IRounds.CommitteeFull.selector, fed, 1, 64));
    }

    function test_ready_ofMoreThanACommitteeHolds_takesThoseDrawn() public {
        _joinMany(100);
        uint256 drawn = 0;
        for (uint256 i = 0; i < 100; ++i) {
            if (rounds.mayServe(fed, 1, vm.addr(0x1000 + i))) {
                ++drawn;
                _readyOne(0x1000 + i);
                continue;
            }
            (Ready memory offer, bytes memory signature) = _offer(0x1000 + i, 1);
            _expectReady(offer, signature, abi.encodeWithSelector(IRounds.NotDrawn.selector, fed, 1, offer.member));
        }
        vm.assertEq(rounds.readyCount(fed, 1), drawn);
        vm.assertTrue(drawn > 30 && drawn < 64);
        // Who was not drawn is a participant like the others: all of them may be admitted.
        Descriptor memory d = _descriptor();
        d.members = uint16(drawn);
        d.faults = uint16((drawn - 1) / 3);
        d.threshold = (d.members + d.faults) / 2 + 1;
        d.minAdmitted = 101;
        _expectRange(d, "minAdmitted", 101, 100);
        d.minAdmitted = 100;
        _open(d);
    }

    function test_ready_beforeTheEpochIsDrawn_reverts() public {
        _joinMany(65);
        (Ready memory offer, bytes memory signature) = _offer(memberKeys[0], 100);
        _expectReady(offer, signature, abi.encodeWithSelector(IFederations.EpochNotDrawn.selector, fed, 1));
    }

    // ---- open ----------------------------------------------------------------------------------

    function _expectOpen(Descriptor memory d, bytes memory refusal) internal {
        OpenCids memory cids;
        vm.expectRevert(refusal);
        vm.prank(coordinator);
        rounds.open(d, cids);
    }

    function _expectDiffers(Descriptor memory d, bytes32 field, uint256 expected, uint256 given) internal {
        _expectOpen(d, abi.encodeWithSelector(IRounds.FieldDiffers.selector, field, expected, given));
    }

    function _expectRange(Descriptor memory d, bytes32 field, uint256 given, uint256 bound) internal {
        _expectOpen(d, abi.encodeWithSelector(IRounds.FieldOutOfRange.selector, field, given, bound));
    }

    function test_open_whenNotTheCoordinator_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        OpenCids memory cids;
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotCoordinator.selector, owner, coordinator));
        vm.prank(owner);
        rounds.open(d, cids);
    }

    function test_open_whenARoundRunsOrIsProposed_reverts() public {
        _openRound();
        _readyAll();
        bytes4 refusal = IRounds.RoundStillRuns.selector;
        _expectOpen(_descriptor(), abi.encodeWithSelector(refusal, fed, 1, RoundStatus.Running));
        _continueTo(PAYOUT);
        _expectOpen(_descriptor(), abi.encodeWithSelector(refusal, fed, 1, RoundStatus.Proposed));
        _finalise();
        Descriptor memory d = _descriptor();
        _open(d);
    }

    function test_open_whenNumberIsNotTheNext_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.round = 2;
        _expectOpen(d, abi.encodeWithSelector(IRounds.NotNextRound.selector, 2, 1));
    }

    function test_open_whenATermDiffers_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.specHash = keccak256("another");
        _expectDiffers(d, "specHash", uint256(keccak256("spec")), uint256(d.specHash));
        d = _descriptor();
        d.feeBps = 999;
        _expectDiffers(d, "feeBps", 1000, 999);
        d = _descriptor();
        d.rule = 1;
        _expectDiffers(d, "rule", 0, 1);
        d = _descriptor();
        d.qualityFloor = 5;
        _expectDiffers(d, "qualityFloor", 0, 5);
        d = _descriptor();
        d.challengeWindow = 1;
        _expectDiffers(d, "challengeWindow", WINDOW, 1);
        d = _descriptor();
        d.acceptLeak = true;
        _expectDiffers(d, "acceptLeak", 0, 1);
        d = _descriptor();
        d.scalarsMax = 514;
        _expectDiffers(d, "scalarsMax", 513, 514);
    }

    function test_open_whenEpochIsAnother_reverts() public {
        _epoch(fed, 1);
        _readyAll();
        Descriptor memory d = _descriptor();
        d.epoch = 1;
        d.matrixRoot = _matrix(1);
        _expectDiffers(d, "epoch", 0, 1);
    }

    function test_open_whenCommitteeDoesNotFollow_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.members = 5;
        _expectDiffers(d, "members", 4, 5);
        d = _descriptor();
        d.faults = 0;
        _expectDiffers(d, "faults", 1, 0);
        d = _descriptor();
        d.threshold = 2;
        _expectDiffers(d, "threshold", 3, 2);
        d = _descriptor();
        d.minAdmitted = 2;
        _expectRange(d, "minAdmitted", 2, 3);
        d.minAdmitted = 5;
        _expectRange(d, "minAdmitted", 5, 4);
    }

    function test_open_whenNobodyIsReady_reverts() public {
        Descriptor memory d = _descriptor();
        d.members = 0;
        _expectRange(d, "members", 0, 1);
    }

    /// m = 4: 3, 5: 4, 7: 5, 10: 7, 40: 27.
    function test_open_thresholdsOfTheDesign() public {
        uint16[5] memory m = [uint16(4), 5, 7, 10, 40];
        uint16[5] memory t = [uint16(3), 4, 5, 7, 27];
        uint256 joined = MEMBERS;
        for (uint256 k = 0; k < m.length; ++k) {
            for (; joined < m[k]; ++joined) {
                _join(fed, 0x1000 + joined, 0, 1);
            }
            for (uint256 i = 0; i < m[k]; ++i) {
                (Ready memory o, bytes memory s) = _offer(0x1000 + i, _next());
                (Ready[] memory offers, bytes[] memory signatures) = _one(o, s);
                rounds.ready(offers, signatures);
            }
            Descriptor memory d = _descriptor();
            d.members = m[k];
            d.faults = (m[k] - 1) / 3;
            d.threshold = t[k];
            d.minAdmitted = d.faults + 2 < 3 ? 3 : d.faults + 2;
            d.scale.updateMax = 1;
            _open(d);
            uint64 round = rounds.lastRound(fed);
            vm.prank(coordinator);
            rounds.voidRound(fed, round);
        }
    }

    function testFuzz_open_leakCap(uint32 d_, uint8 v) public {
        v = uint8(v % 13);
        vm.assume(d_ > 0);
        for (uint256 i = VALIDATORS; i < 12; ++i) {
            _join(fed, 0x2000 + i, 1, 0);
        }
        _readyAll();
        Descriptor memory d = _descriptor();
        d.scale.parameters = d_;
        d.validators = v;
        uint256 cap = d_ / 8 < 2 ? 2 : d_ / 8 > 9 ? 9 : d_ / 8;
        if (v > cap) _expectOpen(d, abi.encodeWithSelector(IRounds.LeakCapExceeded.selector, v, cap));
        else _open(d);
    }

    function test_open_whenTheLeakIsAccepted_opens() public {
        CreateParams memory p = _params();
        p.acceptLeak = true;
        p.scalarsMax = 45;
        fed = _create(p);
        _joinAll(fed);
        _epoch(fed, 0);
        _fund(fed, POT);
        _readyAll();
        Descriptor memory d = _descriptor();
        d.acceptLeak = true;
        d.scalarsMax = 45;
        d.scale.parameters = 14;
        _open(d);
    }

    function test_open_whenValidatorsAreNotRegistered_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.validators = 4;
        _expectRange(d, "validators", 4, 3);
    }

    function test_open_whenScalarsCouldWrap_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        uint256 unit = 2 * uint256(d.scale.directionNorm) * d.scale.delta;
        d.scale.clip = uint64((Q - d.scale.delta) / unit);
        _open(d);
        vm.prank(coordinator);
        rounds.voidRound(fed, 1);
        _readyAll();
        uint64 clip = d.scale.clip + 1;
        d = _descriptor();
        d.scale.clip = clip;
        _expectOpen(
            d, abi.encodeWithSelector(IRounds.RangeExceeded.selector, bytes32("scalar"), unit * clip, Q - d.scale.delta)
        );
    }

    function test_open_whenSumsCouldWrap_reverts() public {
        _readyAll();
        uint256 unit = 2 * uint256(319) * (1 << 30);
        uint256 bound = Q - (1 << 30);
        Descriptor memory d = _wide(uint16(bound / unit));
        _open(d);
        vm.prank(coordinator);
        rounds.voidRound(fed, 1);
        _readyAll();
        d = _wide(d.scale.updateMax + 1);
        _expectOpen(
            d, abi.encodeWithSelector(IRounds.RangeExceeded.selector, bytes32("sum"), unit * d.scale.updateMax, bound)
        );
        d = _wide(32_768);
        _expectRange(d, "updateMax", 32_768, 32_767);
    }

    /// A scale so wide that the sum's bound is the narrow one.
    function _wide(uint16 updateMax) internal view returns (Descriptor memory d) {
        d = _descriptor();
        d.scale.delta = 1 << 30;
        d.scale.clip = 1000;
        d.scale.updateMax = updateMax;
    }

    function test_open_whenClassesAreTooMany_reverts() public {
        _readyAll();
        // 319 + 256 * 255 = 65,599
        for (uint256 i = 0; i < 256; ++i) {
            _join(fed, 0x5000 + i, 0, 255);
        }
        Descriptor memory d = _descriptor();
        d.scale.updateMax = 1;
        _expectOpen(d, abi.encodeWithSelector(IRounds.RangeExceeded.selector, bytes32("classes"), 65_599, 65_535));
    }

    function testFuzz_open_whenDeltaIsNoPowerOfTwo_reverts(uint64 delta) public {
        vm.assume(delta & (delta - (delta == 0 ? 0 : 1)) != 0);
        _readyAll();
        Descriptor memory d = _descriptor();
        d.scale.delta = delta;
        _expectRange(d, "delta", delta, Q);
    }

    function test_open_whenAFieldIsZero_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.scale.delta = 0;
        _expectRange(d, "delta", 0, Q);
        d = _descriptor();
        d.lrDen = 0;
        _expectRange(d, "lrDen", 0, 1);
        d = _descriptor();
        d.scale.parameters = 0;
        d.validators = 2;
        _expectRange(d, "parameters", 0, 1);
    }

    function testFuzz_open_deadlinesAscend(uint256 index) public {
        index %= 9;
        _readyAll();
        Descriptor memory d = _descriptor();
        uint64 previous = index == 0 ? uint64(block.timestamp) : d.deadlines[index - 1];
        d.deadlines[index] = previous;
        _expectOpen(d, abi.encodeWithSelector(IRounds.DeadlineOrder.selector, index, previous, previous));
    }

    function test_open_whenMatrixIsMissingOrAnother_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.matrixRoot = _matrix(9);
        _expectDiffers(d, "matrixRoot", uint256(_matrix(0)), uint256(_matrix(9)));
        fed = _create(_params());
        d = _descriptor();
        _expectOpen(d, abi.encodeWithSelector(IRounds.MatrixNotRegistered.selector, fed, 0));
    }

    function test_open_whenBaseIsNotTheLastModel_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.parentCtx = keccak256("nobody");
        _expectDiffers(d, "parentCtx", 0, uint256(d.parentCtx));
        _open(_descriptor());
        _continueTo(PAYOUT);
        bytes32 ctx = _current().ctx;
        _finalise();
        (bytes32 headCtx, bytes32 modelRoot) = rounds.headOf(fed);
        vm.assertEq(headCtx, ctx);
        vm.assertEq(modelRoot, keccak256(abi.encode("model", uint64(1))));
        _readyAll();
        d = _descriptor();
        d.baseModelRoot = keccak256("first model");
        _expectDiffers(d, "baseModelRoot", uint256(modelRoot), uint256(d.baseModelRoot));
        d = _descriptor();
        d.parentCtx = 0;
        _expectDiffers(d, "parentCtx", uint256(ctx), 0);
        _open(_descriptor());
    }

    function test_open_whenPotIsTooLarge_reverts() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        d.pot = 10_000e18 + 1;
        _expectOpen(d, abi.encodeWithSelector(IFederations.PotTooLarge.selector, d.pot, 10_000e18));
        d.pot = 10_000e18;
        _open(d);
    }

    function test_open_bindsChainContractAndDescriptor() public {
        _readyAll();
        Descriptor memory d = _descriptor();
        _open(d);
        Round memory r = _current();
        vm.assertEq(r.ctx, keccak256(abi.encode(block.chainid, address(rounds), d)));
        vm.assertEq(r.transcript, _chain(0, 0, r.ctx));
        (uint64 federation, uint64 round) = rounds.roundByContext(r.ctx);
        vm.assertEq(federation, fed);
        vm.assertEq(round, 1);
    }

    function test_open_reservesThePotCarryFirst() public {
        _driveTo(MODEL);
        _propose(coordinator, 0);
        _finalise();
        vm.assertEq(federations.federationOf(fed).carry, POT);
        _readyAll();
        Descriptor memory d = _descriptor();
        d.pot = POT + 10e18;
        vm.expectEmit();
        emit IFederations.PotReserved(fed, 2, 10e18, POT);
        _open(d);
        Federation memory f = federations.federationOf(fed);
        vm.assertEq(f.carry, 0);
        vm.assertEq(f.free, 10_000e18 - POT - 10e18);
        vm.assertEq(f.reservedFree, 10e18);
        vm.assertEq(f.reservedCarry, POT);
    }
}
