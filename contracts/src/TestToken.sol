// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// The demo's and the devnet's money: a plain ERC-20 of no value.
contract TestToken is ERC20 {
    constructor() ERC20("Almoner test token", "TEST") {
        _mint(msg.sender, 1_000_000_000e18);
    }
}
