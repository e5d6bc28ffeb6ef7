// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Contribution, Descriptor, DirectionPromise, Join, OpenCids, Ready, Reveal, StageAck} from "../../src/Types.sol";
import {CreateParams, IFederations} from "../../src/interfaces/IFederations.sol";
import {Federations} from "../../src/Federations.sol";
import {Payouts} from "../../src/Payouts.sol";
import {Rounds} from "../../src/Rounds.sol";
import {TestToken} from "../../src/TestToken.sol";
import {vm} from "./Vm.sol";

/// The contracts, one federation with four members and three validators, and everybody's keys.
abstract contract Fixture {
    uint256 internal constant MEMBERS = 4;
    uint256 internal constant VALIDATORS = 3;
    uint128 internal constant POT = 1000e18;
    uint128 internal constant BOND = 50e18;
    uint64 internal constant WINDOW = 1 hours;
    bytes internal constant CID = hex"01551220aa";

    address internal owner = address(0xA11CE);
    address internal coordinator = address(0xC0);
    address internal stranger = address(0x5714);
    address internal standIn = address(0xB0DED);

    TestToken internal token;
    Federations internal federations;
    Rounds internal rounds;
    Payouts internal payouts;
    uint64 internal fed;

    uint256[] internal memberKeys;
    uint256[] internal validatorKeys;
    uint16[] internal classes;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        _deploy();
        for (uint256 i = 0; i < MEMBERS; ++i) {
            memberKeys.push(0x1000 + i);
        }
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            validatorKeys.push(0x2000 + i);
        }
        classes = [127, 96, 64, 32];
        fed = _create(_params());
        _joinAll(fed);
        _epoch(fed, 0);
        _give(owner, 100_000e18);
        _give(standIn, 1000e18);
        _give(coordinator, 1000e18);
        _fund(fed, 10_000e18);
        vm.prank(coordinator);
        federations.postBond(fed, BOND);
        vm.prank(standIn);
        federations.postBond(fed, BOND);
    }

    function _deploy() private {
        token = new TestToken();
        uint64 nonce = vm.getNonce(address(this));
        address roundsAt = vm.computeCreateAddress(address(this), nonce + 1);
        address payoutsAt = vm.computeCreateAddress(address(this), nonce + 2);
        federations = new Federations(roundsAt, payoutsAt);
        rounds = new Rounds(IFederations(address(federations)));
        payouts = new Payouts(IFederations(address(federations)));
    }

    function _params() internal view returns (CreateParams memory p) {
        p.token = address(token);
        p.coordinator = coordinator;
        p.specHash = keccak256("spec");
        p.specCid = CID;
        p.feeBps = 1000;
        p.minAdmitted = 3;
        p.challengeWindow = WINDOW;
        p.bond = BOND;
        p.beaconless = true;
        p.scalarsMax = 513;
    }

    function _create(CreateParams memory p) internal returns (uint64) {
        vm.prank(owner);
        return federations.create(p);
    }

    function _joinAll(uint64 federation) internal {
        for (uint256 i = 0; i < MEMBERS; ++i) {
            _join(federation, memberKeys[i], 0, classes[i]);
        }
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            _join(federation, validatorKeys[i], 1, 0);
        }
    }

    function _join(uint64 federation, uint256 key, uint8 role, uint16 class) internal {
        (Join memory consent, bytes memory signature) = _consent(federation, key, role);
        vm.prank(coordinator);
        federations.join(consent, class, signature);
    }

    function _consent(uint64 federation, uint256 key, uint8 role)
        internal
        view
        returns (Join memory consent, bytes memory signature)
    {
        consent = Join({federation: federation, account: vm.addr(key), entity: bytes32(key), role: role});
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Join(uint64 federation,address account,bytes32 entity,uint8 role)"),
                consent.federation,
                consent.account,
                consent.entity,
                consent.role
            )
        );
        signature = _sign(key, address(federations), hash);
    }

    function _epoch(uint64 federation, uint32 epoch) internal {
        vm.prank(coordinator);
        federations.drawEpoch(federation, epoch);
        vm.prank(coordinator);
        federations.registerMatrix(federation, epoch, _matrix(epoch));
    }

    function _matrix(uint32 epoch) internal pure returns (bytes32) {
        return keccak256(abi.encode("matrix", epoch));
    }

    function _give(address account, uint256 amount) internal {
        token.transfer(account, amount);
        vm.prank(account);
        token.approve(address(federations), type(uint256).max);
    }

    function _fund(uint64 federation, uint128 amount) internal {
        vm.prank(owner);
        federations.fund(federation, amount);
    }

    // ---- signatures, hashed here a second time -------------------------------------------------

    function _sign(uint256 key, address verifier, bytes32 hash) internal view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Almoner"),
                keccak256("0"),
                block.chainid,
                verifier
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, hash)));
        return abi.encodePacked(r, s, v);
    }

    function _signReady(uint256 key, Ready memory x) internal view returns (bytes memory) {
        bytes32 t = keccak256("Ready(uint64 federation,uint64 round,address member,bytes32 keyHash)");
        return _sign(key, address(rounds), keccak256(abi.encode(t, x)));
    }

    function _signPromise(uint256 key, DirectionPromise memory x) internal view returns (bytes memory) {
        bytes32 t = keccak256("DirectionPromise(bytes32 ctx,address validator,bytes32 commitment)");
        return _sign(key, address(rounds), keccak256(abi.encode(t, x)));
    }

    function _signReveal(uint256 key, Reveal memory x) internal view returns (bytes memory) {
        bytes32 t = keccak256("Reveal(bytes32 ctx,address validator,bytes32 directionRoot,bytes32 salt)");
        return _sign(key, address(rounds), keccak256(abi.encode(t, x)));
    }

    function _signAck(uint256 key, StageAck memory x) internal view returns (bytes memory) {
        bytes32 t = keccak256("StageAck(bytes32 ctx,uint8 stage,bytes32 transcript)");
        return _sign(key, address(rounds), keccak256(abi.encode(t, x)));
    }

    function _signContribution(uint256 key, Contribution memory x) internal view returns (bytes memory) {
        bytes32 t = keccak256(
            "Contribution(bytes32 ctx,address participant,uint32 blocks,bytes32 ciphertextRoot,bytes32 checkRoot,bytes32 shareRoot,bytes ciphertextCid,bytes checkCid,bytes sharesCid,uint8 normClass)"
        );
        bytes memory head = abi.encode(t, x.ctx, x.participant, x.blocks, x.ciphertextRoot, x.checkRoot, x.shareRoot);
        bytes memory tail =
            abi.encode(keccak256(x.ciphertextCid), keccak256(x.checkCid), keccak256(x.sharesCid), x.normClass);
        return _sign(key, address(rounds), keccak256(bytes.concat(head, tail)));
    }
}
