//! What a site has earned, with the proof that the contract asks for.
//!
//! A site holds no ether: anybody may send its claim, and the contract pays the account that the proof names. The
//! site itself checks that what it would be paid is what was settled.

use almoner_chain::{RoundRecord, RoundStatus, StageRecord};
use almoner_protocol::types::PayoutItem;
use almoner_protocol::{Address, B256, MAX_WEIGHT_TOTAL, PayoutTree, Stage, U256, decode_list, verify_claim};

use crate::SiteError;
use crate::fetch::{Sources, bytes};

/// Accounts ever paid in a federation: members and validators of all rounds.
const MAX_ACCOUNTS: usize = 2 * MAX_WEIGHT_TOTAL as usize;
const PAYOUT_ITEM: u64 = 4 + 64;

/// A claim anybody may submit for `account`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub account: Address,
    /// All that the account has ever earned in the federation.
    pub cumulative: U256,
    pub proof: Vec<B256>,
}

/// An account's claim in a payout list; `None` if it never earned anything.
pub fn claim_from(items: &[PayoutItem], root: B256, account: Address) -> Result<Option<Claim>, SiteError> {
    let tree = PayoutTree::new(items);
    if tree.root() != root {
        return Err(SiteError::Root { what: "payout", stated: root, found: tree.root() });
    }
    let Some((cumulative, proof)) = tree.proof(account) else { return Ok(None) };
    if !verify_claim(root, account, cumulative, &proof) {
        return Err(SiteError::Claim("its own proof does not verify"));
    }
    Ok(Some(Claim { account, cumulative, proof }))
}

/// The site's claim under the root that people claim from now.
pub async fn own_claim(from: &Sources, rounds: &[RoundRecord]) -> Result<Option<Claim>, SiteError> {
    let Some(payout) = last_payout(rounds) else { return Ok(None) };
    let file = bytes(from.store.as_ref(), &payout.cid, 10 + MAX_ACCOUNTS as u64 * PAYOUT_ITEM).await?;
    let items: Vec<PayoutItem> = decode_list(&file, MAX_ACCOUNTS)?;
    let claim = claim_from(&items, payout.root, from.identity.account())?;
    let number = from.identity.federation().number;
    let current = from.ledger.payout_root(number).await?;
    if claim.is_none() || current == payout.root {
        return Ok(claim);
    }
    // A later round may have become final while we looked.
    let now = from.ledger.rounds(number).await?;
    match now.last() {
        Some(round) if last_payout(&now).is_some_and(|now| now.root != payout.root) => {
            Err(SiteError::Moved { round: round.number })
        }
        _ => Err(SiteError::Root { what: "payout of the federation", stated: current, found: payout.root }),
    }
}

/// The payout stage of the last final round.
fn last_payout(rounds: &[RoundRecord]) -> Option<&StageRecord> {
    let mut paid = rounds.iter().rev().filter(|round| round.status == RoundStatus::Final);
    paid.find_map(|round| round.stages.get(&Stage::Payout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_proves_itself() {
        let account = Address::repeat_byte;
        let items: Vec<PayoutItem> =
            (1..6).map(|i| PayoutItem { account: account(i), cumulative: U256::from(100 * u64::from(i)) }).collect();
        let root = PayoutTree::new(&items).root();
        let claim = claim_from(&items, root, account(3)).unwrap().unwrap();
        assert_eq!(claim.cumulative, U256::from(300));
        assert_eq!(claim_from(&items, root, account(9)).unwrap(), None);
        let mut forged = items;
        forged[2].cumulative -= U256::from(1);
        assert!(matches!(claim_from(&forged, root, account(3)), Err(SiteError::Root { .. })));
    }
}
