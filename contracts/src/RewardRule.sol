// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title RewardRule: from opened scalars to pay, in the integers that Rust uses too.
/// @notice Everything is floor division of non-negative integers; every sum fits 256 bits for the bounds of the types.
/// @dev Steps 1 to 5 run once, over A (the participants the audit let through); oversize ones leave first, and medians
/// are taken over the rest, zeros counted. Steps 6 and 7 run over U. Quality and shares are in units of 2^-32.
/// Tables are indexed [direction][participant].
library RewardRule {
    uint256 internal constant ONE = 1 << 32;
    uint256 internal constant BPS = 10_000;
    /// Bits of the promised stake, so that pot times a prefix of the fee weights fits 256 bits.
    uint256 internal constant STAKE_BITS = 96;

    /// A participant of A: legal entity, attested size class a_i, declared norm bound B_i in update units.
    struct Hospital {
        bytes32 entity;
        uint16 class;
        uint64 bound;
    }

    /// A revealed direction: whose it is, its squared norm, and the scalars w_iv opened against it.
    struct Ballot {
        bytes32 entity;
        uint128 stake;
        uint64 norm2;
        int64[] scores;
    }

    /// What steps 1 to 5 decide.
    struct Verdict {
        bool[] oversize; // out of A
        bool scoresVoid; // too little of the promised stake has a say: nobody is paid
        uint256[] quality; // per participant
        uint256[] agreement; // per direction: sum over participants of q_iv
    }

    error UnknownRule(uint8 rule);
    error BadInput(bytes32 field, uint256 given);

    // ---- steps 1 to 5 --------------------------------------------------------------------------

    /// @param promisedStake stake of all validators that promised, revealed or not.
    /// @param parameters d
    function measure(Hospital[] memory a, Ballot[] memory ballots, uint256 promisedStake, uint32 parameters)
        internal
        pure
        returns (Verdict memory v)
    {
        _check(a, ballots, promisedStake, parameters);
        v.oversize = oversized(a, ballots);
        v.quality = new uint256[](a.length);
        v.agreement = new uint256[](ballots.length);
        uint256[][] memory shares = new uint256[][](ballots.length);
        uint256 median = medianBound(a, v.oversize);
        uint256 activeStake = 0;
        for (uint256 b = 0; b < ballots.length; ++b) {
            uint256[] memory x = new uint256[](a.length);
            for (uint256 i = 0; i < a.length; ++i) {
                if (!v.oversize[i]) x[i] = usefulness(a[i], ballots[b], ballots[b].scores[i], median, parameters);
            }
            shares[b] = normalise(x, v.oversize);
            if (shares[b].length != 0) activeStake += ballots[b].stake;
        }
        v.scoresVoid = 2 * activeStake <= promisedStake;
        if (v.scoresVoid) return v;
        for (uint256 i = 0; i < a.length; ++i) {
            v.quality[i] = _agree(i, ballots, shares, activeStake, v.agreement);
        }
    }

    function _check(Hospital[] memory a, Ballot[] memory ballots, uint256 promisedStake, uint32 parameters)
        private
        pure
    {
        if (parameters == 0) revert BadInput("parameters", 0);
        if (promisedStake >> STAKE_BITS != 0) revert BadInput("promisedStake", promisedStake);
        uint256 revealed = 0;
        for (uint256 b = 0; b < ballots.length; ++b) {
            if (ballots[b].scores.length != a.length) revert BadInput("scores", ballots[b].scores.length);
            revealed += ballots[b].stake;
        }
        if (revealed > promisedStake) revert BadInput("stake", revealed);
    }

    /// Step 1, first half: a scalar beyond B_i * |g_v| proves that the update is larger than declared.
    function oversized(Hospital[] memory a, Ballot[] memory ballots) internal pure returns (bool[] memory out) {
        out = new bool[](a.length);
        for (uint256 i = 0; i < a.length; ++i) {
            for (uint256 b = 0; b < ballots.length && !out[i]; ++b) {
                uint256 w = magnitude(ballots[b].scores[i]);
                out[i] = w * w > uint256(a[i].bound) * a[i].bound * ballots[b].norm2;
            }
        }
    }

    /// B: the lower median of the declared bounds of those that remain.
    function medianBound(Hospital[] memory a, bool[] memory oversize) internal pure returns (uint256) {
        uint256[] memory bounds = new uint256[](a.length);
        for (uint256 i = 0; i < a.length; ++i) {
            bounds[i] = a[i].bound;
        }
        bounds = _sortedRest(bounds, oversize);
        return bounds.length == 0 ? 0 : bounds[(bounds.length - 1) / 2];
    }

    /// Step 1, second half: x_iv. Nothing for one's own entity; one sigma of an update made without data is taken off.
    function usefulness(Hospital memory h, Ballot memory ballot, int64 score, uint256 median, uint32 parameters)
        internal
        pure
        returns (uint256)
    {
        if (h.entity == ballot.entity || score >= 0 || h.bound == 0) return 0;
        uint256 sigma = Math.sqrt(uint256(h.bound) * h.bound * ballot.norm2 / parameters);
        uint256 descent = magnitude(score);
        if (descent <= sigma) return 0;
        return (descent - sigma) * h.class * Math.min(h.bound, median) / h.bound;
    }

    /// Steps 2 and 3: cap at twice the median, then shares of the column. Empty if the validator abstains.
    function normalise(uint256[] memory x, bool[] memory oversize) internal pure returns (uint256[] memory shares) {
        uint256[] memory sorted = _sortedRest(x, oversize);
        uint256 median = sorted.length == 0 ? 0 : sorted[sorted.length / 2];
        if (median == 0) return shares;
        shares = new uint256[](x.length);
        uint256 total = 0;
        for (uint256 i = 0; i < x.length; ++i) {
            shares[i] = Math.min(x[i], 2 * median);
            total += shares[i];
        }
        for (uint256 i = 0; i < x.length; ++i) {
            shares[i] = shares[i] * ONE / total;
        }
    }

    /// Steps 4 and 5 for one participant; adds each q_iv to its direction's agreement.
    function _agree(
        uint256 i,
        Ballot[] memory ballots,
        uint256[][] memory shares,
        uint256 activeStake,
        uint256[] memory agreement
    ) private pure returns (uint256) {
        uint256 agreed = consensus(i, ballots, shares, activeStake);
        uint256 weighted = 0;
        for (uint256 b = 0; b < ballots.length; ++b) {
            if (shares[b].length == 0) continue;
            uint256 q = Math.min(shares[b][i], agreed);
            agreement[b] += q;
            weighted += ballots[b].stake * q;
        }
        return weighted / activeStake;
    }

    /// Step 4: the largest share that validators with more than half of the active stake support.
    function consensus(uint256 i, Ballot[] memory ballots, uint256[][] memory shares, uint256 activeStake)
        internal
        pure
        returns (uint256 best)
    {
        for (uint256 b = 0; b < ballots.length; ++b) {
            if (shares[b].length == 0 || shares[b][i] <= best) continue;
            uint256 support = 0;
            for (uint256 other = 0; other < ballots.length; ++other) {
                if (shares[other].length != 0 && shares[other][i] >= shares[b][i]) support += ballots[other].stake;
            }
            if (2 * support > activeStake) best = shares[b][i];
        }
    }

    // ---- who is admitted -----------------------------------------------------------------------

    /// U: those at or above the floor; if they are fewer than N_min, the best of the rest are taken back, the earlier
    /// first among equals. Empty if A is smaller than N_min: the round is void. Where scores are void the floor is 0.
    function admitted(uint256[] memory quality, bool[] memory oversize, uint256 floor, uint256 least)
        internal
        pure
        returns (bool[] memory u)
    {
        uint256 present = 0;
        uint256 size = 0;
        u = new bool[](quality.length);
        for (uint256 i = 0; i < quality.length; ++i) {
            if (oversize[i]) continue;
            ++present;
            u[i] = quality[i] >= floor;
            if (u[i]) ++size;
        }
        if (present < least) return new bool[](quality.length);
        for (; size < least; ++size) {
            uint256 best = quality.length;
            for (uint256 i = 0; i < quality.length; ++i) {
                if (u[i] || oversize[i]) continue;
                if (best == quality.length || quality[i] > quality[best]) best = i;
            }
            u[best] = true;
        }
    }

    // ---- steps 6 and 7 -------------------------------------------------------------------------

    /// Step 6. Version 0 knows the proportional rule only: nothing measures the inputs of the other.
    function weight(uint8 rule, uint256 quality) internal pure returns (uint256) {
        if (rule != 0) revert UnknownRule(rule);
        return quality;
    }

    /// Hospitals' and validators' part of a pot, the fee rounded down. Without a validator to pay it stays with the
    /// hospitals; without a hospital to pay nobody has anything and the pot is carried.
    function divide(uint128 pot, uint16 feeBps, uint256[] memory weights, uint256[] memory feeWeights)
        internal
        pure
        returns (uint128 toHospitals, uint128 toValidators)
    {
        if (feeBps > BPS) revert BadInput("feeBps", feeBps);
        if (!_hasWeight(weights)) return (0, 0);
        if (!_hasWeight(feeWeights)) return (pot, 0);
        toValidators = uint128(uint256(pot) * feeBps / BPS);
        toHospitals = pot - toValidators;
    }

    /// Step 7: pay_i = floor(pot * P_i / W) - floor(pot * P_{i-1} / W), which sums to the pot exactly. All zero if no
    /// weight is positive.
    function split(uint128 pot, uint256[] memory weights) internal pure returns (uint128[] memory pay) {
        pay = new uint128[](weights.length);
        uint256 total = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            total += weights[i];
        }
        if (total == 0) return pay;
        uint256 prefix = 0;
        uint256 paid = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            prefix += weights[i];
            uint256 upTo = Math.mulDiv(pot, prefix, total);
            pay[i] = uint128(upTo - paid);
            paid = upTo;
        }
    }

    // ---- pieces --------------------------------------------------------------------------------

    /// B of a norm class: isqrt(isqrt(C^4 >> k)).
    function declaredNorm(uint64 clip, uint8 normClass) internal pure returns (uint256) {
        return Math.sqrt(Math.sqrt((uint256(clip) ** 4) >> normClass));
    }

    function magnitude(int64 value) internal pure returns (uint256) {
        return value < 0 ? uint256(-int256(value)) : uint256(int256(value));
    }

    function _hasWeight(uint256[] memory weights) private pure returns (bool) {
        for (uint256 i = 0; i < weights.length; ++i) {
            if (weights[i] != 0) return true;
        }
        return false;
    }

    /// The values of those that are not oversize, ascending.
    function _sortedRest(uint256[] memory values, bool[] memory oversize) private pure returns (uint256[] memory rest) {
        uint256 n = 0;
        for (uint256 i = 0; i < values.length; ++i) {
            if (!oversize[i]) ++n;
        }
        rest = new uint256[](n);
        n = 0;
        for (uint256 i = 0; i < values.length; ++i) {
            if (oversize[i]) continue;
            uint256 j = n++;
            for (; j > 0 && rest[j - 1] > values[i]; --j) {
                rest[j] = rest[j - 1];
            }
            rest[j] = values[i];
        }
    }
}
