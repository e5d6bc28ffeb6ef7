// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Contribution, Descriptor, OpenCids, Ready, Reveal, StageAck} from "../../src/Types.sol";
import {Round} from "../../src/interfaces/IRounds.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

/// Drives a round from one stage to the next as an honest coordinator would.
abstract contract Driver is Fixture {
    uint8 internal constant OPENED = 0;
    uint8 internal constant PROMISE = 1;
    uint8 internal constant LOCK = 2;
    uint8 internal constant DIRECTION = 3;
    uint8 internal constant AUDIT = 4;
    uint8 internal constant SCORE = 5;
    uint8 internal constant ADMIT = 6;
    uint8 internal constant SUM = 7;
    uint8 internal constant MODEL = 9;
    uint8 internal constant PAYOUT = 11;

    /// The payout root the next `propose` of this driver posts.
    bytes32 internal nextPayoutRoot = keccak256("payout");

    function _next() internal view returns (uint64) {
        return rounds.lastRound(fed) + 1;
    }

    function _current() internal view returns (Round memory) {
        return rounds.roundOf(fed, rounds.lastRound(fed));
    }

    function _root(uint8 stage) internal view returns (bytes32) {
        return keccak256(abi.encode("root", rounds.lastRound(fed), stage));
    }

    // ---- opening -------------------------------------------------------------------------------

    function _readyAll() internal {
        Ready[] memory offers = new Ready[](MEMBERS);
        bytes[] memory signatures = new bytes[](MEMBERS);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            (offers[i], signatures[i]) = _offer(memberKeys[i], _next());
        }
        rounds.ready(offers, signatures);
    }

    function _offer(uint256 key, uint64 round) internal view returns (Ready memory offer, bytes memory signature) {
        offer = Ready({
            federation: fed, round: round, member: vm.addr(key), keyHash: keccak256(abi.encode("key", key, round))
        });
        signature = _signReady(key, offer);
    }

    function _descriptor() internal view returns (Descriptor memory d) {
        d.federation = fed;
        d.round = _next();
        (d.parentCtx, d.baseModelRoot) = rounds.headOf(fed);
        if (d.parentCtx == 0) d.baseModelRoot = keccak256("first model");
        d.specHash = keccak256("spec");
        d.scale.parameters = 513;
        d.scale.clip = 32768;
        d.scale.delta = 1 << 17;
        d.scale.updateBits = 15;
        d.scale.fracBits = 24;
        d.scale.dropBits = 2;
        d.scale.updateMax = 13_000;
        d.scale.directionNorm = 23;
        d.members = 4;
        d.faults = 1;
        d.threshold = 3;
        d.minAdmitted = 3;
        d.validators = 3;
        d.scalarsMax = 513;
        d.lrNum = 1;
        d.lrDen = 1;
        d.pot = POT;
        d.feeBps = 1000;
        d.epoch = uint32(d.round / 100);
        d.matrixRoot = _matrix(d.epoch);
        d.lists.membershipRoot = keccak256("members");
        d.lists.committeeRoot = keccak256("committee");
        d.lists.validatorRoot = keccak256("validators");
        d.challengeWindow = WINDOW;
        for (uint256 i = 0; i < 9; ++i) {
            d.deadlines[i] = uint64(block.timestamp + (i + 1) * 1 hours);
        }
    }

    function _open(Descriptor memory d) internal {
        OpenCids memory cids = OpenCids({spec: CID, base: CID, members: CID, committee: CID, validators: CID});
        vm.prank(coordinator);
        rounds.open(d, cids);
    }

    function _openRound() internal {
        _readyAll();
        _open(_descriptor());
    }

    // ---- stages --------------------------------------------------------------------------------

    /// From no running round to `stage`.
    function _driveTo(uint8 stage) internal {
        _openRound();
        _continueTo(stage);
    }

    function _continueTo(uint8 stage) internal {
        while (_current().stage < stage) {
            _step(coordinator);
        }
    }

    /// Posts whatever comes next, as `who`.
    function _step(address who) internal {
        uint64 round = rounds.lastRound(fed);
        uint8 stage = _current().stage + 1;
        if (stage == ADMIT) return _admit(who, 3, _ackKeys(3));
        if (stage == PAYOUT - 1) return _propose(who, _current().pot);
        bytes32 root = _root(stage);
        vm.prank(who);
        if (stage == PROMISE) rounds.postPromises(fed, round, root, CID);
        else if (stage == LOCK) rounds.lock(fed, round, root, 4, CID);
        else if (stage == DIRECTION) rounds.postDirections(fed, round, root, CID);
        else if (stage == AUDIT) rounds.postAudit(fed, round, root, CID);
        else if (stage == SCORE) rounds.postScores(fed, round, root, CID);
        else if (stage == SUM) rounds.postSum(fed, round, root, CID);
        else rounds.openSum(fed, round, root, CID, keccak256(abi.encode("model", round)), CID);
    }

    function _admit(address who, uint16 count, uint256[] memory keys) internal {
        Round memory r = _current();
        bytes32 root = _root(ADMIT);
        StageAck memory ack = StageAck({ctx: r.ctx, stage: ADMIT, transcript: _chain(r.transcript, ADMIT, root)});
        (address[] memory signers, bytes[] memory signatures) = _acks(keys, ack);
        uint64 round = rounds.lastRound(fed);
        vm.prank(who);
        rounds.admit(fed, round, root, CID, count, signers, signatures);
    }

    function _propose(address who, uint128 total) internal {
        bytes32 root = _root(PAYOUT - 1);
        uint64 round = rounds.lastRound(fed);
        vm.prank(who);
        rounds.propose(fed, round, root, CID, nextPayoutRoot, CID, total);
    }

    function _finalise() internal {
        vm.warp(block.timestamp + WINDOW);
        rounds.finalise(fed, rounds.lastRound(fed));
    }

    function _chain(bytes32 previous, uint8 stage, bytes32 root) internal pure returns (bytes32) {
        return keccak256(abi.encode(previous, stage, root, bytes32(0)));
    }

    // ---- signatures of several -----------------------------------------------------------------

    /// The keys of the first `n` members, by ascending address.
    function _ackKeys(uint256 n) internal view returns (uint256[] memory keys) {
        keys = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            keys[i] = memberKeys[i];
            for (uint256 j = i; j > 0 && vm.addr(keys[j - 1]) > vm.addr(keys[j]); --j) {
                (keys[j - 1], keys[j]) = (keys[j], keys[j - 1]);
            }
        }
    }

    function _acks(uint256[] memory keys, StageAck memory ack)
        internal
        view
        returns (address[] memory signers, bytes[] memory signatures)
    {
        signers = new address[](keys.length);
        signatures = new bytes[](keys.length);
        for (uint256 i = 0; i < keys.length; ++i) {
            signers[i] = vm.addr(keys[i]);
            signatures[i] = _signAck(keys[i], ack);
        }
    }

    function _commitment(uint256 key, bytes32 directionRoot, bytes32 salt) internal view returns (bytes32) {
        uint64 round = rounds.lastRound(fed);
        return keccak256(
            abi.encode(block.chainid, address(rounds), fed, round, vm.addr(key), _current().ctx, directionRoot, salt)
        );
    }

    function _reveal(uint256 key, bytes32 directionRoot, bytes32 salt) internal {
        Reveal[] memory reveals = new Reveal[](1);
        bytes[] memory signatures = new bytes[](1);
        reveals[0] = Reveal({ctx: _current().ctx, validator: vm.addr(key), directionRoot: directionRoot, salt: salt});
        signatures[0] = _signReveal(key, reveals[0]);
        rounds.reveal(reveals, signatures);
    }

    function _manifest(uint256 key) internal view returns (Contribution memory c) {
        c.ctx = _current().ctx;
        c.participant = vm.addr(key);
        c.blocks = 1;
        c.ciphertextRoot = keccak256(abi.encode("ciphertext", key));
        c.ciphertextCid = CID;
    }
}
