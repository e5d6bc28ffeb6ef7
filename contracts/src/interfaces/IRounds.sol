// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Contribution, Descriptor, DirectionPromise, OpenCids, Ready, Reveal} from "../Types.sol";

/// Proposed: the settlement waits for its window. Final, Void and Expired are ends.
enum RoundStatus {
    None,
    Running,
    Proposed,
    Final,
    Void,
    Expired
}

/// State of one round: the last value of its transcript chain and what the next step is checked against.
struct Round {
    bytes32 ctx;
    bytes32 transcript; // H_stage
    address coordinator;
    uint64 enteredAt; // block time of the last stage posted
    uint8 stage; // the last stage posted
    RoundStatus status;
    uint16 threshold; // t
    uint128 pot;
    uint16 minAdmitted; // N_min
    uint16 validators; // V
    uint16 promised; // promises received
    uint16 admitted; // size of U
    uint32 locked; // size of the lock list
    uint32 direct; // manifests committed without the coordinator
    uint64 challengeWindow;
    bool pays; // the proposal's total is the pot; otherwise 0
    bytes32 modelRoot;
    bytes32 payoutRoot;
    uint64[9] deadlines;
}

/// @title Rounds: the state machine and the transcript chain of every round.
/// @notice WARNING: version 0 has no dispute: a bonded proposer's settlement stands once its window is over, right or
/// wrong. What the window gives is time to see it.
/// @notice WARNING: roots are not recomputed here. That a lock list is complete, a sum right or a payout fair is shown
/// by the artefacts under the CIDs of the events, to whoever recomputes them.
/// @dev `H_s = keccak256(abi.encode(H_{s-1}, uint8 s, root_s, bytes32 0))`, H_{-1} = 0, stage 0's root is ctx. Stages
/// come strictly in order: 0 ctx, 1 promise, 2 lock, 3 direction, 4 audit, 5 score, 6 admit, 7 sum, 8 open, 9 model,
/// 10 settle, 11 payout; 8 with 9 and 10 with 11 in one transaction. Who may post: up to and including the lock only
/// the coordinator; later also, once half the time between the previous stage and the deadline is over, any account
/// with the federation's bond (nobody, if the bond is 0). After its deadline a stage cannot be posted, only expired.
/// One round of a federation runs at a time, so the parent of a round that is open has always ended.
/// Signatures are EIP-712 in this contract's domain (name Almoner, version 0), by plain keys, relayed by anyone.
interface IRounds {
    event ReadyPosted(uint64 indexed federation, uint64 indexed round, address indexed member, bytes32 keyHash);
    /// Stage 0.
    event RoundOpened(
        uint64 indexed federation, uint64 indexed round, bytes32 ctx, Descriptor descriptor, OpenCids cids
    );
    event Promised(uint64 indexed federation, uint64 indexed round, address indexed validator, bytes32 commitment);
    event CommittedDirect(
        uint64 indexed federation,
        uint64 indexed round,
        address indexed participant,
        Contribution manifest,
        bytes signature
    );
    event Locked(uint64 indexed federation, uint64 indexed round, uint32 count);
    event Revealed(
        uint64 indexed federation, uint64 indexed round, address indexed validator, bytes32 directionRoot, bytes32 salt
    );
    /// Stages 1 to 11.
    event StagePosted(
        uint64 indexed federation, uint64 indexed round, uint8 stage, bytes32 root, bytes32 transcript, bytes cid
    );
    event Admitted(uint64 indexed federation, uint64 indexed round, uint16 count, address[] signers);
    event Proposed(
        uint64 indexed federation, uint64 indexed round, address indexed proposer, uint128 total, uint64 endsAt
    );
    event RoundFinal(uint64 indexed federation, uint64 indexed round, bytes32 modelRoot, uint128 paid);
    /// `carried`: the pot stays for later rounds; otherwise it is back where it came from.
    event RoundVoid(uint64 indexed federation, uint64 indexed round, uint8 stage, bool carried);
    event RoundExpired(uint64 indexed federation, uint64 indexed round, uint8 stage, bool carried);

    error WrongWiring(address expected);
    error NotCoordinator(address caller, address coordinator);
    error FederationNotOpen(uint64 federation);
    error LengthMismatch(uint256 items, uint256 signatures);
    error BadSignature(address expected, address recovered);
    error NotMember(uint64 federation, address account);
    error NotValidator(uint64 federation, address account);
    error NotReady(uint64 federation, uint64 round, address member);
    error ReadyTooLate(uint64 federation, uint64 round, uint64 lastRound);
    error ReadyDiffers(uint64 federation, uint64 round, address member, bytes32 keyHash);
    error CommitteeFull(uint64 federation, uint64 round, uint16 limit);
    error NotDrawn(uint64 federation, uint64 round, address member);
    error NotNextRound(uint64 given, uint64 next);
    error RoundStillRuns(uint64 federation, uint64 round, RoundStatus status);
    /// A descriptor field that must equal what the federation, the committee or the parent says.
    error FieldDiffers(bytes32 field, uint256 expected, uint256 given);
    /// A descriptor field outside its bounds.
    error FieldOutOfRange(bytes32 field, uint256 given, uint256 bound);
    /// V above the leak cap without `acceptLeak`.
    error LeakCapExceeded(uint16 validators, uint256 cap);
    /// Scalars or sums could wrap around the modulus.
    error RangeExceeded(bytes32 rule, uint256 given, uint256 bound);
    error MatrixNotRegistered(uint64 federation, uint32 epoch);
    error DeadlineOrder(uint256 index, uint64 previous, uint64 given);
    error UnknownContext(bytes32 ctx);
    error NotRunning(uint64 federation, uint64 round, RoundStatus status);
    error NotNext(uint8 given, uint8 next);
    error NotAtStage(uint8 required, uint8 stage);
    error DeadlinePassed(uint8 stage, uint64 deadline, uint64 now_);
    error DeadlineNotPassed(uint8 stage, uint64 deadline, uint64 now_);
    error NotYetYours(address caller, uint8 stage, uint64 from);
    error TooManyPromises(uint16 validators);
    error PromiseDiffers(bytes32 ctx, address validator, bytes32 commitment);
    error NoPromise(bytes32 ctx, address validator);
    error RevealDiffers(bytes32 ctx, address validator, bytes32 commitment, bytes32 computed);
    error CommitDiffers(bytes32 ctx, address participant);
    error LockTooShort(uint32 given, uint32 direct);
    error BadAdmittedCount(uint16 given, uint16 least, uint32 most);
    error SignersNotAscending(address previous, address given);
    error TooFewSigners(uint256 given, uint16 threshold);
    error BadTotal(uint128 given, uint128 pot);
    error AlreadyOpened(uint64 federation, uint64 round);
    error WindowOpen(uint64 endsAt, uint64 now_);

    /// @notice Members offer to serve on the committee of a coming round. The first 64 are the committee; in a
    /// federation of more members, the first 64 of those that `mayServe`. Saying the same again changes nothing; another
    /// key for the same round is refused.
    function ready(Ready[] calldata offers, bytes[] calldata signatures) external;

    /// @notice Opens the next round. Only the coordinator. Refuses a descriptor that breaks the federation's terms, the
    /// committee arithmetic (f, t, N_min), the leak cap, the range rules, or the chain of models.
    function open(Descriptor calldata descriptor, OpenCids calldata cids) external;

    /// @notice Validators commit to their directions, until stage 1 is posted. (`promise` is a reserved word.)
    function promiseDirections(DirectionPromise[] calldata promises, bytes[] calldata signatures) external;

    function postPromises(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external;

    /// @notice A participant that the coordinator refused commits its manifest itself, between promise and lock.
    /// @dev Proves the refusal; does not force inclusion beyond the lock list's length. The bytes must be retrievable.
    function commitDirect(Contribution calldata manifest, bytes calldata signature) external;

    /// @notice Closes the list of uploads; `count` is its length.
    function lock(uint64 federation, uint64 round, bytes32 root, uint32 count, bytes calldata cid) external;

    /// @notice Validators open their promises, between lock and stage 3. Refuses what was not promised.
    function reveal(Reveal[] calldata reveals, bytes[] calldata signatures) external;

    function postDirections(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external;
    function postAudit(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external;
    function postScores(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external;

    /// @notice The only set ever summed. Needs StageAck(ctx, 6, H_6) of at least t ready members, signers ascending.
    /// From here on the pot never returns to the sponsor.
    function admit(
        uint64 federation,
        uint64 round,
        bytes32 root,
        bytes calldata cid,
        uint16 admitted,
        address[] calldata signers,
        bytes[] calldata signatures
    ) external;

    function postSum(uint64 federation, uint64 round, bytes32 root, bytes calldata cid) external;

    /// @notice Posts the opening and the next model: stages 8 and 9.
    function openSum(
        uint64 federation,
        uint64 round,
        bytes32 openRoot,
        bytes calldata openCid,
        bytes32 modelRoot,
        bytes calldata modelCid
    ) external;

    /// @notice Proposes the settlement, stages 10 and 11, under the caller's bond, and starts the challenge window.
    /// @param total the pot, or 0 for a round that pays nobody: its pot is carried and `payoutRoot` is not used.
    function propose(
        uint64 federation,
        uint64 round,
        bytes32 settleRoot,
        bytes calldata settleCid,
        bytes32 payoutRoot,
        bytes calldata payoutCid,
        uint128 total
    ) external;

    /// @notice Gives a round up. Only the coordinator, and not once its sum is opened. Before `admit` the pot is
    /// released, after it the pot is carried.
    function voidRound(uint64 federation, uint64 round) external;

    /// @notice Ends a round whose next stage is past its deadline. Anyone. The pot goes as with `voidRound`. A model
    /// already posted stays: its round is never redone.
    function expire(uint64 federation, uint64 round) external;

    /// @notice After the window: the model is the federation's next base, the pot is credited (or carried). Anyone.
    function finalise(uint64 federation, uint64 round) external;

    function roundOf(uint64 federation, uint64 round) external view returns (Round memory);
    function lastRound(uint64 federation) external view returns (uint64);

    /// @notice The round whose model the next one starts from, 0 before the first.
    function headOf(uint64 federation) external view returns (bytes32 ctx, bytes32 modelRoot);

    /// @notice Whether a member may offer to serve in a round: everybody in a federation of at most 64, else whom the
    /// epoch's beacon draws, 48 on average.
    /// @notice WARNING: a beacon is drawn once for a hundred rounds, and with it all their samples are known.
    function mayServe(uint64 federation, uint64 round, address member) external view returns (bool);

    /// @notice The key hash a member is ready with, 0 if it is not.
    function readyKey(uint64 federation, uint64 round, address member) external view returns (bytes32);
    function readyCount(uint64 federation, uint64 round) external view returns (uint16);
    function promiseOf(bytes32 ctx, address validator) external view returns (bytes32);
    function revealOf(bytes32 ctx, address validator) external view returns (bytes32 directionRoot);
    function directOf(bytes32 ctx, address participant) external view returns (bytes32 manifestHash);
    function roundByContext(bytes32 ctx) external view returns (uint64 federation, uint64 round);
}
