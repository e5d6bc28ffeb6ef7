// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {Join} from "../src/Types.sol";
import {CreateParams, Federation, FederationState, IFederations} from "../src/interfaces/IFederations.sol";
import {Driver} from "./utils/Driver.sol";
import {vm} from "./utils/Vm.sol";

/// Keeps one part in a hundred of every transfer.
contract TaxedToken is ERC20 {
    constructor() ERC20("taxed", "TAX") {
        _mint(msg.sender, 1e24);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0), value / 100);
    }
}

contract FederationsTest is Driver {
    function _expectBad(CreateParams memory p, bytes32 field, uint256 given) internal {
        vm.expectRevert(abi.encodeWithSelector(IFederations.BadParameter.selector, field, given));
        federations.create(p);
    }

    function test_create_whenOutOfBounds_reverts() public {
        CreateParams memory p = _params();
        p.token = stranger;
        _expectBad(p, "token", uint160(stranger));
        p = _params();
        p.coordinator = address(0);
        _expectBad(p, "coordinator", 0);
        p = _params();
        p.specHash = 0;
        _expectBad(p, "specHash", 0);
        p = _params();
        p.feeBps = 10_001;
        _expectBad(p, "feeBps", 10_001);
        p = _params();
        p.rule = 1;
        _expectBad(p, "rule", 1);
        p = _params();
        p.qualityFloor = (1 << 32) + 1;
        _expectBad(p, "qualityFloor", (1 << 32) + 1);
        p = _params();
        p.challengeWindow = 30 days + 1;
        _expectBad(p, "challengeWindow", 30 days + 1);
    }

    function test_create_numbersAndEmits() public {
        vm.expectEmit();
        emit IFederations.FederationCreated(fed + 1, owner, _params());
        vm.assertEq(_create(_params()), fed + 1);
        Federation memory f = federations.federationOf(fed + 1);
        vm.assertEq(f.owner, owner);
        vm.assertEq(f.members, 0);
        vm.assertTrue(f.state == FederationState.Open);
    }

    function test_unknownFederation_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IFederations.NoSuchFederation.selector, 99));
        federations.federationOf(99);
    }

    function test_join_whenCallerHasNoPower_reverts() public {
        (Join memory consent, bytes memory signature) = _consent(fed, 0x77, 0);
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotAuthorised.selector, stranger));
        vm.prank(stranger);
        federations.join(consent, 1, signature);
    }

    function test_join_whenRoleOrClassDoesNotFit_reverts() public {
        _expectClass(0, 0);
        _expectClass(0, 256);
        _expectClass(1, 1);
        (Join memory consent, bytes memory signature) = _consent(fed, 0x77, 2);
        vm.expectRevert(abi.encodeWithSelector(IFederations.BadRole.selector, 2));
        vm.prank(owner);
        federations.join(consent, 1, signature);
    }

    function _expectClass(uint8 role, uint16 class) internal {
        (Join memory consent, bytes memory signature) = _consent(fed, 0x77, role);
        vm.expectRevert(abi.encodeWithSelector(IFederations.BadClass.selector, role, class));
        vm.prank(owner);
        federations.join(consent, class, signature);
    }

    function test_join_twice_reverts() public {
        (Join memory consent, bytes memory signature) = _consent(fed, memberKeys[0], 0);
        vm.expectRevert(abi.encodeWithSelector(IFederations.AlreadyJoined.selector, fed, consent.account, 0));
        vm.prank(owner);
        federations.join(consent, 1, signature);
    }

    function test_join_whenSignatureIsWrong_reverts() public {
        (Join memory consent,) = _consent(fed, 0x77, 0);
        (, bytes memory another) = _consent(fed, 0x78, 0);
        (, bytes memory elsewhere) = _consent(fed + 1, 0x77, 0);
        bytes[4] memory wrong = [another, elsewhere, new bytes(65), new bytes(64)];
        for (uint256 i = 0; i < wrong.length; ++i) {
            vm.expectPartialRevert(IFederations.BadSignature.selector);
            vm.prank(owner);
            federations.join(consent, 1, wrong[i]);
        }
    }

    function test_join_whenSignatureIsMalleated_reverts() public {
        (Join memory consent, bytes memory signature) = _consent(fed, 0x77, 0);
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        uint8 v = uint8(signature[64]) == 27 ? 28 : 27;
        vm.expectPartialRevert(IFederations.BadSignature.selector);
        vm.prank(owner);
        federations.join(consent, 1, abi.encodePacked(r, n - uint256(s), v));
    }

    function test_join_countsMembersAndClasses() public {
        Federation memory f = federations.federationOf(fed);
        vm.assertEq(f.members, MEMBERS);
        vm.assertEq(f.validators, VALIDATORS);
        vm.assertEq(f.classSum, 127 + 96 + 64 + 32);
        vm.assertEq(federations.memberOf(fed, vm.addr(memberKeys[0])).since, 1);
        vm.assertEq(federations.validatorOf(fed, vm.addr(validatorKeys[0])).stake, 1);
        _openRound();
        _join(fed, 0x77, 0, 255);
        vm.assertEq(federations.memberOf(fed, vm.addr(0x77)).since, 2);
    }

    function test_fund_whenZero_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IFederations.ZeroAmount.selector));
        federations.fund(fed, 0);
    }

    function test_fund_whenTokenDeliversLess_reverts() public {
        CreateParams memory p = _params();
        TaxedToken taxed = new TaxedToken();
        p.token = address(taxed);
        uint64 id = _create(p);
        taxed.approve(address(federations), 1000);
        vm.expectRevert(abi.encodeWithSelector(IFederations.AmountDiffers.selector, 1000, 990));
        federations.fund(id, 1000);
    }

    function testFuzz_fund_isFree(uint96 amount) public {
        vm.assume(amount != 0 && amount < 1e27);
        token.approve(address(federations), amount);
        uint128 before = federations.federationOf(fed).free;
        if (amount > token.balanceOf(address(this))) return;
        federations.fund(fed, amount);
        vm.assertEq(federations.federationOf(fed).free, before + amount);
    }

    function test_withdrawBond_whileInUse_reverts() public {
        _driveTo(PAYOUT);
        vm.expectRevert(abi.encodeWithSelector(IFederations.BondInUse.selector, coordinator, 1));
        vm.prank(coordinator);
        federations.withdrawBond(fed);
        _finalise();
        vm.prank(coordinator);
        federations.withdrawBond(fed);
        vm.assertEq(token.balanceOf(coordinator), 1000e18);
    }

    function test_withdrawBond_returnsAll() public {
        _driveTo(PAYOUT);
        vm.prank(standIn);
        federations.withdrawBond(fed);
        vm.assertEq(token.balanceOf(standIn), 1000e18);
        vm.expectRevert(abi.encodeWithSelector(IFederations.ZeroAmount.selector));
        vm.prank(standIn);
        federations.withdrawBond(fed);
    }

    function test_drawEpoch_whenBeaconless_isZero() public view {
        vm.assertEq(federations.epochOf(fed, 0).beacon, bytes32(0));
        vm.assertTrue(federations.epochOf(fed, 0).drawn);
    }

    function test_drawEpoch_isTheParentHash() public {
        CreateParams memory p = _params();
        p.beaconless = false;
        uint64 id = _create(p);
        vm.roll(1000);
        vm.setBlockhash(999, keccak256("parent"));
        vm.expectEmit();
        emit IFederations.EpochDrawn(id, 7, keccak256("parent"));
        vm.prank(coordinator);
        federations.drawEpoch(id, 7);
    }

    function test_epoch_whenDoneBeforeOrOutOfOrder_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IFederations.EpochAlreadyDrawn.selector, fed, 0));
        vm.prank(coordinator);
        federations.drawEpoch(fed, 0);
        vm.expectRevert(abi.encodeWithSelector(IFederations.MatrixAlreadyRegistered.selector, fed, 0, _matrix(0)));
        vm.prank(coordinator);
        federations.registerMatrix(fed, 0, _matrix(1));
        vm.expectRevert(abi.encodeWithSelector(IFederations.EpochNotDrawn.selector, fed, 1));
        vm.prank(coordinator);
        federations.registerMatrix(fed, 1, _matrix(1));
        vm.expectRevert(abi.encodeWithSelector(IFederations.NotAuthorised.selector, stranger));
        vm.prank(stranger);
        federations.drawEpoch(fed, 1);
    }

    function test_pots_whenCallerIsNotRounds_reverts() public {
        bytes memory refusal = abi.encodeWithSelector(IFederations.NotRounds.selector, address(this));
        vm.expectRevert(refusal);
        federations.reserve(fed, 1, 1);
        vm.expectRevert(refusal);
        federations.release(fed, 1);
        vm.expectRevert(refusal);
        federations.carryOver(fed, 1);
        vm.expectRevert(refusal);
        federations.settle(fed, 1, bytes32(0));
        vm.expectRevert(refusal);
        federations.lockBond(fed, coordinator, 1);
    }
}
