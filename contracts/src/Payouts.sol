// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IFederations} from "./interfaces/IFederations.sol";
import {IPayouts} from "./interfaces/IPayouts.sol";

/// @notice Documented in IPayouts.
contract Payouts is IPayouts, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    IFederations public immutable federations;

    struct Account {
        bytes32 root;
        uint256 credited;
        uint256 claimed;
    }

    mapping(uint64 federation => Account) private _accounts;
    mapping(uint64 federation => mapping(address account => uint256)) public claimedBy;

    constructor(IFederations federations_) {
        if (federations_.payouts() != address(this)) revert WrongWiring(federations_.payouts());
        federations = federations_;
    }

    /// @inheritdoc IPayouts
    function claim(uint64 federation, address account, uint256 cumulative, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 paid)
    {
        paid = _record(federation, account, cumulative, proof);
        if (paid == 0) revert NothingToClaim(federation, account, cumulative);
        _pay(federation, account, paid);
    }

    /// @inheritdoc IPayouts
    function claimBatch(
        uint64 federation,
        address[] calldata accounts,
        uint256[] calldata cumulatives,
        bytes32[][] calldata proofs
    ) external nonReentrant returns (uint256 paid) {
        if (accounts.length != cumulatives.length || accounts.length != proofs.length) {
            revert LengthMismatch(accounts.length, cumulatives.length, proofs.length);
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 due = _record(federation, accounts[i], cumulatives[i], proofs[i]);
            if (due == 0) continue;
            paid += due;
            _pay(federation, accounts[i], due);
        }
    }

    /// @inheritdoc IPayouts
    function credit(uint64 federation, bytes32 root, uint128 amount) external {
        if (msg.sender != address(federations)) revert NotFederations(msg.sender);
        Account storage a = _accounts[federation];
        a.root = root;
        a.credited += amount;
        emit Credited(federation, root, amount, a.credited);
    }

    /// @inheritdoc IPayouts
    function rootOf(uint64 federation) external view returns (bytes32) {
        return _accounts[federation].root;
    }

    /// @inheritdoc IPayouts
    function creditedOf(uint64 federation) external view returns (uint256) {
        return _accounts[federation].credited;
    }

    /// @inheritdoc IPayouts
    function claimedOf(uint64 federation) external view returns (uint256) {
        return _accounts[federation].claimed;
    }

    /// Checks a leaf and books what it still pays.
    function _record(uint64 federation, address account, uint256 cumulative, bytes32[] calldata proof)
        private
        returns (uint256 due)
    {
        Account storage a = _accounts[federation];
        // Hashed twice, as StandardMerkleTree does, so that no inner node can pose as a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, a.root, leaf)) revert BadProof(federation, account, cumulative);

        uint256 before = claimedBy[federation][account];
        if (cumulative <= before) return 0;
        due = cumulative - before;
        uint256 left = a.credited - a.claimed;
        if (due > left) revert CreditExceeded(federation, due, left);
        claimedBy[federation][account] = cumulative;
        a.claimed += due;
        emit Claimed(federation, account, cumulative, due);
    }

    function _pay(uint64 federation, address account, uint256 amount) private {
        IERC20(federations.tokenOf(federation)).safeTransfer(account, amount);
    }
}
