// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Payouts: what was earned, claimed from one growing tree per federation.
/// @notice WARNING: in version 0 nothing can strike a proposed root; the challenge window only delays it. A wrong root
/// can misdirect what its federation was credited and nobody has claimed yet, and not one unit more.
/// @dev A leaf is (account, cumulative) of OpenZeppelin's StandardMerkleTree, cumulative over all rounds: a claim may
/// skip rounds, and a corrected root never underpays. Anyone may trigger a claim; it pays the account in the leaf.
interface IPayouts {
    event Credited(uint64 indexed federation, bytes32 root, uint128 amount, uint256 credited);
    event Claimed(uint64 indexed federation, address indexed account, uint256 cumulative, uint256 paid);

    error WrongWiring(address expected);
    error NotFederations(address caller);
    error BadProof(uint64 federation, address account, uint256 cumulative);
    error NothingToClaim(uint64 federation, address account, uint256 cumulative);
    error CreditExceeded(uint64 federation, uint256 wanted, uint256 left);
    error LengthMismatch(uint256 accounts, uint256 cumulatives, uint256 proofs);

    /// @notice Pays `account` what it has earned and not yet been paid.
    /// @param cumulative all it has ever earned in the federation, as in the leaf.
    function claim(uint64 federation, address account, uint256 cumulative, bytes32[] calldata proof)
        external
        returns (uint256 paid);

    /// @notice Several claims at once. Those with nothing left to pay are passed over, so that a claim made by
    /// somebody else in the meantime does not undo the rest; a wrong proof reverts.
    function claimBatch(
        uint64 federation,
        address[] calldata accounts,
        uint256[] calldata cumulatives,
        bytes32[][] calldata proofs
    ) external returns (uint256 paid);

    /// @notice Replaces the federation's root and raises its credit; the tokens were sent before. Only `Federations`.
    function credit(uint64 federation, bytes32 root, uint128 amount) external;

    function rootOf(uint64 federation) external view returns (bytes32);
    function creditedOf(uint64 federation) external view returns (uint256);
    function claimedOf(uint64 federation) external view returns (uint256);
    function claimedBy(uint64 federation, address account) external view returns (uint256);
}
