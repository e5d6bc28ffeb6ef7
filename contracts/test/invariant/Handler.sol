// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Federation, FederationState} from "../../src/interfaces/IFederations.sol";
import {Round, RoundStatus} from "../../src/interfaces/IRounds.sol";
import {Driver} from "../utils/Driver.sol";
import {Merkle} from "../utils/Merkle.sol";
import {vm} from "../utils/Vm.sol";

/// Two federations in one token, moved on by random but possible actions, with what must stay true written down
/// beside them. An action that is not possible now does nothing.
contract Handler is Driver {
    uint256 internal constant ACCOUNTS = 3;

    /// What this handler knows of a federation without asking the contracts.
    struct Ghost {
        uint256 funded;
        uint256 refunded;
        uint256 admittedFree; // parts of pots that left the free balance for good when their round was admitted
        uint128 freeBeforeOpen;
        uint128 carryBeforeOpen;
        uint256 admits; // of the running round
    }

    uint64[2] public feds;
    mapping(uint64 federation => Ghost) public ghosts;
    mapping(uint64 federation => uint256[ACCOUNTS]) internal _cumulative;
    mapping(uint64 federation => bytes32[]) internal _pendingTree;
    mapping(uint64 federation => uint256[ACCOUNTS]) internal _pending;
    mapping(uint64 federation => bytes32[]) internal _tree;
    string public broken;
    uint256 public finals;
    uint256 public claims;
    uint256 public closes;

    function setUp() public override {
        super.setUp();
        feds[0] = fed;
        ghosts[fed].funded = 10_000e18;
        fed = _create(_params());
        feds[1] = fed;
        _joinAll(fed);
        _epoch(fed, 0);
        vm.prank(coordinator);
        federations.postBond(fed, BOND);
        vm.prank(standIn);
        federations.postBond(fed, BOND);
    }

    modifier on(uint256 seed) {
        fed = feds[seed % 2];
        _;
    }

    function parts() external view returns (address, address, address, address) {
        return (address(federations), address(rounds), address(payouts), address(token));
    }

    function bonds() external view returns (uint256 total) {
        for (uint256 i = 0; i < 2; ++i) {
            total += federations.bondOf(feds[i], coordinator).amount;
            total += federations.bondOf(feds[i], standIn).amount;
        }
    }

    // ---- actions -------------------------------------------------------------------------------

    function fund(uint256 seed, uint96 amount) external on(seed) {
        amount = uint96(1 + amount % 3000e18);
        if (_state() != FederationState.Open || token.balanceOf(owner) < amount) return;
        _fund(fed, amount);
        ghosts[fed].funded += amount;
    }

    function open(uint256 seed) external on(seed) {
        Federation memory f = federations.federationOf(fed);
        if (f.state != FederationState.Open || f.running != 0) return;
        if (uint256(f.free) + f.carry < POT) return;
        Ghost storage g = ghosts[fed];
        (g.freeBeforeOpen, g.carryBeforeOpen, g.admits) = (f.free, f.carry, 0);
        _openRound();
    }

    /// Up to eight stages at once: a round has eleven.
    function step(uint256 seed, bool byStandIn) external on(seed) {
        for (uint256 i = 0; i <= (seed >> 8) % 8; ++i) {
            if (_inTime()) _stepOnce(seed, byStandIn);
        }
    }

    function _stepOnce(uint256 seed, bool byStandIn) internal {
        uint8 next = _current().stage + 1;
        if (byStandIn && next > LOCK && federations.bondOf(fed, standIn).amount >= BOND) {
            if (_half() > block.timestamp) vm.warp(_half());
            _stepAs(standIn, next, seed);
        } else if (next < PAYOUT - 1 || federations.bondOf(fed, coordinator).amount >= BOND) {
            _stepAs(coordinator, next, seed);
        }
    }

    function _stepAs(address who, uint8 next, uint256 seed) internal {
        if (next == ADMIT) _noteAdmit();
        if (next == PAYOUT - 1) _plan(seed);
        // One proposal in four pays nobody.
        if (next == PAYOUT - 1 && (seed >> 1) % 4 == 0) _propose(who, 0);
        else _step(who);
    }

    function voidRound(uint256 seed) external on(seed) {
        if (_often(seed) || !_runs() || _current().stage >= MODEL) return;
        uint8 stage = _current().stage;
        uint64 round = rounds.lastRound(fed);
        vm.prank(coordinator);
        rounds.voidRound(fed, round);
        _checkGivenUp(stage);
    }

    function expire(uint256 seed) external on(seed) {
        if (_often(seed) || !_runs()) return;
        uint8 stage = _current().stage;
        vm.warp(_deadline() + 1);
        rounds.expire(fed, rounds.lastRound(fed));
        _checkGivenUp(stage);
    }

    function finalise(uint256 seed) external on(seed) {
        Round memory r = _current();
        if (r.status != RoundStatus.Proposed) return;
        vm.warp(r.enteredAt + WINDOW + (seed % 3));
        rounds.finalise(fed, rounds.lastRound(fed));
        if (r.pays) _adopt();
        ++finals;
    }

    function claim(uint256 seed, uint256 who) external on(seed) {
        if (_tree[fed].length == 0) return;
        who %= ACCOUNTS;
        uint256 cumulative = _cumulative[fed][who];
        bytes32[] memory proof = Merkle.proof(_tree[fed], Merkle.leaf(_account(who), cumulative));
        // Refused where nothing is left, or where the tree promises more than was credited.
        try payouts.claim(fed, _account(who), cumulative, proof) {
            ++claims;
        } catch {}
    }

    function withdrawBond(uint256 seed, bool ofStandIn) external on(seed) {
        address who = ofStandIn ? standIn : coordinator;
        vm.prank(who);
        try federations.withdrawBond(fed) {} catch {}
    }

    function postBond(uint256 seed, bool byStandIn) external on(seed) {
        address who = byStandIn ? standIn : coordinator;
        if (_state() != FederationState.Open || federations.bondOf(fed, who).amount != 0) return;
        vm.prank(who);
        federations.postBond(fed, BOND);
    }

    function close(uint256 seed) external on(seed) {
        Federation memory f = federations.federationOf(fed);
        if ((seed >> 1) % 64 != 0 || f.running != 0 || f.state != FederationState.Open) return;
        if (f.carry == 0) {
            vm.prank(owner);
            federations.close(fed);
            ghosts[fed].refunded += f.free;
        } else if (federations.bondOf(fed, coordinator).amount >= BOND) {
            _planFor(seed, f.carry);
            vm.prank(coordinator);
            federations.closeProposed(fed, _pendingTree[fed][0], CID);
        }
    }

    function closeFinalise(uint256 seed) external on(seed) {
        if (_state() != FederationState.Closing) return;
        vm.warp(federations.closePlanOf(fed).endsAt);
        uint128 free = federations.federationOf(fed).free;
        federations.closeFinalise(fed);
        ghosts[fed].refunded += free;
        ++closes;
        _adopt();
    }

    /// What must never happen, tried: each of these has to be refused.
    function forbidden(uint256 seed, uint8 what) external on(seed) {
        uint64 round = rounds.lastRound(fed);
        if (round == 0) return;
        Round memory r = _current();
        what %= 6;
        if (what == 0 && r.stage >= ADMIT) {
            try this.admitAgain(4) {
                broken = "a second set was admitted";
            } catch {}
        } else if (what == 1 && r.status > RoundStatus.Proposed) {
            try rounds.finalise(fed, round) {
                broken = "a round ended twice";
            } catch {}
        } else if (what == 2 && r.status != RoundStatus.Running) {
            try rounds.expire(fed, round) {
                broken = "a round that does not run expired";
            } catch {}
        } else if (what == 3 && r.status == RoundStatus.Proposed && block.timestamp < r.enteredAt + WINDOW) {
            try rounds.finalise(fed, round) {
                broken = "a round was final inside its window";
            } catch {}
        } else if (what == 4 && (r.stage >= MODEL || r.status != RoundStatus.Running)) {
            vm.prank(coordinator);
            try rounds.voidRound(fed, round) {
                broken = "an opened or ended round was voided";
            } catch {}
        } else if (what == 5) {
            vm.prank(stranger);
            try rounds.postSum(fed, round, keccak256("sum"), CID) {
                broken = "a stranger posted";
            } catch {}
        }
    }

    function admitAgain(uint16 count) external {
        _admit(coordinator, count, _ackKeys(4));
    }

    // ---- what the actions share ----------------------------------------------------------------

    /// Ends are taken one time in eight, or few rounds would come far.
    function _often(uint256 seed) internal pure returns (bool) {
        return (seed >> 1) % 8 != 0;
    }

    function _state() internal view returns (FederationState) {
        return federations.federationOf(fed).state;
    }

    function _runs() internal view returns (bool) {
        return rounds.lastRound(fed) != 0 && _current().status == RoundStatus.Running;
    }

    function _deadline() internal view returns (uint64) {
        Round memory r = _current();
        return r.deadlines[r.stage < MODEL ? r.stage : 8];
    }

    function _half() internal view returns (uint64) {
        return _current().enteredAt + (_deadline() - _current().enteredAt) / 2;
    }

    function _inTime() internal view returns (bool) {
        return _runs() && block.timestamp <= _deadline();
    }

    function _account(uint256 i) internal pure returns (address) {
        return address(uint160(0xE000 + i));
    }

    function _noteAdmit() internal {
        Ghost storage g = ghosts[fed];
        if (++g.admits > 1) broken = "two sets admitted";
        g.admittedFree += federations.federationOf(fed).reservedFree;
    }

    function _checkGivenUp(uint8 stage) internal {
        Ghost storage g = ghosts[fed];
        Federation memory f = federations.federationOf(fed);
        bool whole = f.carry == g.carryBeforeOpen;
        if (stage < ADMIT && !whole) broken = "a refund before admit was not whole";
        if (stage >= ADMIT && f.carry + f.free < POT) broken = "a carried pot was lost";
    }

    function _plan(uint256 seed) internal {
        _planFor(seed, POT);
        nextPayoutRoot = _pendingTree[fed][0];
    }

    /// A cumulative tree that shares `total`; one in eight promises more than there is.
    function _planFor(uint256 seed, uint128 total) internal {
        uint256 first = seed % (uint256(total) + 1);
        uint256 second = (uint256(total) - first) / 2;
        uint256[ACCOUNTS] memory pay = [first, second, total - first - second];
        if ((seed >> 3) % 8 == 7) pay[2] += POT;
        address[] memory accounts = new address[](ACCOUNTS);
        uint256[] memory cumulative = new uint256[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            accounts[i] = _account(i);
            cumulative[i] = _cumulative[fed][i] + pay[i];
            _pending[fed][i] = cumulative[i];
        }
        _pendingTree[fed] = Merkle.tree(accounts, cumulative);
    }

    function _adopt() internal {
        _tree[fed] = _pendingTree[fed];
        _cumulative[fed] = _pending[fed];
    }
}
