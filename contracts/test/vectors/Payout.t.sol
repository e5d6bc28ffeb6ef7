// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {RewardRule} from "../../src/RewardRule.sol";
import {SettleItem} from "../../src/Types.sol";
import {Merkle} from "../utils/Merkle.sol";
import {SettleTree} from "../utils/SettleTree.sol";
import {vm} from "../utils/Vm.sol";
import {Vectors} from "./Vectors.sol";

/// Steps 6 and 7, the settle list and the payout list, as Rust has them.
contract PayoutVectorsTest is Vectors {
    uint256 internal constant ADMITTED = 0;
    uint256 internal constant BELOW_FLOOR = 4;

    /// What is settled: hospitals of A, then validators.
    struct Book {
        address[] accounts;
        uint256[] qualities;
        uint256[] weights;
        uint128[] pays;
        uint256 hospitals;
        mapping(address account => uint128) cumulative;
    }

    Book internal book;

    function test_vectors_payout() external {
        _run("payout/0", 10);
    }

    /// Leaves nothing behind: `check` runs in a frame of its own for every file, but storage outlives it.
    function _reset(string calldata json) private {
        for (uint256 i = 0; i < book.accounts.length; ++i) {
            delete book.cumulative[book.accounts[i]];
        }
        delete book.accounts;
        delete book.qualities;
        delete book.weights;
        delete book.pays;
        book.hospitals = 0;
        address[] memory accounts = vm.parseJsonAddressArray(json, ".beforeAccounts");
        uint256[] memory cumulatives = _uints(json, ".beforeCumulatives");
        for (uint256 i = 0; i < accounts.length; ++i) {
            require(cumulatives[i] <= type(uint128).max, "cumulative");
            book.cumulative[accounts[i]] = uint128(cumulatives[i]);
        }
    }

    function check(string calldata json, string calldata path) external override {
        _reset(json);
        _enterHospitals(json);
        _enterValidators(json);
        _pay(json);
        _compare(json, path);
    }

    function _enterHospitals(string calldata json) private {
        address[] memory accounts = vm.parseJsonAddressArray(json, ".hospitals");
        uint256[] memory qualities = _uints(json, ".qualities");
        uint256[] memory verdicts = _uints(json, ".verdicts");
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (verdicts[i] != ADMITTED && verdicts[i] != BELOW_FLOOR) continue;
            book.accounts.push(accounts[i]);
            book.qualities.push(qualities[i]);
            book.weights.push(verdicts[i] == ADMITTED ? RewardRule.weight(0, qualities[i]) : 0);
        }
        book.hospitals = book.accounts.length;
    }

    function _enterValidators(string calldata json) private {
        address[] memory accounts = vm.parseJsonAddressArray(json, ".validators");
        uint256[] memory agreed = _uints(json, ".agreed");
        uint256[] memory weights = _uints(json, ".feeWeights");
        for (uint256 i = 0; i < accounts.length; ++i) {
            book.accounts.push(accounts[i]);
            book.qualities.push(agreed[i]);
            book.weights.push(weights[i]);
        }
    }

    function _pay(string calldata json) private {
        uint256[] memory weights = _part(0, book.hospitals);
        uint256[] memory fees = _part(book.hospitals, book.weights.length);
        (uint128 toHospitals, uint128 toValidators) =
            RewardRule.divide(uint128(_uint(json, ".pot")), uint16(_uint(json, ".feeBps")), weights, fees);
        _push(RewardRule.split(toHospitals, weights));
        _push(RewardRule.split(toValidators, fees));
    }

    function _part(uint256 from, uint256 to) private view returns (uint256[] memory part) {
        part = new uint256[](to - from);
        for (uint256 i = from; i < to; ++i) {
            part[i - from] = book.weights[i];
        }
    }

    function _push(uint128[] memory pays) private {
        for (uint256 i = 0; i < pays.length; ++i) {
            address account = book.accounts[book.pays.length];
            book.cumulative[account] += pays[i];
            book.pays.push(pays[i]);
        }
    }

    function _compare(string calldata json, string calldata path) private view {
        SettleItem[] memory items = _items();
        address[] memory accounts = vm.parseJsonAddressArray(json, ".settleAccounts");
        uint256[] memory pays = _uints(json, ".settlePays");
        uint256[] memory prefixes = _uints(json, ".settlePrefixes");
        uint256[] memory cumulatives = _uints(json, ".settleCumulatives");
        vm.assertEq(items.length, accounts.length, path);
        for (uint256 i = 0; i < items.length; ++i) {
            vm.assertEq(items[i].account, accounts[i], path);
            vm.assertEq(items[i].pay, pays[i], path);
            vm.assertEq(items[i].prefix, prefixes[i], path);
            vm.assertEq(items[i].cumulative, cumulatives[i], path);
        }
        (bytes32 root, uint128 total) = SettleTree.rootOf(items);
        vm.assertEq(total, _uint(json, ".total"), path);
        vm.assertEq(root, vm.parseJsonBytes32(json, ".settleRoot"), path);
        _comparePayouts(json, path);
    }

    function _items() private view returns (SettleItem[] memory items) {
        items = new SettleItem[](book.accounts.length);
        uint256 prefix = 0;
        for (uint256 i = 0; i < items.length; ++i) {
            if (i == book.hospitals) prefix = 0;
            prefix += book.weights[i];
            items[i] = SettleItem({
                index: uint32(i),
                account: book.accounts[i],
                role: i < book.hospitals ? 0 : 1,
                quality: uint128(book.qualities[i]),
                weight: book.weights[i],
                prefix: prefix,
                pay: book.pays[i],
                cumulative: book.cumulative[book.accounts[i]]
            });
        }
    }

    function _comparePayouts(string calldata json, string calldata path) private view {
        address[] memory accounts = vm.parseJsonAddressArray(json, ".payoutAccounts");
        uint256[] memory cumulatives = _uints(json, ".payoutCumulatives");
        for (uint256 i = 0; i < accounts.length; ++i) {
            vm.assertEq(book.cumulative[accounts[i]], cumulatives[i], path);
        }
        bytes32 root = accounts.length == 0 ? bytes32(0) : Merkle.tree(accounts, cumulatives)[0];
        vm.assertEq(root, vm.parseJsonBytes32(json, ".payoutRoot"), path);
    }
}
