// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {RewardRule} from "../../src/RewardRule.sol";
import {vm} from "../utils/Vm.sol";
import {Vectors} from "./Vectors.sol";

/// Steps 1 to 5 and the admission, as Rust has them.
contract QualityVectorsTest is Vectors {
    uint256 internal constant ADMITTED = 0;
    uint256 internal constant OVERSIZE = 3;
    uint256 internal constant BELOW_FLOOR = 4;

    function test_vectors_quality() external {
        _run("quality/0", 20);
    }

    function check(string calldata json, string calldata path) external pure override {
        RewardRule.Hospital[] memory a = _hospitals(json);
        RewardRule.Ballot[] memory ballots = _ballots(json, a.length);
        RewardRule.Verdict memory v =
            RewardRule.measure(a, ballots, _uint(json, ".promisedStake"), uint32(_uint(json, ".parameters")));
        vm.assertEq(v.scoresVoid ? 1 : 0, _uint(json, ".scoresVoid"), path);
        _same(v.quality, _uints(json, ".quality"), path);
        _same(v.agreement, _uints(json, ".agreed"), path);
        uint256[] memory standing = _uints(json, ".standing");
        uint256[] memory feeWeight = _uints(json, ".feeWeight");
        for (uint256 i = 0; i < a.length; ++i) {
            vm.assertEq(v.oversize[i] ? 1 : 0, standing[i], path);
        }
        for (uint256 b = 0; b < ballots.length; ++b) {
            vm.assertEq(v.agreement[b] * ballots[b].stake, feeWeight[b], path);
        }
        _checkAdmitted(json, path, v);
    }

    function _checkAdmitted(string calldata json, string calldata path, RewardRule.Verdict memory v) private pure {
        uint256 floor = v.scoresVoid ? 0 : _uint(json, ".qualityFloor");
        bool[] memory u = RewardRule.admitted(v.quality, v.oversize, floor, _uint(json, ".minAdmitted"));
        uint256[] memory verdicts = _uints(json, ".verdicts");
        for (uint256 i = 0; i < u.length; ++i) {
            // No verdicts: the round is void, nobody is admitted.
            if (verdicts.length == 0) vm.assertFalse(u[i], path);
            else vm.assertEq(u[i] ? ADMITTED : v.oversize[i] ? OVERSIZE : BELOW_FLOOR, verdicts[i], path);
        }
    }

    function _hospitals(string calldata json) private pure returns (RewardRule.Hospital[] memory a) {
        bytes32[] memory entities = vm.parseJsonBytes32Array(json, ".entities");
        uint256[] memory classes = _uints(json, ".classes");
        uint256[] memory norms = _uints(json, ".norms");
        a = new RewardRule.Hospital[](entities.length);
        for (uint256 i = 0; i < a.length; ++i) {
            a[i] = RewardRule.Hospital({entity: entities[i], class: uint16(classes[i]), bound: uint64(norms[i])});
        }
    }

    /// Scores are written participant by participant.
    function _ballots(string calldata json, uint256 hospitals)
        private
        pure
        returns (RewardRule.Ballot[] memory ballots)
    {
        bytes32[] memory entities = vm.parseJsonBytes32Array(json, ".judgeEntities");
        uint256[] memory stakes = _uints(json, ".judgeStakes");
        uint256[] memory norms = _uints(json, ".judgeNormsSquared");
        int256[] memory scores = vm.parseJsonIntArray(json, ".scores");
        ballots = new RewardRule.Ballot[](entities.length);
        for (uint256 b = 0; b < ballots.length; ++b) {
            int64[] memory column = new int64[](hospitals);
            for (uint256 i = 0; i < hospitals; ++i) {
                column[i] = int64(scores[i * ballots.length + b]);
            }
            ballots[b] = RewardRule.Ballot({
                entity: entities[b], stake: uint128(stakes[b]), norm2: uint64(norms[b]), scores: column
            });
        }
    }
}
