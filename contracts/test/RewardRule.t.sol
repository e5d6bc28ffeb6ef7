// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {RewardRule} from "../src/RewardRule.sol";
import {vm} from "./utils/Vm.sol";

contract RewardRuleTest {
    uint256 internal constant ONE = 1 << 32;
    uint32 internal constant D = 100;

    /// Four hospitals of equal bound, three validators of stake 1 with norm 10; nothing in common.
    function _scene() internal pure returns (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) {
        a = new RewardRule.Hospital[](4);
        for (uint256 i = 0; i < 4; ++i) {
            a[i] = RewardRule.Hospital({entity: bytes32(i + 1), class: 10, bound: 1000});
        }
        b = new RewardRule.Ballot[](3);
        for (uint256 v = 0; v < 3; ++v) {
            b[v] = RewardRule.Ballot({entity: bytes32(100 + v), stake: 1, norm2: 100, scores: new int64[](4)});
            // One sigma is 1000: what is left is 3000, 2000, 1000, 0.
            for (uint256 i = 0; i < 4; ++i) {
                b[v].scores[i] = -int64(uint64(1000 * (4 - i)));
            }
        }
    }

    function test_measure_byHand() public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        RewardRule.Verdict memory v = RewardRule.measure(a, b, 3, D);
        vm.assertFalse(v.scoresVoid);
        // Median of 0, 1000, 2000, 3000 (times class) is 2000, the cap 4000: shares 3/6, 2/6, 1/6, 0.
        vm.assertEq(v.quality[0], ONE / 2);
        vm.assertEq(v.quality[1], ONE / 3);
        vm.assertEq(v.quality[2], ONE / 6);
        vm.assertEq(v.quality[3], 0);
        vm.assertEq(v.agreement[0], ONE / 2 + ONE / 3 + ONE / 6);
    }

    function test_measure_capsAtTwiceTheMedian() public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        for (uint256 v = 0; v < 3; ++v) {
            b[v].scores[0] = -10_000; // 9000 above sigma; counts 4000
        }
        RewardRule.Verdict memory r = RewardRule.measure(a, b, 3, D);
        vm.assertEq(r.quality[0], 4 * ONE / 7);
        vm.assertEq(r.quality[1], 2 * ONE / 7);
    }

    function test_measure_whenOversize_isOut() public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        b[1].scores[0] = 10_000; // exactly B * |g|: still possible
        vm.assertFalse(RewardRule.measure(a, b, 3, D).oversize[0]);
        b[1].scores[0] = 10_001;
        RewardRule.Verdict memory r = RewardRule.measure(a, b, 3, D);
        vm.assertTrue(r.oversize[0]);
        vm.assertEq(r.quality[0], 0);
        // Of 0, 1000, 2000 the median is 1000, the cap 2000.
        vm.assertEq(r.quality[1], 2 * ONE / 3);
        vm.assertEq(r.quality[2], ONE / 3);
    }

    function test_measure_ownEntity_saysNothing() public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        b[0].entity = a[0].entity;
        RewardRule.Verdict memory r = RewardRule.measure(a, b, 3, D);
        // Two of three support 1/2, the third says 0 of it.
        vm.assertEq(r.quality[0], ONE / 2 * 2 / 3);
    }

    function testFuzz_measure_withinOneSigma_isNothing(int64 score) public pure {
        vm.assume(score >= -1000);
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        vm.assertEq(RewardRule.usefulness(a[0], b[0], score, 1000, D), 0);
    }

    function testFuzz_measure_scaledUp_gainsNothing(uint8 factor, uint32 score) public pure {
        uint64 k = 1 + uint64(factor);
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        int64 w = -int64(uint64(score));
        uint256 fair = RewardRule.usefulness(a[0], b[0], w, 1000, D);
        a[0].bound *= k;
        uint256 scaled = RewardRule.usefulness(a[0], b[0], w * int64(k), 1000, D);
        vm.assertLe(scaled, fair, "scaling paid");
    }

    function test_measure_whenTheMedianIsZero_abstains() public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        for (uint256 i = 0; i < 3; ++i) {
            b[2].scores[i] = 5;
        }
        RewardRule.Verdict memory r = RewardRule.measure(a, b, 3, D);
        vm.assertEq(r.agreement[2], 0);
        vm.assertEq(r.quality[0], ONE / 2);
    }

    function test_measure_withoutAMajority_isVoid() public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        vm.assertTrue(RewardRule.measure(a, b, 6, D).scoresVoid);
        vm.assertFalse(RewardRule.measure(a, b, 5, D).scoresVoid);
        vm.assertTrue(RewardRule.measure(a, new RewardRule.Ballot[](0), 0, D).scoresVoid);
    }

    /// Two honest validators of three: what the third says can only lower a quality.
    function testFuzz_measure_aMinorityCannotRaise(int32[4] memory lies) public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        uint256[4] memory honest = [ONE / 2, ONE / 3, ONE / 6, 0];
        for (uint256 i = 0; i < 4; ++i) {
            b[2].scores[i] = int64(lies[i]) % 10_001;
        }
        RewardRule.Verdict memory r = RewardRule.measure(a, b, 3, D);
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertLe(r.quality[i], honest[i], "a minority raised a quality");
        }
    }

    function testFuzz_measure_bounds(int32[12] memory w, uint16[4] memory bounds, uint8[3] memory stakes) public pure {
        (RewardRule.Hospital[] memory a, RewardRule.Ballot[] memory b) = _scene();
        uint256 promised = 0;
        for (uint256 v = 0; v < 3; ++v) {
            b[v].stake = 1 + uint128(stakes[v]);
            promised += b[v].stake;
            for (uint256 i = 0; i < 4; ++i) {
                a[i].bound = bounds[i];
                b[v].scores[i] = w[4 * v + i];
            }
        }
        RewardRule.Verdict memory r = RewardRule.measure(a, b, promised, D);
        uint256 sum = 0;
        for (uint256 i = 0; i < 4; ++i) {
            sum += r.quality[i];
            if (r.oversize[i]) vm.assertEq(r.quality[i], 0, "oversize with quality");
        }
        vm.assertLe(sum, ONE, "quality beyond one");
        for (uint256 v = 0; v < 3; ++v) {
            vm.assertLe(r.agreement[v], ONE, "agreement beyond one");
        }
    }

    // ---- admitted ------------------------------------------------------------------------------

    function _quality(uint256 a, uint256 b, uint256 c, uint256 d) internal pure returns (uint256[] memory q) {
        q = new uint256[](4);
        (q[0], q[1], q[2], q[3]) = (a, b, c, d);
    }

    function _bits(bool[] memory u) internal pure returns (uint256 bits) {
        for (uint256 i = 0; i < u.length; ++i) {
            if (u[i]) bits |= 1 << i;
        }
    }

    function test_admitted_floorAndTakingBack() public pure {
        bool[] memory none = new bool[](4);
        uint256[] memory q = _quality(9, 5, 5, 7);
        vm.assertEq(_bits(RewardRule.admitted(q, none, 0, 3)), 15);
        vm.assertEq(_bits(RewardRule.admitted(q, none, 6, 2)), 9);
        // One is missing: of the two equals the earlier.
        vm.assertEq(_bits(RewardRule.admitted(q, none, 6, 3)), 11);
        vm.assertEq(_bits(RewardRule.admitted(q, none, 100, 4)), 15);
        vm.assertEq(_bits(RewardRule.admitted(q, none, 0, 5)), 0);
        none[1] = true;
        vm.assertEq(_bits(RewardRule.admitted(q, none, 6, 3)), 13);
        vm.assertEq(_bits(RewardRule.admitted(q, none, 6, 4)), 0);
    }

    // ---- pay -----------------------------------------------------------------------------------

    function weight(uint8 rule, uint256 quality) external pure returns (uint256) {
        return RewardRule.weight(rule, quality);
    }

    function testFuzz_weight_whenNotProportional_reverts(uint8 rule) public {
        vm.assume(rule != 0);
        vm.expectRevert(abi.encodeWithSelector(RewardRule.UnknownRule.selector, rule));
        this.weight(rule, 1);
        vm.assertEq(RewardRule.weight(0, 7), 7);
    }

    function testFuzz_divide_addsUp(uint128 pot, uint16 feeBps) public pure {
        feeBps %= 10_001;
        uint256[] memory some = _quality(0, 0, 1, 0);
        uint256[] memory none = _quality(0, 0, 0, 0);
        (uint128 h, uint128 v) = RewardRule.divide(pot, feeBps, some, some);
        vm.assertEq(uint256(h) + v, pot);
        vm.assertEq(v, uint256(pot) * feeBps / 10_000);
        (h, v) = RewardRule.divide(pot, feeBps, some, none);
        vm.assertEq(h, pot);
        vm.assertEq(v, 0);
        (h, v) = RewardRule.divide(pot, feeBps, none, some);
        vm.assertEq(uint256(h) + v, 0);
    }

    function testFuzz_split_paysThePotExactly(uint128 pot, uint64[7] memory w) public pure {
        uint256[] memory weights = new uint256[](7);
        uint256 total = 0;
        for (uint256 i = 0; i < 7; ++i) {
            weights[i] = w[i];
            total += w[i];
        }
        uint128[] memory pay = RewardRule.split(pot, weights);
        uint256 sum = 0;
        for (uint256 i = 0; i < 7; ++i) {
            sum += pay[i];
            if (total == 0) continue;
            uint256 share = uint256(pot) * weights[i] / total;
            vm.assertLe(pay[i], share + 1, "more than a unit above its share");
            vm.assertGe(pay[i], share, "below its share");
        }
        vm.assertEq(sum, total == 0 ? 0 : pot);
    }

    function test_declaredNorm_edges() public pure {
        vm.assertEq(RewardRule.declaredNorm(32_768, 0), 32_768);
        vm.assertEq(RewardRule.declaredNorm(32_768, 4), 16_384);
        vm.assertEq(RewardRule.declaredNorm(32_768, 63), 0);
        vm.assertEq(RewardRule.declaredNorm(type(uint64).max, 0), type(uint64).max);
    }
}
