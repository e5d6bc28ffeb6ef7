//! The tree people claim from: OpenZeppelin's StandardMerkleTree over `(address account, uint256 cumulative)`.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;

use crate::types::PayoutItem;

/// `keccak256(keccak256(abi.encode(account, cumulative)))`.
pub fn payout_leaf(account: Address, cumulative: U256) -> B256 {
    keccak256(keccak256((account, cumulative).abi_encode()))
}

/// Hash of a pair, the smaller one first, as `MerkleProof.sol` has it.
fn parent(a: B256, b: B256) -> B256 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    keccak256([low.0, high.0].concat())
}

/// The whole tree as one array, root first: children of `i` are `2i+1` and `2i+2`, leaves in reverse order of their
/// hashes at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutTree {
    nodes: Vec<B256>,
    /// Accounts with their amounts and places, by address.
    places: Vec<(Address, U256, usize)>,
}

impl PayoutTree {
    pub fn new(items: &[PayoutItem]) -> Self {
        let mut leaves: Vec<(B256, Address, U256)> = items
            .iter()
            .map(|item| (payout_leaf(item.account, item.cumulative), item.account, item.cumulative))
            .collect();
        leaves.sort_unstable();
        let size = (2 * leaves.len()).saturating_sub(1);
        let mut nodes = vec![B256::ZERO; size];
        let mut places = Vec::with_capacity(leaves.len());
        for (rank, (hash, account, cumulative)) in leaves.into_iter().enumerate() {
            let place = size - 1 - rank;
            nodes[place] = hash;
            places.push((account, cumulative, place));
        }
        for at in (0..size / 2).rev() {
            nodes[at] = parent(nodes[2 * at + 1], nodes[2 * at + 2]);
        }
        places.sort_unstable();
        Self { nodes, places }
    }

    /// Zero while nobody was ever paid: no claim proves against it.
    pub fn root(&self) -> B256 {
        self.nodes.first().copied().unwrap_or_default()
    }

    /// An account's cumulative amount and its proof.
    pub fn proof(&self, account: Address) -> Option<(U256, Vec<B256>)> {
        let found = self.places.binary_search_by_key(&account, |(account, ..)| *account).ok()?;
        let (_, cumulative, mut at) = self.places[found];
        let mut siblings = Vec::new();
        while at > 0 {
            // Odd places are left children.
            siblings.push(self.nodes[if at % 2 == 1 { at + 1 } else { at - 1 }]);
            at = (at - 1) / 2;
        }
        Some((cumulative, siblings))
    }
}

/// What the contract checks of a claim.
pub fn verify_claim(root: B256, account: Address, cumulative: U256, siblings: &[B256]) -> bool {
    siblings.iter().fold(payout_leaf(account, cumulative), |node, sibling| parent(node, *sibling)) == root
}
