// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Who may serve on a round's committee where a federation has more members than one holds.
library Sample {
    /// A committee never exceeds this: acknowledgements are checked one by one.
    uint16 internal constant MAX_COMMITTEE = 64;
    /// How many are drawn on average. Three quarters, so that it is rare that more are drawn than there is room for.
    uint256 internal constant DRAWN = 48;

    /// Every member has a lot that nobody chose; those below the limit may serve. Decided for one member alone, so that
    /// the chain need not sort anybody. `members` is above MAX_COMMITTEE.
    function drawn(bytes32 beacon, uint64 federation, uint64 round, uint256 members, address member)
        internal
        pure
        returns (bool)
    {
        bytes32 lot = keccak256(abi.encode(beacon, federation, round, member));
        return uint256(lot) < (type(uint256).max / members) * DRAWN;
    }
}
