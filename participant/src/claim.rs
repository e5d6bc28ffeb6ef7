//! What a site has earned, with the proof that the contract asks for, and whether it was paid.
//!
//! A site holds no ether: anybody may send its claim, and the contract pays the account that the proof names. So the
//! coordinator sends it. The site itself checks before that what it would be paid is what was settled, and afterwards
//! that its balance grew by that.

use almoner_chain::{Ledger, LedgerError, RoundRecord, RoundStatus, StageRecord};
use almoner_proto::{ClaimRequest, RoundNotice};
use almoner_protocol::round::State;
use almoner_protocol::types::PayoutItem;
use almoner_protocol::{Address, B256, MAX_WEIGHT_TOTAL, PayoutTree, Stage, U256, decode_list, verify_claim};
use almoner_store::Store;

use serde::Deserialize;

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

impl Claim {
    /// What the coordinator is asked to send.
    pub fn request(&self, federation: u64) -> Result<ClaimRequest, SiteError> {
        let cumulative = u128::try_from(self.cumulative);
        let cumulative = cumulative.map_err(|_| SiteError::Claim("more than 2^128 base units"))?;
        Ok(ClaimRequest { federation, account: self.account, cumulative, proof: self.proof.clone() })
    }

    /// What the account was paid between two looks at the chain, the later of them at block `head` or after it, once
    /// somebody has said that the claim is in block `block`.
    pub fn paid(&self, before: Standing, after: Standing, head: u64, block: u64) -> Result<U256, SiteError> {
        if after.claimed < self.cumulative {
            return Err(match head < block {
                // Our node is behind the coordinator's.
                true => SiteError::NotThere { block, head },
                false => SiteError::Unpaid { block, cumulative: self.cumulative, claimed: after.claimed },
            });
        }
        let due = after.claimed.saturating_sub(before.claimed);
        // Others may send it tokens too; what it is owed must have come.
        let grew = after.balance.saturating_sub(before.balance);
        if grew < due {
            return Err(SiteError::Short { due, grew });
        }
        Ok(due)
    }
}

/// What the chain has of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its tokens.
    pub balance: U256,
    /// What the federation has paid it.
    pub claimed: U256,
}

impl Standing {
    /// Before asking: should it be paid between the two readings, no more is expected of the balance than it grows by.
    pub async fn before(ledger: &Ledger, federation: u64, account: Address) -> Result<Self, LedgerError> {
        let balance = ledger.balance(account).await?;
        Ok(Self { balance, claimed: ledger.claimed_by(federation, account).await? })
    }

    /// After it was said to be paid: the other way round, for the same reason.
    pub async fn after(ledger: &Ledger, federation: u64, account: Address) -> Result<Self, LedgerError> {
        let claimed = ledger.claimed_by(federation, account).await?;
        Ok(Self { balance: ledger.balance(account).await?, claimed })
    }
}

/// When a site asks to be paid. Claims are cumulative, so waiting loses nothing, and one transaction costs less than
/// one a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimPolicy {
    /// When the round is over and no further one is planned.
    #[default]
    WhenIdle,
    /// After every round.
    EachRound,
    /// Its operator claims in another way.
    Never,
}

impl ClaimPolicy {
    /// Whether to ask after this round, the last on chain, which is over. A notice may only make it earlier or later.
    pub(crate) fn is_due(self, notice: &RoundNotice, round: u64) -> bool {
        let over = [State::Settled, State::Void, State::Expired];
        match self {
            Self::EachRound => true,
            Self::Never => false,
            Self::WhenIdle => {
                let said = over.iter().any(|state| state.name() == notice.state);
                said && notice.round == round && notice.next_round == 0
            }
        }
    }
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
    let (number, account) = (from.identity.federation().number, from.identity.account());
    claim_of(&from.ledger, from.store.as_ref(), number, account, rounds).await
}

/// The same for any account: whoever looks needs no key. `rounds` are all of the federation's.
pub async fn claim_of(
    ledger: &Ledger,
    store: &dyn Store,
    number: u64,
    account: Address,
    rounds: &[RoundRecord],
) -> Result<Option<Claim>, SiteError> {
    let Some(payout) = last_payout(rounds) else { return Ok(None) };
    let file = bytes(store, &payout.cid, 10 + MAX_ACCOUNTS as u64 * PAYOUT_ITEM).await?;
    let items: Vec<PayoutItem> = decode_list(&file, MAX_ACCOUNTS)?;
    let claim = claim_from(&items, payout.root, account)?;
    let current = ledger.payout_root(number).await?;
    if claim.is_none() || current == payout.root {
        return Ok(claim);
    }
    // A later round may have become final while we looked.
    let now = ledger.rounds(number).await?;
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
    use almoner_proto::{ErrorKind, Kinded};

    use super::*;

    fn standing(balance: u64, claimed: u64) -> Standing {
        Standing { balance: U256::from(balance), claimed: U256::from(claimed) }
    }

    #[test]
    fn being_paid_is_seen_on_chain() {
        let claim = Claim { account: Address::repeat_byte(1), cumulative: U256::from(300), proof: Vec::new() };
        let before = standing(120, 100);
        assert_eq!(claim.paid(before, standing(320, 300), 9, 9).unwrap(), U256::from(200));
        // A gift on top, and a payment that somebody else had sent before we looked.
        assert_eq!(claim.paid(before, standing(321, 300), 9, 9).unwrap(), U256::from(200));
        assert_eq!(claim.paid(standing(320, 300), standing(320, 300), 9, 9).unwrap(), U256::ZERO);
        assert!(matches!(
            claim.paid(before, standing(319, 300), 9, 9),
            Err(SiteError::Short { due, grew }) if (due, grew) == (U256::from(200), U256::from(199))
        ));
        // Said to be paid and not there: a node that is behind, or a lie.
        let waits = claim.paid(before, before, 8, 9).unwrap_err();
        assert!(matches!(waits, SiteError::NotThere { block: 9, head: 8 }));
        assert!(waits.kind().retry_after().is_some());
        let lie = claim.paid(before, before, 9, 9).unwrap_err();
        assert!(matches!(lie, SiteError::Unpaid { block: 9, claimed, .. } if claimed == U256::from(100)));
        assert_eq!(lie.kind(), ErrorKind::PeerFault);
    }

    #[test]
    fn a_site_asks_when_it_is_told_to() {
        let notice = |state: &str, round, next_round| RoundNotice {
            federation: 1,
            round,
            state: state.into(),
            next_round,
            reason: String::new(),
            block: 0,
        };
        for (state, round, next, due) in [
            ("settled", 3, 0, true),
            ("void", 3, 0, true),
            ("expired", 3, 0, true),
            // Another round follows; the notice is of another round; the round is not over for the coordinator.
            ("settled", 3, 4, false),
            ("settled", 2, 0, false),
            ("proposed", 3, 0, false),
            ("", 0, 0, false),
        ] {
            let notice = notice(state, round, next);
            assert_eq!(ClaimPolicy::WhenIdle.is_due(&notice, 3), due, "{notice:?}");
            assert!(ClaimPolicy::EachRound.is_due(&notice, 3));
            assert!(!ClaimPolicy::Never.is_due(&notice, 3));
        }
    }

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
