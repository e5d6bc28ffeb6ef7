//! Stage 6: who is in the sum follows from what is posted, and t members put their names to it.

use std::collections::BTreeSet;

use almoner_chain::{AdmittedRecord, StageRecord};
use almoner_protocol::types::{AdmitItem, CommitteeMember};
use almoner_protocol::{Address, Admission, Admitted, Evidence, admit};

use super::{RoundAudit, posted_set};
use crate::Kind;
use crate::history::unknown;
use crate::tally::{Checked, Place, Wrong, ensure};

impl RoundAudit<'_> {
    pub(super) async fn admitted(&mut self, posted: &StageRecord) {
        let most = self.facts.federation.members.len();
        let on_chain = self.record.admitted.as_ref();
        let place = Place::cid(&posted.cid);
        let items = self.list(Kind::Admit, &posted.cid, posted.root, most, |items| check_count(items, on_chain)).await;
        if let Some(follows) = self.follows() {
            let compared = follows.and_then(|admitted| {
                if let Some(items) = &items {
                    compare(items, &admitted.items)?;
                }
                Ok(admitted)
            });
            self.seen.admission = self.tally.check(Kind::Admit, place, compared);
        }
        if let Some(items) = &items {
            let set: BTreeSet<Address> = posted_set(items).map(|item| item.participant).collect();
            let apart = check_distance(&set, &self.history.sets);
            self.tally.check(Kind::Admit, place, apart);
            self.history.sets.push(set);
        }
        if let Some(committee) = &self.seen.committee {
            let signed = check_signers(on_chain, committee, usize::from(self.record.descriptor.threshold));
            self.tally.check(Kind::AdmitSignatures, Place::none(), signed);
        }
        self.history.last_admitted = Some(self.seen.admission.clone().map_or_else(unknown, Ok));
        self.seen.admitted = items;
    }

    /// The public rule over the posted lists; `None` where one of them is missing.
    fn follows(&self) -> Option<Checked<Admitted>> {
        let seen = &self.seen;
        let evidence = Evidence {
            descriptor: &self.record.descriptor,
            members: seen.members.as_ref()?,
            validators: seen.validators.as_ref()?,
            promises: seen.promises.as_ref()?,
            directions: &seen.directions.as_ref()?.0,
            lock: seen.lock.as_ref()?,
            audit: seen.audit.as_ref()?,
            scores: seen.scores.as_ref()?,
        };
        Some(match admit(&evidence) {
            Ok(Admission::Admitted(admitted)) => Ok(admitted),
            Ok(Admission::TooFew { have, need }) => {
                Err(Wrong::new(format!("{have} valid uploads are left where {need} are the least")))
            }
            Err(error) => Err(error.into()),
        })
    }
}

/// The chain knows how many there are.
fn check_count(items: &[AdmitItem], on_chain: Option<&AdmittedRecord>) -> Checked<()> {
    let listed = posted_set(items).count();
    let stated = on_chain.map_or(0, |admitted| usize::from(admitted.count));
    ensure(listed == stated, || Wrong::new(format!("{listed} are admitted in the list, {stated} on chain")))
}

fn compare(stated: &[AdmitItem], found: &[AdmitItem]) -> Checked<()> {
    if let Some((stated, found)) = stated.iter().zip(found).find(|(stated, found)| stated != found) {
        let show =
            |item: &AdmitItem| format!("verdict {}, class {}, quality {}", item.verdict, item.class, item.quality);
        let text = format!("{} is stated; it follows: {}", show(stated), show(found));
        return Err(Wrong::of(stated.participant, text));
    }
    ensure(stated.len() == found.len(), || {
        Wrong::new(format!("{} rows are listed where {} uploads are locked", stated.len(), found.len()))
    })
}

/// Two sums over one base model whose sets differ by one participant would tell its update.
fn check_distance(set: &BTreeSet<Address>, earlier: &[BTreeSet<Address>]) -> Checked<()> {
    let only = earlier.iter().find_map(|earlier| {
        let mut difference = earlier.symmetric_difference(set);
        match (difference.next(), difference.next()) {
            (Some(one), None) => Some(*one),
            _ => None,
        }
    });
    match only {
        Some(one) => Err(Wrong::of(one, "the only difference from a set admitted before over the same base model")),
        None => Ok(()),
    }
}

/// t different members of the committee; that each signed `H_admit` of this round is what the contract checks.
fn check_signers(on_chain: Option<&AdmittedRecord>, committee: &[CommitteeMember], threshold: usize) -> Checked<()> {
    let signers = on_chain.map(|admitted| admitted.signers.as_slice()).unwrap_or_default();
    ensure(signers.len() >= threshold, || {
        Wrong::new(format!("{} members acknowledged the set, {threshold} are needed", signers.len()))
    })?;
    ensure(signers.is_sorted_by(|a, b| a < b), || Wrong::new("a member is named twice, or out of order"))?;
    let stranger = signers.iter().find(|signer| !committee.iter().any(|member| member.account == **signer));
    match stranger {
        Some(stranger) => Err(Wrong::of(*stranger, "it is not in the committee")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> Address {
        Address::repeat_byte(n)
    }

    fn item(n: u8, verdict: u8) -> AdmitItem {
        AdmitItem { participant: account(n), verdict, class: 10, quality: 5 }
    }

    #[test]
    fn the_posted_set_is_the_one_that_follows() {
        let items = [item(1, 0), item(2, 4), item(3, 0)];
        assert_eq!(compare(&items, &items), Ok(()));
        let mut other = items.clone();
        other[1].quality = 6;
        assert_eq!(compare(&other, &items).unwrap_err().account, Some(account(2)));
        assert!(compare(&items[..2], &items).is_err());
        let count = |count| AdmittedRecord { count, signers: vec![] };
        assert_eq!(check_count(&items, Some(&count(2))), Ok(()));
        assert!(check_count(&items, Some(&count(3))).is_err());
    }

    #[test]
    fn a_second_set_differs_by_none_or_by_two() {
        let set = |accounts: &[u8]| accounts.iter().map(|n| account(*n)).collect::<BTreeSet<_>>();
        let before = [set(&[1, 2, 3, 4])];
        assert_eq!(check_distance(&set(&[1, 2, 3, 4]), &before), Ok(()));
        assert_eq!(check_distance(&set(&[1, 2, 3, 5]), &before), Ok(()));
        assert_eq!(check_distance(&set(&[1, 2, 3]), &before).unwrap_err().account, Some(account(4)));
        assert!(check_distance(&set(&[1, 2, 3, 4, 5]), &before).is_err());
    }

    #[test]
    fn the_certificate_has_t_members_once_each() {
        let committee = [1, 2, 3, 4].map(|n| CommitteeMember { account: account(n), key: Default::default() });
        let signed = |signers: &[u8]| {
            let signers = signers.iter().map(|n| account(*n)).collect();
            check_signers(Some(&AdmittedRecord { count: 3, signers }), &committee, 3)
        };
        assert_eq!(signed(&[1, 2, 4]), Ok(()));
        assert!(signed(&[1, 2]).is_err());
        assert!(signed(&[1, 2, 2]).is_err());
        assert_eq!(signed(&[1, 2, 9]).unwrap_err().account, Some(account(9)));
    }
}
