// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IFederations} from "../src/interfaces/IFederations.sol";
import {IPayouts} from "../src/interfaces/IPayouts.sol";
import {Payouts} from "../src/Payouts.sol";
import {Driver} from "./utils/Driver.sol";
import {Merkle} from "./utils/Merkle.sol";
import {vm} from "./utils/Vm.sol";

contract PayoutsTest is Driver {
    address[] internal accounts;
    uint256[] internal cumulatives;
    bytes32[] internal tree;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 5; ++i) {
            accounts.push(address(uint160(0xE000 + i)));
            cumulatives.push(POT / 5);
        }
        _finalRound();
    }

    function _finalRound() internal {
        tree = Merkle.tree(accounts, cumulatives);
        nextPayoutRoot = tree[0];
        _driveTo(PAYOUT);
        _finalise();
    }

    function _proof(uint256 i) internal view returns (bytes32[] memory) {
        return Merkle.proof(tree, Merkle.leaf(accounts[i], cumulatives[i]));
    }

    function test_constructor_whenWiredElsewhere_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IPayouts.WrongWiring.selector, address(payouts)));
        new Payouts(IFederations(address(federations)));
    }

    function test_credit_whenCallerIsNotFederations_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFederations.selector, address(this)));
        payouts.credit(fed, tree[0], 1);
    }

    function test_credit_whenRoundIsFinal_replacesRootAndRaisesCredit() public view {
        vm.assertEq(payouts.rootOf(fed), tree[0]);
        vm.assertEq(payouts.creditedOf(fed), POT);
        vm.assertEq(token.balanceOf(address(payouts)), POT);
    }

    function test_claim_paysTheAccountWhoeverCalls() public {
        vm.expectEmit();
        emit IPayouts.Claimed(fed, accounts[2], POT / 5, POT / 5);
        vm.prank(stranger);
        payouts.claim(fed, accounts[2], cumulatives[2], _proof(2));
        vm.assertEq(token.balanceOf(accounts[2]), POT / 5);
        vm.assertEq(token.balanceOf(stranger), 0);
        vm.assertEq(payouts.claimedOf(fed), POT / 5);
    }

    function test_claim_paysOnlyTheGrowth() public {
        payouts.claim(fed, accounts[0], cumulatives[0], _proof(0));
        cumulatives[0] += POT;
        _finalRound();
        uint256 paid = payouts.claim(fed, accounts[0], cumulatives[0], _proof(0));
        vm.assertEq(paid, POT);
        vm.assertEq(token.balanceOf(accounts[0]), POT + POT / 5);
        // A round skipped is paid with the next claim.
        vm.assertEq(payouts.claim(fed, accounts[1], cumulatives[1], _proof(1)), POT / 5);
    }

    function test_claim_whenNothingIsLeft_reverts() public {
        payouts.claim(fed, accounts[0], cumulatives[0], _proof(0));
        bytes32[] memory proof = _proof(0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NothingToClaim.selector, fed, accounts[0], cumulatives[0]));
        payouts.claim(fed, accounts[0], cumulatives[0], proof);
    }

    function testFuzz_claim_whenLeafDiffers_reverts(address account, uint256 cumulative) public {
        vm.assume(account != accounts[0] || cumulative != cumulatives[0]);
        bytes32[] memory proof = _proof(0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.BadProof.selector, fed, account, cumulative));
        payouts.claim(fed, account, cumulative, proof);
    }

    function test_claim_whenInnerNodePosesAsLeaf_reverts() public {
        // The last pair of nodes, read as (account, cumulative): its hash is in the tree, but only hashed once.
        (bytes32 a, bytes32 b) = (tree[7], tree[8]);
        address account = address(uint160(uint256(a)));
        bytes32[] memory proof = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.BadProof.selector, fed, account, uint256(b)));
        payouts.claim(fed, account, uint256(b), proof);
    }

    function test_claim_whenTreePromisesTooMuch_reverts() public {
        uint64 honest = fed;
        fed = _create(_params());
        _joinAll(fed);
        _epoch(fed, 0);
        _fund(fed, POT);
        vm.prank(coordinator);
        federations.postBond(fed, BOND);
        cumulatives[0] = POT;
        cumulatives[1] = POT;
        _finalRound();
        payouts.claim(fed, accounts[0], POT, _proof(0));
        bytes32[] memory proof = _proof(1);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.CreditExceeded.selector, fed, POT, 0));
        payouts.claim(fed, accounts[1], POT, proof);
        vm.assertEq(token.balanceOf(address(payouts)), payouts.creditedOf(honest));
    }

    function test_claimBatch_whenLengthsDiffer_reverts() public {
        bytes32[][] memory proofs = new bytes32[][](4);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.LengthMismatch.selector, 5, 5, 4));
        payouts.claimBatch(fed, accounts, cumulatives, proofs);
    }

    function test_claimBatch_passesOverThePaid() public {
        payouts.claim(fed, accounts[3], cumulatives[3], _proof(3));
        uint256 paid = payouts.claimBatch(fed, accounts, cumulatives, _proofs());
        vm.assertEq(paid, POT / 5 * 4);
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertEq(token.balanceOf(accounts[i]), POT / 5);
        }
        vm.assertEq(token.balanceOf(address(payouts)), 0);
        vm.assertEq(payouts.claimBatch(fed, accounts, cumulatives, _proofs()), 0);
    }

    function test_claimBatch_whenOneProofIsWrong_reverts() public {
        bytes32[][] memory proofs = _proofs();
        proofs[4] = proofs[3];
        vm.expectPartialRevert(IPayouts.BadProof.selector);
        payouts.claimBatch(fed, accounts, cumulatives, proofs);
    }

    function _proofs() internal view returns (bytes32[][] memory proofs) {
        proofs = new bytes32[][](5);
        for (uint256 i = 0; i < 5; ++i) {
            proofs[i] = _proof(i);
        }
    }
}
