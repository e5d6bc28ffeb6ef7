// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Join} from "./Types.sol";
import {
    Bond,
    ClosePlan,
    CreateParams,
    Epoch,
    Federation,
    FederationState,
    IFederations,
    Seat
} from "./interfaces/IFederations.sol";
import {IPayouts} from "./interfaces/IPayouts.sol";
import {TypeHashes} from "./libraries/TypeHashes.sol";

/// @notice Documented in IFederations.
contract Federations is IFederations, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using TypeHashes for Join;

    uint8 private constant MEMBER = 0;
    uint8 private constant VALIDATOR = 1;
    uint16 private constant MAX_CLASS = 255;
    uint16 private constant MAX_FEE_BPS = 10_000;
    uint8 private constant PROPORTIONAL = 0;
    uint64 private constant FULL_QUALITY = 1 << 32;
    uint64 private constant MAX_WINDOW = 30 days;

    /// @inheritdoc IFederations
    address public immutable rounds;
    /// @inheritdoc IFederations
    address public immutable payouts;

    /// @inheritdoc IFederations
    uint64 public federationCount;

    mapping(uint64 federation => Federation) private _federations;
    mapping(uint64 federation => mapping(uint8 role => mapping(address account => Seat))) private _seats;
    mapping(uint64 federation => mapping(address account => Bond)) private _bonds;
    mapping(uint64 federation => mapping(uint32 epoch => Epoch)) private _epochs;
    mapping(uint64 federation => ClosePlan) private _plans;

    modifier onlyRounds() {
        if (msg.sender != rounds) revert NotRounds(msg.sender);
        _;
    }

    /// The other two are deployed after this one, at addresses known before; they refuse to exist anywhere else.
    constructor(address rounds_, address payouts_) EIP712("Almoner", "0") {
        rounds = rounds_;
        payouts = payouts_;
    }

    // ---- membership and terms ------------------------------------------------------------------

    /// @inheritdoc IFederations
    function create(CreateParams calldata p) external returns (uint64 federation) {
        if (p.token.code.length == 0) revert BadParameter("token", uint160(p.token));
        if (p.coordinator == address(0)) revert BadParameter("coordinator", 0);
        if (p.specHash == 0) revert BadParameter("specHash", 0);
        if (p.feeBps > MAX_FEE_BPS) revert BadParameter("feeBps", p.feeBps);
        if (p.rule != PROPORTIONAL) revert BadParameter("rule", p.rule);
        if (p.qualityFloor > FULL_QUALITY) revert BadParameter("qualityFloor", p.qualityFloor);
        if (p.challengeWindow > MAX_WINDOW) revert BadParameter("challengeWindow", p.challengeWindow);

        federation = ++federationCount;
        Federation storage f = _federations[federation];
        f.owner = msg.sender;
        f.coordinator = p.coordinator;
        f.token = p.token;
        f.specHash = p.specHash;
        f.qualityFloor = p.qualityFloor;
        f.challengeWindow = p.challengeWindow;
        f.scalarsMax = p.scalarsMax;
        f.feeBps = p.feeBps;
        f.minAdmitted = p.minAdmitted;
        f.rule = p.rule;
        f.beaconless = p.beaconless;
        f.acceptLeak = p.acceptLeak;
        f.state = FederationState.Open;
        f.bond = p.bond;
        emit FederationCreated(federation, msg.sender, p);
    }

    /// @inheritdoc IFederations
    function join(Join calldata consent, uint16 class, bytes calldata signature) external {
        Federation storage f = _open(consent.federation);
        _onlyManager(f);
        if (consent.role > VALIDATOR) revert BadRole(consent.role);
        bool fits = consent.role == MEMBER ? class > 0 && class <= MAX_CLASS : class == 0;
        if (!fits) revert BadClass(consent.role, class);
        Seat storage seat = _seats[consent.federation][consent.role][consent.account];
        if (seat.since != 0) revert AlreadyJoined(consent.federation, consent.account, consent.role);
        _checkSigner(consent.account, consent.structHash(), signature);

        seat.entity = consent.entity;
        seat.class = class;
        seat.since = f.lastRound + 1;
        seat.stake = 1;
        if (consent.role == MEMBER) {
            ++f.members;
            f.classSum += class;
        } else {
            ++f.validators;
        }
        emit Joined(consent.federation, consent.account, consent.role, consent.entity, class, seat.since);
    }

    // ---- money in, bonds -----------------------------------------------------------------------

    /// @inheritdoc IFederations
    function fund(uint64 federation, uint128 amount) external nonReentrant {
        Federation storage f = _open(federation);
        if (amount == 0) revert ZeroAmount();
        f.free += amount;
        emit Funded(federation, msg.sender, amount);
        _pull(f.token, amount);
    }

    /// @inheritdoc IFederations
    function postBond(uint64 federation, uint128 amount) external nonReentrant {
        Federation storage f = _open(federation);
        if (amount == 0) revert ZeroAmount();
        _bonds[federation][msg.sender].amount += amount;
        emit BondPosted(federation, msg.sender, amount);
        _pull(f.token, amount);
    }

    /// @inheritdoc IFederations
    function withdrawBond(uint64 federation) external nonReentrant {
        Federation storage f = _existing(federation);
        Bond storage bond = _bonds[federation][msg.sender];
        uint128 amount = bond.amount;
        if (amount == 0) revert ZeroAmount();
        bool inRound = f.running != 0 && bond.lockedFor == f.running;
        bool inClose = f.state == FederationState.Closing && _plans[federation].proposer == msg.sender;
        if (inRound || inClose) revert BondInUse(msg.sender, f.running);
        bond.amount = 0;
        emit BondWithdrawn(federation, msg.sender, amount);
        IERC20(f.token).safeTransfer(msg.sender, amount);
    }

    // ---- public matrix -------------------------------------------------------------------------

    /// @inheritdoc IFederations
    function drawEpoch(uint64 federation, uint32 epoch) external {
        Federation storage f = _open(federation);
        _onlyManager(f);
        Epoch storage e = _epochs[federation][epoch];
        if (e.drawn) revert EpochAlreadyDrawn(federation, epoch);
        e.drawn = true;
        e.beacon = f.beaconless ? bytes32(0) : blockhash(block.number - 1);
        emit EpochDrawn(federation, epoch, e.beacon);
    }

    /// @inheritdoc IFederations
    function registerMatrix(uint64 federation, uint32 epoch, bytes32 root) external {
        Federation storage f = _open(federation);
        _onlyManager(f);
        Epoch storage e = _epochs[federation][epoch];
        if (!e.drawn) revert EpochNotDrawn(federation, epoch);
        if (e.matrixRoot != 0) revert MatrixAlreadyRegistered(federation, epoch, e.matrixRoot);
        if (root == 0) revert BadParameter("root", 0);
        e.matrixRoot = root;
        emit MatrixRegistered(federation, epoch, root);
    }

    // ---- close ---------------------------------------------------------------------------------

    /// @inheritdoc IFederations
    function close(uint64 federation) external nonReentrant {
        Federation storage f = _closable(federation);
        if (f.carry != 0) revert CarryNeedsPayout(federation, f.carry);
        _close(federation, f, 0, 0);
    }

    /// @inheritdoc IFederations
    function closeProposed(uint64 federation, bytes32 payoutRoot, bytes calldata payoutCid) external {
        Federation storage f = _closable(federation);
        if (f.carry == 0) revert NothingCarried(federation);
        if (payoutRoot == 0) revert BadParameter("payoutRoot", 0);
        _requireBond(federation, f.bond, msg.sender);
        uint64 endsAt = uint64(block.timestamp) + f.challengeWindow;
        f.state = FederationState.Closing;
        _plans[federation] = ClosePlan({payoutRoot: payoutRoot, proposer: msg.sender, endsAt: endsAt});
        emit CloseProposed(federation, msg.sender, payoutRoot, payoutCid, f.carry, endsAt);
    }

    /// @inheritdoc IFederations
    function closeFinalise(uint64 federation) external nonReentrant {
        Federation storage f = _existing(federation);
        if (f.state != FederationState.Closing) revert NotClosing(federation, f.state);
        ClosePlan storage plan = _plans[federation];
        if (block.timestamp < plan.endsAt) revert WindowOpen(plan.endsAt, uint64(block.timestamp));
        uint128 paid = f.carry;
        f.carry = 0;
        _close(federation, f, paid, plan.payoutRoot);
        _credit(federation, f.token, paid, plan.payoutRoot);
    }

    // ---- pots, for Rounds only -----------------------------------------------------------------

    /// @inheritdoc IFederations
    function reserve(uint64 federation, uint64 round, uint128 pot) external onlyRounds {
        Federation storage f = _open(federation);
        if (f.running != 0) revert RoundIsRunning(federation, f.running);
        uint256 available = uint256(f.free) + f.carry;
        if (pot > available) revert PotTooLarge(pot, available);
        uint128 fromCarry = uint128(Math.min(pot, f.carry));
        uint128 fromFree = pot - fromCarry;
        f.carry -= fromCarry;
        f.free -= fromFree;
        f.reservedCarry = fromCarry;
        f.reservedFree = fromFree;
        f.lastRound = round;
        f.running = round;
        emit PotReserved(federation, round, fromFree, fromCarry);
    }

    /// @inheritdoc IFederations
    function release(uint64 federation, uint64 round) external onlyRounds {
        Federation storage f = _running(federation, round);
        (uint128 toFree, uint128 toCarry) = _takeReserve(f);
        f.free += toFree;
        f.carry += toCarry;
        emit PotReleased(federation, round, toFree, toCarry);
    }

    /// @inheritdoc IFederations
    function carryOver(uint64 federation, uint64 round) external onlyRounds {
        Federation storage f = _running(federation, round);
        (uint128 fromFree, uint128 fromCarry) = _takeReserve(f);
        f.carry += fromFree + fromCarry;
        emit PotCarried(federation, round, fromFree + fromCarry);
    }

    /// @inheritdoc IFederations
    function settle(uint64 federation, uint64 round, bytes32 payoutRoot) external onlyRounds nonReentrant {
        Federation storage f = _running(federation, round);
        (uint128 fromFree, uint128 fromCarry) = _takeReserve(f);
        uint128 amount = fromFree + fromCarry;
        emit PotPaid(federation, round, amount, payoutRoot);
        _credit(federation, f.token, amount, payoutRoot);
    }

    /// @inheritdoc IFederations
    function lockBond(uint64 federation, address account, uint64 round) external onlyRounds {
        Federation storage f = _running(federation, round);
        // Without a bond nobody stands in for the coordinator.
        if (f.bond == 0 && account != f.coordinator) revert NotBonded(account, 0, 0);
        _requireBond(federation, f.bond, account);
        Bond storage bond = _bonds[federation][account];
        if (bond.lockedFor == round) return;
        bond.lockedFor = round;
        emit BondLocked(federation, account, round);
    }

    // ---- views ---------------------------------------------------------------------------------

    /// @inheritdoc IFederations
    function federationOf(uint64 federation) external view returns (Federation memory) {
        return _existing(federation);
    }

    /// @inheritdoc IFederations
    function memberCount(uint64 federation) external view returns (uint32) {
        return _existing(federation).members;
    }

    /// @inheritdoc IFederations
    function tokenOf(uint64 federation) external view returns (address) {
        return _existing(federation).token;
    }

    /// @inheritdoc IFederations
    function memberOf(uint64 federation, address account) external view returns (Seat memory) {
        return _seats[federation][MEMBER][account];
    }

    /// @inheritdoc IFederations
    function validatorOf(uint64 federation, address account) external view returns (Seat memory) {
        return _seats[federation][VALIDATOR][account];
    }

    /// @inheritdoc IFederations
    function bondOf(uint64 federation, address account) external view returns (Bond memory) {
        return _bonds[federation][account];
    }

    /// @inheritdoc IFederations
    function epochOf(uint64 federation, uint32 epoch) external view returns (Epoch memory) {
        return _epochs[federation][epoch];
    }

    /// @inheritdoc IFederations
    function closePlanOf(uint64 federation) external view returns (ClosePlan memory) {
        return _plans[federation];
    }

    // ---- pieces --------------------------------------------------------------------------------

    function _existing(uint64 federation) private view returns (Federation storage f) {
        f = _federations[federation];
        if (f.state == FederationState.None) revert NoSuchFederation(federation);
    }

    function _open(uint64 federation) private view returns (Federation storage f) {
        f = _existing(federation);
        if (f.state != FederationState.Open) revert NotOpen(federation, f.state);
    }

    function _closable(uint64 federation) private view returns (Federation storage f) {
        f = _open(federation);
        _onlyManager(f);
        if (f.running != 0) revert RoundIsRunning(federation, f.running);
    }

    function _running(uint64 federation, uint64 round) private view returns (Federation storage f) {
        f = _existing(federation);
        if (round == 0 || f.running != round) revert RoundIsNotRunning(federation, round);
    }

    function _onlyManager(Federation storage f) private view {
        if (msg.sender != f.owner && msg.sender != f.coordinator) revert NotAuthorised(msg.sender);
    }

    function _checkSigner(address expected, bytes32 hash, bytes calldata signature) private view {
        (address signer,,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(hash), signature);
        if (signer == address(0) || signer != expected) revert BadSignature(expected, signer);
    }

    function _requireBond(uint64 federation, uint128 required, address account) private view {
        uint128 held = _bonds[federation][account].amount;
        if (held < required) revert NotBonded(account, held, required);
    }

    /// Ends the running round's hold on the money.
    function _takeReserve(Federation storage f) private returns (uint128 fromFree, uint128 fromCarry) {
        fromFree = f.reservedFree;
        fromCarry = f.reservedCarry;
        f.reservedFree = 0;
        f.reservedCarry = 0;
        f.running = 0;
    }

    function _close(uint64 federation, Federation storage f, uint128 paid, bytes32 payoutRoot) private {
        uint128 refund = f.free;
        f.free = 0;
        f.state = FederationState.Closed;
        emit FederationClosed(federation, refund, paid, payoutRoot);
        if (refund != 0) IERC20(f.token).safeTransfer(f.owner, refund);
    }

    function _credit(uint64 federation, address token, uint128 amount, bytes32 payoutRoot) private {
        IPayouts(payouts).credit(federation, payoutRoot, amount);
        IERC20(token).safeTransfer(payouts, amount);
    }

    /// Takes exactly `amount` from the caller; a token that delivers less is refused.
    function _pull(address token, uint128 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert AmountDiffers(amount, received);
    }
}
