// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Descriptor} from "../Types.sol";
import {Federation} from "../interfaces/IFederations.sol";
import {IRounds} from "../interfaces/IRounds.sol";
import {Sample} from "./Sample.sol";

/// What a descriptor must satisfy for its round to be opened, apart from money and the chain of models.
library DescriptorRules {
    /// Modulus of the encryption: 2^50 - 16383.
    uint256 internal constant Q = 1125899906826241;
    uint256 internal constant ROUNDS_PER_EPOCH = 100;
    uint256 internal constant MAX_CLASS_SUM = 65_535;
    uint256 internal constant MAX_UPDATE = 32_767;

    /// The federation's terms, repeated in every descriptor so that ctx binds them.
    function checkTerms(Descriptor calldata d, Federation memory f) internal pure {
        _same("specHash", uint256(f.specHash), uint256(d.specHash));
        _same("feeBps", f.feeBps, d.feeBps);
        _same("rule", f.rule, d.rule);
        _same("qualityFloor", f.qualityFloor, d.qualityFloor);
        _same("challengeWindow", f.challengeWindow, d.challengeWindow);
        _same("acceptLeak", f.acceptLeak ? 1 : 0, d.acceptLeak ? 1 : 0);
        _same("scalarsMax", f.scalarsMax, d.scalarsMax);
        _same("epoch", d.round / ROUNDS_PER_EPOCH, d.epoch);
    }

    /// f, t and N_min follow from the number of members that are ready. Of a committee that is a sample, more may be
    /// admitted than serve.
    function checkCommittee(Descriptor calldata d, uint16 ready, Federation memory f) internal pure {
        _same("members", ready, d.members);
        if (ready == 0) revert IRounds.FieldOutOfRange("members", 0, 1);
        uint256 faults = (uint256(ready) - 1) / 3;
        _same("faults", faults, d.faults);
        _same("threshold", (ready + faults) / 2 + 1, d.threshold);
        uint256 least = _max(_max(3, faults + 2), f.minAdmitted);
        if (d.minAdmitted < least) revert IRounds.FieldOutOfRange("minAdmitted", d.minAdmitted, least);
        uint256 most = f.members > Sample.MAX_COMMITTEE ? f.members : ready;
        if (d.minAdmitted > most) revert IRounds.FieldOutOfRange("minAdmitted", d.minAdmitted, most);
    }

    /// At most min(9, max(2, d/8)) scalars of an update are opened per round, unless every site was told otherwise.
    function checkLeak(Descriptor calldata d, uint256 registered) internal pure {
        if (d.validators > registered) revert IRounds.FieldOutOfRange("validators", d.validators, registered);
        uint256 cap = _max(2, d.scale.parameters / 8);
        if (cap > 9) cap = 9;
        if (d.validators > cap && !d.acceptLeak) revert IRounds.LeakCapExceeded(d.validators, cap);
    }

    /// Neither a scalar nor a sum may wrap around the modulus. `classSum` is W1 over all members.
    function checkRange(Descriptor calldata d, uint256 classSum) internal pure {
        if (d.scale.parameters == 0) revert IRounds.FieldOutOfRange("parameters", 0, 1);
        if (d.lrDen == 0) revert IRounds.FieldOutOfRange("lrDen", 0, 1);
        uint256 delta = d.scale.delta;
        if (delta == 0 || delta & (delta - 1) != 0 || delta > Q) {
            revert IRounds.FieldOutOfRange("delta", delta, Q);
        }
        if (d.scale.updateMax > MAX_UPDATE) revert IRounds.FieldOutOfRange("updateMax", d.scale.updateMax, MAX_UPDATE);
        if (classSum > MAX_CLASS_SUM) revert IRounds.RangeExceeded("classes", classSum, MAX_CLASS_SUM);
        uint256 scalar = 2 * uint256(d.scale.clip) * d.scale.directionNorm * delta;
        if (scalar > Q - delta) revert IRounds.RangeExceeded("scalar", scalar, Q - delta);
        uint256 sum = 2 * uint256(d.scale.updateMax) * classSum * delta;
        if (sum > Q - delta) revert IRounds.RangeExceeded("sum", sum, Q - delta);
    }

    /// Deadlines lie ahead and each is later than the one before it.
    function checkDeadlines(Descriptor calldata d) internal view {
        uint64 previous = uint64(block.timestamp);
        for (uint256 i = 0; i < d.deadlines.length; ++i) {
            uint64 given = d.deadlines[i];
            if (given <= previous) revert IRounds.DeadlineOrder(i, previous, given);
            previous = given;
        }
    }

    function _same(bytes32 field, uint256 expected, uint256 given) private pure {
        if (expected != given) revert IRounds.FieldDiffers(field, expected, given);
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}
