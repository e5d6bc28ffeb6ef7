// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Federation, FederationState} from "../../src/interfaces/IFederations.sol";
import {RoundStatus} from "../../src/interfaces/IRounds.sol";
import {Federations} from "../../src/Federations.sol";
import {Payouts} from "../../src/Payouts.sol";
import {Rounds} from "../../src/Rounds.sol";
import {TestToken} from "../../src/TestToken.sol";
import {vm} from "../utils/Vm.sol";
import {Handler} from "./Handler.sol";

struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}

/// The numbered invariants of README.md.
contract InvariantsTest {
    Handler internal handler;
    Federations internal federations;
    Rounds internal rounds;
    Payouts internal payouts;
    TestToken internal token;

    function setUp() external {
        handler = new Handler();
        handler.setUp();
        (address f, address r, address p, address t) = handler.parts();
        (federations, rounds, payouts, token) = (Federations(f), Rounds(r), Payouts(p), TestToken(t));
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// Steps are most of what happens: a round has nine of them.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory s = new bytes4[](16);
        s[0] = Handler.fund.selector;
        s[1] = Handler.open.selector;
        for (uint256 i = 2; i < 7; ++i) {
            s[i] = Handler.step.selector;
        }
        s[7] = Handler.voidRound.selector;
        s[8] = Handler.expire.selector;
        s[9] = Handler.finalise.selector;
        s[10] = Handler.claim.selector;
        s[11] = Handler.withdrawBond.selector;
        s[12] = Handler.postBond.selector;
        s[13] = Handler.close.selector;
        s[14] = Handler.closeFinalise.selector;
        s[15] = Handler.forbidden.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), s);
    }

    /// One campaign for all of them: what is expensive is to get there.
    function invariant_all() external view {
        _solvency();
        _conservation();
        _admittedNeverRefunded();
        _forbidden();
        _reserveMatchesRound();
        _closedIsEmpty();
    }

    /// 1, 2: what the contracts owe is there, to the unit.
    function _solvency() private view {
        uint256 owed = handler.bonds();
        uint256 claimable = 0;
        for (uint256 i = 0; i < 2; ++i) {
            uint64 fed = handler.feds(i);
            owed += _held(fed);
            uint256 credited = payouts.creditedOf(fed);
            vm.assertLe(payouts.claimedOf(fed), credited, "claimed more than credited");
            claimable += credited - payouts.claimedOf(fed);
        }
        vm.assertEq(token.balanceOf(address(federations)), owed, "Federations' tokens");
        vm.assertEq(token.balanceOf(address(payouts)), claimable, "Payouts' tokens");
    }

    /// 3: what came in is somewhere, per federation.
    function _conservation() private view {
        for (uint256 i = 0; i < 2; ++i) {
            uint64 fed = handler.feds(i);
            (uint256 funded, uint256 refunded,,,,) = handler.ghosts(fed);
            vm.assertEq(funded, refunded + _held(fed) + payouts.creditedOf(fed), "conservation");
        }
    }

    /// 4: what was ever admitted never returns to the sponsor.
    function _admittedNeverRefunded() private view {
        for (uint256 i = 0; i < 2; ++i) {
            uint64 fed = handler.feds(i);
            (uint256 funded, uint256 refunded, uint256 admittedFree,,,) = handler.ghosts(fed);
            vm.assertLe(refunded + admittedFree, funded, "an admitted pot was refunded");
            Federation memory f = federations.federationOf(fed);
            vm.assertLe(f.free + refunded + admittedFree, funded, "an admitted pot is free again");
        }
    }

    /// 5 to 9: transitions that must never happen; the handler tries them.
    function _forbidden() private view {
        vm.assertTrue(bytes(handler.broken()).length == 0, handler.broken());
    }

    /// 10: money is set aside exactly while a round is under way.
    function _reserveMatchesRound() private view {
        for (uint256 i = 0; i < 2; ++i) {
            uint64 fed = handler.feds(i);
            Federation memory f = federations.federationOf(fed);
            uint64 last = rounds.lastRound(fed);
            RoundStatus status = rounds.roundOf(fed, last).status;
            bool underWay = status == RoundStatus.Running || status == RoundStatus.Proposed;
            vm.assertEq(f.running, underWay ? last : 0, "running");
            uint256 pot = underWay ? rounds.roundOf(fed, last).pot : 0;
            vm.assertEq(uint256(f.reservedFree) + f.reservedCarry, pot, "reserved");
        }
    }

    /// 11: a closed federation holds nothing but bonds.
    function _closedIsEmpty() private view {
        for (uint256 i = 0; i < 2; ++i) {
            uint64 fed = handler.feds(i);
            if (federations.federationOf(fed).state == FederationState.Closed) vm.assertEq(_held(fed), 0, "closed");
        }
    }

    function _held(uint64 fed) private view returns (uint256) {
        Federation memory f = federations.federationOf(fed);
        return uint256(f.free) + f.carry + f.reservedFree + f.reservedCarry;
    }
}
