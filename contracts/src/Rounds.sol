// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Contribution, Descriptor, DirectionPromise, OpenCids, Ready, Reveal, StageAck} from "./Types.sol";
import {Epoch, Federation, FederationState, IFederations} from "./interfaces/IFederations.sol";
import {IRounds, Round, RoundStatus} from "./interfaces/IRounds.sol";
import {DescriptorRules} from "./libraries/DescriptorRules.sol";
import {Sample} from "./libraries/Sample.sol";
import {TypeHashes} from "./libraries/TypeHashes.sol";

/// @notice Documented in IRounds.
contract Rounds is IRounds, EIP712 {
    using DescriptorRules for Descriptor;
    using TypeHashes for *;

    uint8 private constant OPENED = 0;
    uint8 private constant PROMISE = 1;
    uint8 private constant LOCK = 2;
    uint8 private constant DIRECTION = 3;
    uint8 private constant AUDIT = 4;
    uint8 private constant SCORE = 5;
    uint8 private constant ADMIT = 6;
    uint8 private constant SUM = 7;
    uint8 private constant OPEN = 8;
    uint8 private constant MODEL = 9;
    uint8 private constant SETTLE = 10;
    uint8 private constant PAYOUT = 11;

    IFederations public immutable federations;

    struct Head {
        bytes32 ctx;
        bytes32 modelRoot;
    }

    struct Key {
        uint64 federation;
        uint64 round;
    }

    struct Committee {
        uint16 count;
        mapping(address member => bytes32) keyHash;
    }

    /// @inheritdoc IRounds
    mapping(uint64 federation => uint64) public lastRound;
    /// @inheritdoc IRounds
    mapping(uint64 federation => Head) public headOf;
    /// @inheritdoc IRounds
    mapping(bytes32 ctx => Key) public roundByContext;
    /// @inheritdoc IRounds
    mapping(bytes32 ctx => mapping(address validator => bytes32)) public promiseOf;
    /// @inheritdoc IRounds
    mapping(bytes32 ctx => mapping(address validator => bytes32)) public revealOf;
    /// @inheritdoc IRounds
    mapping(bytes32 ctx => mapping(address participant => bytes32)) public directOf;

    mapping(uint64 federation => mapping(uint64 round => Round)) private _rounds;
    mapping(uint64 federation => mapping(uint64 round => Committee)) private _committees;

    constructor(IFederations federations_) EIP712("Almoner", "0") {
        if (federations_.rounds() != address(this)) revert WrongWiring(federations_.rounds());
        federations = federations_;
    }

    // ---- before the round ----------------------------------------------------------------------

    /// @inheritdoc IRounds
    function ready(Ready[] calldata offers, bytes[] calldata signatures) external {
        _sameLength(offers.length, signatures.length);
        for (uint256 i = 0; i < offers.length; ++i) {
            _ready(offers[i], signatures[i]);
        }
    }

    function _ready(Ready calldata offer, bytes calldata signature) private {
        uint64 last = lastRound[offer.federation];
        if (offer.round <= last) revert ReadyTooLate(offer.federation, offer.round, last);
        if (federations.memberOf(offer.federation, offer.member).since == 0) {
            revert NotMember(offer.federation, offer.member);
        }
        _checkSigner(offer.member, offer.structHash(), signature);

        Committee storage committee = _committees[offer.federation][offer.round];
        bytes32 known = committee.keyHash[offer.member];
        // Repeating an offer is harmless, so that a relay's batch cannot be undone by sending one of it ahead.
        if (known == offer.keyHash && known != 0) return;
        if (known != 0 || offer.keyHash == 0) {
            revert ReadyDiffers(offer.federation, offer.round, offer.member, known);
        }
        if (!mayServe(offer.federation, offer.round, offer.member)) {
            revert NotDrawn(offer.federation, offer.round, offer.member);
        }
        if (committee.count == Sample.MAX_COMMITTEE) {
            revert CommitteeFull(offer.federation, offer.round, committee.count);
        }
        ++committee.count;
        committee.keyHash[offer.member] = offer.keyHash;
        emit ReadyPosted(offer.federation, offer.round, offer.member, offer.keyHash);
    }

    /// @inheritdoc IRounds
    function open(Descriptor calldata d, OpenCids calldata cids) external {
        Federation memory f = federations.federationOf(d.federation);
        if (msg.sender != f.coordinator) revert NotCoordinator(msg.sender, f.coordinator);
        if (f.state != FederationState.Open) revert FederationNotOpen(d.federation);
        _checkNext(d.federation, d.round);
        _checkModel(d);
        d.checkTerms(f);
        d.checkCommittee(_committees[d.federation][d.round].count, f);
        d.checkLeak(f.validators);
        d.checkRange(f.classSum);
        d.checkDeadlines();

        bytes32 ctx = keccak256(abi.encode(block.chainid, address(this), d));
        _store(d, ctx, f.coordinator);
        emit RoundOpened(d.federation, d.round, ctx, d, cids);
        federations.reserve(d.federation, d.round, d.pot);
    }

    /// Rounds count from 1, one at a time.
    function _checkNext(uint64 federation, uint64 round) private view {
        uint64 last = lastRound[federation];
        RoundStatus status = _rounds[federation][last].status;
        if (status == RoundStatus.Running || status == RoundStatus.Proposed) {
            revert RoundStillRuns(federation, last, status);
        }
        if (round != last + 1) revert NotNextRound(round, last + 1);
    }

    /// The base is the last model of the federation, whatever came of the rounds tried since; the first one is free.
    function _checkModel(Descriptor calldata d) private view {
        Head storage head = headOf[d.federation];
        if (d.parentCtx != head.ctx) revert FieldDiffers("parentCtx", uint256(head.ctx), uint256(d.parentCtx));
        if (head.ctx != 0 && d.baseModelRoot != head.modelRoot) {
            revert FieldDiffers("baseModelRoot", uint256(head.modelRoot), uint256(d.baseModelRoot));
        }
        bytes32 matrix = federations.epochOf(d.federation, d.epoch).matrixRoot;
        if (matrix == 0) revert MatrixNotRegistered(d.federation, d.epoch);
        if (d.matrixRoot != matrix) revert FieldDiffers("matrixRoot", uint256(matrix), uint256(d.matrixRoot));
    }

    function _store(Descriptor calldata d, bytes32 ctx, address coordinator) private {
        lastRound[d.federation] = d.round;
        roundByContext[ctx] = Key({federation: d.federation, round: d.round});
        Round storage r = _rounds[d.federation][d.round];
        r.ctx = ctx;
        r.transcript = _chain(0, OPENED, ctx);
        r.coordinator = coordinator;
        r.enteredAt = uint64(block.timestamp);
        r.status = RoundStatus.Running;
        r.threshold = d.threshold;
        r.pot = d.pot;
        r.minAdmitted = d.minAdmitted;
        r.validators = d.validators;
        r.challengeWindow = d.challengeWindow;
        r.deadlines = d.deadlines;
    }

    // ---- promise to lock -----------------------------------------------------------------------

    /// @inheritdoc IRounds
    function promiseDirections(DirectionPromise[] calldata promises, bytes[] calldata signatures) external {
        _sameLength(promises.length, signatures.length);
        for (uint256 i = 0; i < promises.length; ++i) {
            _promise(promises[i], signatures[i]);
        }
    }

    function _promise(DirectionPromise calldata p, bytes calldata signature) private {
        (Key memory key, Round storage r) = _at(p.ctx, OPENED);
        if (federations.validatorOf(key.federation, p.validator).since == 0) {
            revert NotValidator(key.federation, p.validator);
        }
        _checkSigner(p.validator, p.structHash(), signature);

        bytes32 known = promiseOf[p.ctx][p.validator];
        if (known == p.commitment && known != 0) return;
        if (known != 0 || p.commitment == 0) revert PromiseDiffers(p.ctx, p.validator, known);
        if (r.promised == r.validators) revert TooManyPromises(r.validators);
        ++r.promised;
        promiseOf[p.ctx][p.validator] = p.commitment;
        emit Promised(key.federation, key.round, p.validator, p.commitment);
    }

    /// @inheritdoc IRounds
    function postPromises(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external {
        _post(federation, round, PROMISE, root, cid);
    }

    /// @inheritdoc IRounds
    function commitDirect(Contribution calldata manifest, bytes calldata signature) external {
        (Key memory key, Round storage r) = _at(manifest.ctx, PROMISE);
        if (federations.memberOf(key.federation, manifest.participant).since == 0) {
            revert NotMember(key.federation, manifest.participant);
        }
        bytes32 manifestHash = manifest.structHash();
        _checkSigner(manifest.participant, manifestHash, signature);

        bytes32 known = directOf[manifest.ctx][manifest.participant];
        if (known == manifestHash) return;
        if (known != 0) revert CommitDiffers(manifest.ctx, manifest.participant);
        ++r.direct;
        directOf[manifest.ctx][manifest.participant] = manifestHash;
        emit CommittedDirect(key.federation, key.round, manifest.participant, manifest, signature);
    }

    /// @inheritdoc IRounds
    function lock(uint64 federation, uint64 round, bytes32 root, uint32 count, bytes calldata cid) external {
        Round storage r = _post(federation, round, LOCK, root, cid);
        if (count < r.direct) revert LockTooShort(count, r.direct);
        r.locked = count;
        emit Locked(federation, round, count);
    }

    // ---- reveal to scores ----------------------------------------------------------------------

    /// @inheritdoc IRounds
    function reveal(Reveal[] calldata reveals, bytes[] calldata signatures) external {
        _sameLength(reveals.length, signatures.length);
        for (uint256 i = 0; i < reveals.length; ++i) {
            _reveal(reveals[i], signatures[i]);
        }
    }

    function _reveal(Reveal calldata v, bytes calldata signature) private {
        (Key memory key,) = _at(v.ctx, LOCK);
        bytes32 promised = promiseOf[v.ctx][v.validator];
        if (promised == 0) revert NoPromise(v.ctx, v.validator);
        // The validator is inside, so a promise copied from another one never opens.
        bytes32 computed = keccak256(
            abi.encode(
                block.chainid, address(this), key.federation, key.round, v.validator, v.ctx, v.directionRoot, v.salt
            )
        );
        if (computed != promised) revert RevealDiffers(v.ctx, v.validator, promised, computed);
        _checkSigner(v.validator, v.structHash(), signature);

        if (revealOf[v.ctx][v.validator] != 0) return;
        revealOf[v.ctx][v.validator] = v.directionRoot;
        emit Revealed(key.federation, key.round, v.validator, v.directionRoot, v.salt);
    }

    /// @inheritdoc IRounds
    function postDirections(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external {
        _post(federation, round, DIRECTION, root, cid);
    }

    /// @inheritdoc IRounds
    function postAudit(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external {
        _post(federation, round, AUDIT, root, cid);
    }

    /// @inheritdoc IRounds
    function postScores(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external {
        _post(federation, round, SCORE, root, cid);
    }

    // ---- admit to settlement -------------------------------------------------------------------

    /// @inheritdoc IRounds
    function admit(
        uint64 federation,
        uint64 round,
        bytes32 root,
        bytes calldata cid,
        uint16 admitted,
        address[] calldata signers,
        bytes[] calldata signatures
    ) external {
        Round storage r = _post(federation, round, ADMIT, root, cid);
        if (admitted < r.minAdmitted || admitted > r.locked) {
            revert BadAdmittedCount(admitted, r.minAdmitted, r.locked);
        }
        _sameLength(signers.length, signatures.length);
        if (signers.length < r.threshold) revert TooFewSigners(signers.length, r.threshold);
        _checkAcknowledged(federation, round, r, signers, signatures);
        r.admitted = admitted;
        emit Admitted(federation, round, admitted, signers);
    }

    /// Every signer is a ready member, appears once, and signed the value the chain has just reached.
    function _checkAcknowledged(
        uint64 federation,
        uint64 round,
        Round storage r,
        address[] calldata signers,
        bytes[] calldata signatures
    ) private view {
        Committee storage committee = _committees[federation][round];
        bytes32 ack = StageAck({ctx: r.ctx, stage: ADMIT, transcript: r.transcript}).structHash();
        address previous = address(0);
        for (uint256 i = 0; i < signers.length; ++i) {
            address signer = signers[i];
            if (signer <= previous) revert SignersNotAscending(previous, signer);
            if (committee.keyHash[signer] == 0) revert NotReady(federation, round, signer);
            _checkSigner(signer, ack, signatures[i]);
            previous = signer;
        }
    }

    /// @inheritdoc IRounds
    function postSum(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external {
        _post(federation, round, SUM, root, cid);
    }

    /// @inheritdoc IRounds
    function openSum(
        uint64 federation,
        uint64 round,
        bytes32 openRoot,
        bytes calldata openCid,
        bytes32 modelRoot,
        bytes calldata modelCid
    ) external {
        Round storage r = _post(federation, round, OPEN, openRoot, openCid);
        _append(r, federation, round, MODEL, modelRoot, modelCid);
        r.modelRoot = modelRoot;
    }

    /// @inheritdoc IRounds
    function propose(
        uint64 federation,
        uint64 round,
        bytes32 settleRoot,
        bytes calldata settleCid,
        bytes32 payoutRoot,
        bytes calldata payoutCid,
        uint128 total
    ) external {
        Round storage r = _post(federation, round, SETTLE, settleRoot, settleCid);
        if (total != 0 && total != r.pot) revert BadTotal(total, r.pot);
        _append(r, federation, round, PAYOUT, payoutRoot, payoutCid);
        r.status = RoundStatus.Proposed;
        r.payoutRoot = payoutRoot;
        r.pays = total != 0;
        emit Proposed(federation, round, msg.sender, total, _windowEnd(r));
        federations.lockBond(federation, msg.sender, round);
    }

    // ---- ends ----------------------------------------------------------------------------------

    /// @inheritdoc IRounds
    function voidRound(uint64 federation, uint64 round) external {
        Round storage r = _running(federation, round);
        if (msg.sender != r.coordinator) revert NotCoordinator(msg.sender, r.coordinator);
        if (r.stage >= MODEL) revert AlreadyOpened(federation, round);
        r.status = RoundStatus.Void;
        emit RoundVoid(federation, round, r.stage, r.stage >= ADMIT);
        _giveUpPot(federation, round, r.stage);
    }

    /// @inheritdoc IRounds
    function expire(uint64 federation, uint64 round) external {
        Round storage r = _running(federation, round);
        uint64 deadline = _deadline(r);
        if (block.timestamp <= deadline) revert DeadlineNotPassed(r.stage + 1, deadline, uint64(block.timestamp));
        r.status = RoundStatus.Expired;
        // A sum that has been opened is never opened again over another set: its model stands, unpaid.
        if (r.stage >= MODEL) headOf[federation] = Head({ctx: r.ctx, modelRoot: r.modelRoot});
        emit RoundExpired(federation, round, r.stage, r.stage >= ADMIT);
        _giveUpPot(federation, round, r.stage);
    }

    /// @inheritdoc IRounds
    function finalise(uint64 federation, uint64 round) external {
        Round storage r = _rounds[federation][round];
        if (r.status != RoundStatus.Proposed) revert NotRunning(federation, round, r.status);
        if (block.timestamp < _windowEnd(r)) revert WindowOpen(_windowEnd(r), uint64(block.timestamp));
        r.status = RoundStatus.Final;
        headOf[federation] = Head({ctx: r.ctx, modelRoot: r.modelRoot});
        emit RoundFinal(federation, round, r.modelRoot, r.pays ? r.pot : 0);
        if (r.pays) federations.settle(federation, round, r.payoutRoot);
        else federations.carryOver(federation, round);
    }

    /// Once the set is admitted its sum may be known: from there the sponsor never has the pot back.
    function _giveUpPot(uint64 federation, uint64 round, uint8 stage) private {
        if (stage >= ADMIT) federations.carryOver(federation, round);
        else federations.release(federation, round);
    }

    // ---- views ---------------------------------------------------------------------------------

    /// @inheritdoc IRounds
    function roundOf(uint64 federation, uint64 round) external view returns (Round memory) {
        return _rounds[federation][round];
    }

    /// @inheritdoc IRounds
    function mayServe(uint64 federation, uint64 round, address member) public view returns (bool) {
        uint32 members = federations.memberCount(federation);
        if (members <= Sample.MAX_COMMITTEE) return true;
        uint64 epoch = round / uint64(DescriptorRules.ROUNDS_PER_EPOCH);
        if (epoch > type(uint32).max) return false;
        Epoch memory e = federations.epochOf(federation, uint32(epoch));
        if (!e.drawn) revert IFederations.EpochNotDrawn(federation, uint32(epoch));
        return Sample.drawn(e.beacon, federation, round, members, member);
    }

    /// @inheritdoc IRounds
    function readyKey(uint64 federation, uint64 round, address member) external view returns (bytes32) {
        return _committees[federation][round].keyHash[member];
    }

    /// @inheritdoc IRounds
    function readyCount(uint64 federation, uint64 round) external view returns (uint16) {
        return _committees[federation][round].count;
    }

    // ---- pieces --------------------------------------------------------------------------------

    /// The one way into a stage: right order, in time, by whose turn it is.
    function _post(uint64 federation, uint64 round, uint8 stage, bytes32 root, bytes calldata cid)
        private
        returns (Round storage r)
    {
        r = _running(federation, round);
        if (stage != r.stage + 1) revert NotNext(stage, r.stage + 1);
        uint64 deadline = _deadline(r);
        if (block.timestamp > deadline) revert DeadlinePassed(stage, deadline, uint64(block.timestamp));
        if (msg.sender != r.coordinator) _checkStandIn(federation, round, r, deadline);
        _append(r, federation, round, stage, root, cid);
    }

    /// Uploads reach the coordinator, so promises and the lock are nobody else's to post. Later steps are, once the
    /// coordinator has let half of its time go by.
    function _checkStandIn(uint64 federation, uint64 round, Round storage r, uint64 deadline) private {
        uint8 stage = r.stage + 1;
        if (stage <= LOCK) revert NotCoordinator(msg.sender, r.coordinator);
        uint64 from = r.enteredAt + (deadline - r.enteredAt) / 2;
        if (block.timestamp < from) revert NotYetYours(msg.sender, stage, from);
        federations.lockBond(federation, msg.sender, round);
    }

    function _append(Round storage r, uint64 federation, uint64 round, uint8 stage, bytes32 root, bytes calldata cid)
        private
    {
        bytes32 transcript = _chain(r.transcript, stage, root);
        r.transcript = transcript;
        r.stage = stage;
        r.enteredAt = uint64(block.timestamp);
        emit StagePosted(federation, round, stage, root, transcript, cid);
    }

    /// H_s. The last word is the stage's beacon, 0 in version 0.
    function _chain(bytes32 previous, uint8 stage, bytes32 root) private pure returns (bytes32) {
        return keccak256(abi.encode(previous, stage, root, bytes32(0)));
    }

    function _running(uint64 federation, uint64 round) private view returns (Round storage r) {
        r = _rounds[federation][round];
        if (r.status != RoundStatus.Running) revert NotRunning(federation, round, r.status);
    }

    /// A running round found by its ctx, at this stage, whose next stage is still in time.
    function _at(bytes32 ctx, uint8 stage) private view returns (Key memory key, Round storage r) {
        key = roundByContext[ctx];
        if (key.round == 0) revert UnknownContext(ctx);
        r = _running(key.federation, key.round);
        if (r.stage != stage) revert NotAtStage(stage, r.stage);
        uint64 deadline = _deadline(r);
        if (block.timestamp > deadline) revert DeadlinePassed(stage + 1, deadline, uint64(block.timestamp));
    }

    /// By when the next stage must be posted. 8 and 9 share a deadline, and so do 10 and 11.
    function _deadline(Round storage r) private view returns (uint64) {
        return r.deadlines[r.stage < MODEL ? r.stage : MODEL - 1];
    }

    function _windowEnd(Round storage r) private view returns (uint64) {
        return r.enteredAt + r.challengeWindow;
    }

    function _checkSigner(address expected, bytes32 hash, bytes calldata signature) private view {
        (address signer,,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(hash), signature);
        if (signer == address(0) || signer != expected) revert BadSignature(expected, signer);
    }

    function _sameLength(uint256 items, uint256 signatures) private pure {
        if (items != signatures) revert LengthMismatch(items, signatures);
    }
}
