//! What a round is about: fixed when it is announced, the same for everybody.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use serde::{Deserialize, Serialize};

use super::Rejection;
use crate::Error;
use crate::list::{ListItem, check_order, list_root};
use crate::payout::CumulativeLedger;
use crate::types::{CommitteeMember, Descriptor, Member, Validator, ctx, domain, recover, signing_hash};

/// What a round is opened with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub chain_id: u64,
    /// The contract `Rounds`: signatures are bound to it.
    pub rounds: Address,
    /// Who signs receipts.
    pub coordinator: Address,
    pub descriptor: Descriptor,
    pub members: Vec<Member>,
    pub committee: Vec<CommitteeMember>,
    pub validators: Vec<Validator>,
    /// What each account was awarded in this federation before this round.
    pub cumulative: CumulativeLedger,
    /// Sets admitted by earlier rounds over the same base model whose sums were never opened. U must not differ from
    /// one of them by exactly one participant: the two sums would tell that one's update.
    pub earlier_sets: Vec<Vec<Address>>,
}

/// A [`Setup`] that was checked against its descriptor, without the committee's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) chain_id: u64,
    pub(super) rounds: Address,
    pub(super) coordinator: Address,
    pub(super) ctx: B256,
    pub(super) descriptor: Descriptor,
    pub(super) members: Vec<Member>,
    /// By committee index.
    pub(super) committee: Vec<Address>,
    pub(super) validators: Vec<Validator>,
    pub(super) cumulative: CumulativeLedger,
    pub(super) earlier_sets: Vec<Vec<Address>>,
}

impl Terms {
    pub(super) fn new(setup: Setup) -> Result<Self, Error> {
        let Setup {
            chain_id,
            rounds,
            coordinator,
            descriptor,
            members,
            committee,
            validators,
            cumulative,
            earlier_sets,
        } = setup;
        check_list("membershipRoot", &members, descriptor.lists.membershipRoot)?;
        check_list("committeeRoot", &committee, descriptor.lists.committeeRoot)?;
        check_list("validatorRoot", &validators, descriptor.lists.validatorRoot)?;
        check_count("members", committee.len(), descriptor.members)?;
        check_count("validators", validators.len(), descriptor.validators)?;
        check_threshold(&descriptor)?;
        let ctx = ctx(chain_id, rounds, &descriptor);
        let committee = committee.into_iter().map(|member| member.account).collect();
        Ok(Self {
            chain_id,
            rounds,
            coordinator,
            ctx,
            descriptor,
            members,
            committee,
            validators,
            cumulative,
            earlier_sets,
        })
    }

    pub(super) fn domain(&self) -> Eip712Domain {
        domain(self.chain_id, self.rounds)
    }

    pub(super) fn threshold(&self) -> usize {
        usize::from(self.descriptor.threshold)
    }

    pub(super) fn member(&self, account: Address) -> Result<&Member, Rejection> {
        find(&self.members, account).ok_or(Rejection::Stranger { account, list: Member::NAME })
    }

    pub(super) fn validator(&self, account: Address) -> Result<&Validator, Rejection> {
        find(&self.validators, account).ok_or(Rejection::Stranger { account, list: Validator::NAME })
    }

    /// Committee index of an account.
    pub(super) fn committee_index(&self, account: Address) -> Result<u16, Rejection> {
        let index = self.committee.binary_search(&account).ok().and_then(|index| u16::try_from(index).ok());
        index.ok_or(Rejection::Stranger { account, list: CommitteeMember::NAME })
    }

    /// The message is of this round and its signature is `account`'s.
    pub(super) fn check_signed<T: SolStruct>(
        &self,
        account: Address,
        field: &'static str,
        of: B256,
        message: &T,
        signature: &[u8],
    ) -> Result<(), Rejection> {
        if of != self.ctx {
            return Err(Rejection::OtherRound { account, field });
        }
        let refused = |reason: String| Rejection::Signature { account, field, reason };
        match recover(signing_hash(message, &self.domain()), signature) {
            Ok(signer) if signer == account => Ok(()),
            Ok(signer) => Err(refused(format!("it is {signer}'s"))),
            Err(error) => Err(refused(error.to_string())),
        }
    }
}

/// Lists are sorted by account, so a binary search finds it.
fn find<T: ListItem<Key = Address>>(list: &[T], account: Address) -> Option<&T> {
    list.binary_search_by_key(&account, ListItem::key).ok().and_then(|index| list.get(index))
}

fn check_list<T: ListItem>(field: &'static str, list: &[T], root: B256) -> Result<(), Error> {
    check_order(list)?;
    match list_root(list) == root {
        true => Ok(()),
        false => Err(Error::descriptor(field, "the list has another root")),
    }
}

fn check_count(field: &'static str, listed: usize, announced: u16) -> Result<(), Error> {
    match listed == usize::from(announced) {
        true => Ok(()),
        false => Err(Error::descriptor(field, format!("{announced} announced, {listed} listed"))),
    }
}

/// The range, leak and scale rules are the descriptor's own business; these two would break the steps below.
fn check_threshold(descriptor: &Descriptor) -> Result<(), Error> {
    if descriptor.threshold == 0 || descriptor.threshold > descriptor.members {
        return Err(Error::descriptor("threshold", "must be between 1 and the number of members"));
    }
    if !descriptor.scale.delta.is_power_of_two() {
        return Err(Error::descriptor("delta", "must be a power of two"));
    }
    Ok(())
}
