// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Join} from "../Types.sol";

/// Terms of a federation, fixed at its creation.
struct CreateParams {
    address token; // plain ERC-20: a fee on transfer or a rebase is refused or breaks the accounts
    address coordinator; // opens rounds, posts their stages
    bytes32 specHash; // SHA-256 of the spec's canonical bytes
    bytes specCid;
    uint16 feeBps; // validators' part of every pot
    uint8 rule; // 0 proportional; 1 multiplier, refused in version 0: nothing measures its inputs
    uint64 qualityFloor; // 2^32 = all of it
    uint16 minAdmitted; // N_min of a round is never below it
    uint64 challengeWindow; // seconds between a proposal and its finality
    uint128 bond; // what a proposer or stand-in must have posted; 0: nobody but the coordinator may post
    bool beaconless; // epoch beacon 0: the embedded chain
    bool acceptLeak; // rounds may exceed the leak cap
    uint32 scalarsMax; // limit of opened scalars per site
}

enum FederationState {
    None,
    Open,
    Closing,
    Closed
}

/// Everything known of a federation. `free + reservedFree` may go back to the owner, `carry + reservedCarry` never.
struct Federation {
    address owner; // creator and sponsor: what was never admitted returns to it
    address coordinator;
    address token;
    bytes32 specHash;
    uint64 qualityFloor;
    uint64 challengeWindow;
    uint32 scalarsMax;
    uint16 feeBps;
    uint16 minAdmitted;
    uint8 rule;
    bool beaconless;
    bool acceptLeak;
    FederationState state;
    uint128 bond;
    uint32 members;
    uint32 validators;
    uint64 classSum; // W1: sum of the members' classes
    uint128 free;
    uint128 carry;
    uint128 reservedFree;
    uint128 reservedCarry;
    uint64 lastRound;
    uint64 running; // the round that holds the reserve, 0 if none
}

/// A seat in a role. `since` is the first round in which it counts.
struct Seat {
    bytes32 entity;
    uint16 class; // members 1..255, validators 0
    uint64 since; // 0: no seat
    uint128 stake;
}

struct Bond {
    uint128 amount;
    uint64 lockedFor; // the round this account last posted for under its bond
}

struct Epoch {
    bytes32 beacon;
    bytes32 matrixRoot; // 0: not registered
    bool drawn;
}

/// A close that pays the carried pots out, in its challenge window.
struct ClosePlan {
    bytes32 payoutRoot;
    address proposer;
    uint64 endsAt;
}

/// @title Federations: who belongs to a federation, on which terms, and where its money stands.
/// @notice WARNING: the token is the creator's choice. A token that can freeze, tax or re-enter harms its own
/// federation, never another one: balances are kept per federation.
/// @notice WARNING: the coordinator attests size classes, and through them weights; no contract can check them.
/// @dev Money is in one of four places: `free` (of the owner, for rounds to come), reserved (the pot of the running
/// round), `carry` (pots of rounds that reached `admit` and paid nobody: for later rounds, or at the close for those
/// admitted last), or credited (in `Payouts`, for claims). Bonds are counted apart.
/// Powers of the owner: relay joins, register matrices, close. Powers of the coordinator: the same, and what `IRounds`
/// lists. Neither can move money anywhere but through a round, a refund of what was never admitted, or a close.
interface IFederations {
    event FederationCreated(uint64 indexed federation, address indexed owner, CreateParams params);
    event Joined(
        uint64 indexed federation, address indexed account, uint8 role, bytes32 entity, uint16 class, uint64 since
    );
    event Funded(uint64 indexed federation, address indexed from, uint128 amount);
    event BondPosted(uint64 indexed federation, address indexed account, uint128 amount);
    event BondLocked(uint64 indexed federation, address indexed account, uint64 round);
    event BondWithdrawn(uint64 indexed federation, address indexed account, uint128 amount);
    event EpochDrawn(uint64 indexed federation, uint32 indexed epoch, bytes32 beacon);
    event MatrixRegistered(uint64 indexed federation, uint32 indexed epoch, bytes32 root);
    /// The pot of a round: first from the carry, the rest from the free balance.
    event PotReserved(uint64 indexed federation, uint64 indexed round, uint128 fromFree, uint128 fromCarry);
    /// A round ended before `admit`: everything back where it came from.
    event PotReleased(uint64 indexed federation, uint64 indexed round, uint128 toFree, uint128 toCarry);
    /// A round ended after `admit` and paid nobody: all of it is carry from now on.
    event PotCarried(uint64 indexed federation, uint64 indexed round, uint128 amount);
    /// A round is final: the pot has moved to `Payouts`.
    event PotPaid(uint64 indexed federation, uint64 indexed round, uint128 amount, bytes32 payoutRoot);
    event CloseProposed(
        uint64 indexed federation,
        address indexed proposer,
        bytes32 payoutRoot,
        bytes payoutCid,
        uint128 total,
        uint64 endsAt
    );
    event FederationClosed(uint64 indexed federation, uint128 refunded, uint128 paid, bytes32 payoutRoot);

    error NoSuchFederation(uint64 federation);
    error NotOpen(uint64 federation, FederationState state);
    error NotClosing(uint64 federation, FederationState state);
    error NotAuthorised(address caller);
    error NotRounds(address caller);
    error BadParameter(bytes32 field, uint256 given);
    error BadRole(uint8 role);
    error BadClass(uint8 role, uint16 class);
    error AlreadyJoined(uint64 federation, address account, uint8 role);
    error BadSignature(address expected, address recovered);
    error AmountDiffers(uint256 expected, uint256 received);
    error ZeroAmount();
    error NotBonded(address account, uint128 bond, uint128 required);
    error BondInUse(address account, uint64 round);
    error EpochAlreadyDrawn(uint64 federation, uint32 epoch);
    error EpochNotDrawn(uint64 federation, uint32 epoch);
    error MatrixAlreadyRegistered(uint64 federation, uint32 epoch, bytes32 root);
    error RoundIsRunning(uint64 federation, uint64 round);
    error RoundIsNotRunning(uint64 federation, uint64 round);
    error PotTooLarge(uint128 pot, uint256 available);
    error CarryNeedsPayout(uint64 federation, uint128 carry);
    error NothingCarried(uint64 federation);
    error WindowOpen(uint64 endsAt, uint64 now_);

    /// @notice Creates a federation owned by the caller. Numbers count from 1.
    function create(CreateParams calldata params) external returns (uint64 federation);

    /// @notice Seats an account that signed `Join` (EIP-712, domain of this contract). Only coordinator or owner.
    /// @param class attested size of a member (1..255); 0 for a validator.
    function join(Join calldata consent, uint16 class, bytes calldata signature) external;

    /// @notice Adds to the free balance. Anyone may; what is left over returns to the owner, not to the giver.
    function fund(uint64 federation, uint128 amount) external;

    /// @notice Adds to the caller's bond, in the federation's token.
    function postBond(uint64 federation, uint128 amount) external;

    /// @notice Returns the caller's whole bond, unless it posted for the round that is running or proposed the close.
    function withdrawBond(uint64 federation) external;

    /// @notice Fixes the epoch's beacon: the parent block's hash, or 0 in a beaconless federation. Once per epoch.
    function drawEpoch(uint64 federation, uint32 epoch) external;

    /// @notice Registers the root of the epoch's public matrix. Once per epoch; every site recomputes it.
    function registerMatrix(uint64 federation, uint32 epoch, bytes32 root) external;

    /// @notice Ends a federation in which nothing is carried; the free balance returns to the owner.
    function close(uint64 federation) external;

    /// @notice Ends a federation with carried pots: proposes the cumulative payout root that shares the carry among
    /// the admitted of the last round that reached `admit`, by class. Needs the bond. From here no round opens.
    function closeProposed(uint64 federation, bytes32 payoutRoot, bytes calldata payoutCid) external;

    /// @notice After the window: credits the carry to the proposed root, returns the free balance to the owner.
    function closeFinalise(uint64 federation) external;

    /// @notice Sets a round's pot aside. Only `Rounds`.
    function reserve(uint64 federation, uint64 round, uint128 pot) external;

    /// @notice Ends a round that never reached `admit`. Only `Rounds`.
    function release(uint64 federation, uint64 round) external;

    /// @notice Ends a round that reached `admit` and pays nobody. Only `Rounds`.
    function carryOver(uint64 federation, uint64 round) external;

    /// @notice Ends a round that pays: moves its pot to `Payouts` under the new cumulative root. Only `Rounds`.
    function settle(uint64 federation, uint64 round, bytes32 payoutRoot) external;

    /// @notice Ties an account's bond to a round, if it is high enough. Only `Rounds`.
    function lockBond(uint64 federation, address account, uint64 round) external;

    function federationOf(uint64 federation) external view returns (Federation memory);
    function federationCount() external view returns (uint64);
    function memberCount(uint64 federation) external view returns (uint32);
    function tokenOf(uint64 federation) external view returns (address);
    function memberOf(uint64 federation, address account) external view returns (Seat memory);
    function validatorOf(uint64 federation, address account) external view returns (Seat memory);
    function bondOf(uint64 federation, address account) external view returns (Bond memory);
    function epochOf(uint64 federation, uint32 epoch) external view returns (Epoch memory);
    function closePlanOf(uint64 federation) external view returns (ClosePlan memory);
    function rounds() external view returns (address);
    function payouts() external view returns (address);
}
