//! A federation as its coordinator holds it between rounds: who joined, who is ready, where the model and the money
//! stand. No waiting and no wire in here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use almoner_proto::{JoinRequest, ReadyRequest};
use almoner_protocol::round::Signed;
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::{CommitteeMember, Join, Member, Ready, Validator};
use almoner_protocol::{
    Address, B256, Bytes, CumulativeLedger, ListItem, MAX_COMMITTEE, MIN_COMMITTEE, Sample, check_terms, classes_of,
};
use serde::{Deserialize, Serialize};

use crate::CoordinatorError;

/// Role of a `Join`.
pub(crate) const MEMBER: u8 = 0;
pub(crate) const VALIDATOR: u8 = 1;

/// The model a round starts from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Base {
    pub(crate) parent_ctx: B256,
    pub(crate) root: B256,
    pub(crate) cid: Bytes,
}

#[derive(Clone, Debug)]
struct Offer {
    ready: Signed<Ready>,
    key: Bytes,
}

/// What is known of one federation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Campaign {
    pub(crate) number: u64,
    pub(crate) spec: FederationSpec,
    pub(crate) spec_cid: Bytes,
    #[serde(skip)]
    joins: BTreeMap<(u8, Address), JoinRequest>,
    members: Vec<Member>,
    validators: Vec<Validator>,
    /// Seats that are fixed and not on chain yet.
    pub(crate) unsent: VecDeque<Seat>,
    #[serde(skip)]
    offers: BTreeMap<Address, Offer>,
    /// When enough members had offered to serve.
    #[serde(skip)]
    pub(crate) enough_since: Option<u64>,
    pub(crate) last_round: u64,
    pub(crate) to_run: u32,
    pub(crate) base: Base,
    pub(crate) cumulative: CumulativeLedger,
    pub(crate) earlier_sets: Vec<Vec<Address>>,
    /// Why no further round is opened although it was asked for.
    #[serde(skip)]
    pub(crate) short: Option<Shortage>,
}

/// A pot that is not there. Looked for before anybody is asked for anything, because every attempt would cost gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "federation {federation} has {available} base units, a round takes {pot}: almoner federation fund {federation} TOTAL"
)]
pub(crate) struct Shortage {
    pub(crate) federation: u64,
    pub(crate) available: u128,
    pub(crate) pot: u128,
}

/// A seat to be relayed to the chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub(crate) consent: Join,
    pub(crate) class: u16,
    pub(crate) signature: Bytes,
}

impl Campaign {
    pub(crate) fn new(number: u64, spec: FederationSpec, spec_cid: Bytes, base: Base) -> Self {
        Self {
            number,
            spec,
            spec_cid,
            joins: BTreeMap::new(),
            members: Vec::new(),
            validators: Vec::new(),
            unsent: VecDeque::new(),
            offers: BTreeMap::new(),
            enough_since: None,
            last_round: 0,
            to_run: 0,
            base,
            cumulative: CumulativeLedger::default(),
            earlier_sets: Vec::new(),
            short: None,
        }
    }

    /// Seats are given out when the first rounds are launched, because a class depends on the largest hospital.
    pub(crate) fn join(&mut self, request: JoinRequest) -> Result<(), CoordinatorError> {
        let join = &request.join.message;
        if join.federation != self.number {
            return Err(CoordinatorError::NotFound(format!("join.federation: {} is not served here", join.federation)));
        }
        if self.seated() {
            return Err(CoordinatorError::Conflict(
                "join: the federation has been launched, its seats are fixed".into(),
            ));
        }
        self.joins.insert((join.role, join.account), request);
        Ok(())
    }

    /// How many rounds an order means, from the one in hand on. What the file plans is no limit: pot and leak caps are.
    pub(crate) fn ordered(&self, rounds: Option<u32>) -> Result<u32, CoordinatorError> {
        let planned = self.spec.round.rounds;
        let left = planned.saturating_sub(u32::try_from(self.last_round).unwrap_or(u32::MAX));
        rounds.or((left > 0).then_some(left)).ok_or_else(|| {
            CoordinatorError::Conflict(format!(
                "launch: the rounds that the federation's file plans ({planned}) are over: almoner federation launch {} \
                 --rounds R runs R more",
                self.number
            ))
        })
    }

    pub(crate) fn seated(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether those who joined can be paid: seats are given out for good.
    fn enough(&self) -> Result<(), CoordinatorError> {
        let [members, validators] = [MEMBER, VALIDATOR].map(|role| self.of_role(role).count());
        let lacking = match (members, validators) {
            (..MIN_COMMITTEE, _) => format!(
                "{members} hospitals have joined, {MIN_COMMITTEE} are the least: start them (almoner participant) and \
                 launch again once each has logged `joined`"
            ),
            (_, 0) => "no validator has joined, so no round could pay anybody, and seats are fixed at the launch: start a \
                       site with the role (almoner participant init --role validator, or both) and launch again once it \
                       has logged `joined`"
                .into(),
            _ => return Ok(()),
        };
        Err(CoordinatorError::Conflict(format!("launch: {lacking}")))
    }

    /// Attests everybody's class and fixes the seats, unless no round could be opened with them.
    pub(crate) fn seat(&mut self) -> Result<Vec<Seat>, CoordinatorError> {
        self.enough()?;
        let rows: Vec<u32> = self.of_role(MEMBER).map(|request| request.rows).collect();
        let classes = classes_of(&rows);
        let seat = |request: &JoinRequest, class| Seat {
            consent: request.join.message.clone(),
            class,
            signature: Bytes::copy_from_slice(&request.join.signature),
        };
        let members: Vec<Seat> =
            self.of_role(MEMBER).zip(classes).map(|(request, class)| seat(request, class)).collect();
        let validators: Vec<Seat> = self.of_role(VALIDATOR).map(|request| seat(request, 0)).collect();
        let seated: Vec<Member> = members
            .iter()
            .map(|s| Member { account: s.consent.account, entity: s.consent.entity, class: s.class })
            .collect();
        check_terms(&self.spec, &seated, validators.len())?;
        self.members = seated;
        self.validators = validators
            .iter()
            .map(|s| Validator { account: s.consent.account, entity: s.consent.entity, stake: 1 })
            .collect();
        Ok(members.into_iter().chain(validators).collect())
    }

    pub(crate) fn is_member(&self, account: Address) -> bool {
        self.members.binary_search_by_key(&account, ListItem::key).is_ok()
    }

    pub(crate) fn seats(&self) -> (Vec<Member>, Vec<Validator>) {
        (self.members.clone(), self.validators.clone())
    }

    /// The seats of a federation that was launched, where this record of it has none.
    pub(crate) fn take_seats(&mut self, (members, validators): (Vec<Member>, Vec<Validator>)) {
        if !self.seated() {
            (self.members, self.validators) = (members, validators);
        }
    }

    /// What `earlier` was told and the chain does not know: consents, and rounds that were asked for.
    pub(crate) fn keep_waiting(&mut self, earlier: Self) {
        self.to_run = earlier.to_run;
        self.joins = earlier.joins;
        self.offers = earlier.offers;
        self.enough_since = earlier.enough_since;
    }

    fn of_role(&self, role: u8) -> impl Iterator<Item = &JoinRequest> {
        self.joins.range((role, Address::ZERO)..=(role, Address::repeat_byte(0xff))).map(|(_, request)| request)
    }

    /// The round readiness is being asked for, if any.
    pub(crate) fn next_round(&self) -> Option<u64> {
        (self.to_run > 0 && self.short.is_none()).then_some(self.last_round + 1)
    }

    /// Takes an offer to serve; a later one of the same member replaces it until the round opens.
    pub(crate) fn offer(&mut self, request: ReadyRequest, now: u64) -> Result<(), CoordinatorError> {
        let ReadyRequest { ready, key } = request;
        let signature = Bytes::copy_from_slice(&ready.signature);
        let ready = Signed { message: ready.message, signature };
        if Some(ready.message.round) != self.next_round() || ready.message.federation != self.number {
            return Err(CoordinatorError::NotNow("ready.round: readiness is not being asked for this round"));
        }
        let account = ready.message.member;
        if !self.is_member(account) {
            return Err(CoordinatorError::NotFound(format!("ready.member: {account} has no seat")));
        }
        self.offers.insert(account, Offer { ready, key: key.into() });
        if self.offers.len() >= almoner_protocol::MIN_COMMITTEE {
            self.enough_since.get_or_insert(now);
        }
        Ok(())
    }

    pub(crate) fn all_ready(&self) -> bool {
        self.seated() && self.offers.len() == self.members.len()
    }

    /// Who of a round's federation serves, if not everybody who is ready.
    pub(crate) fn sample(&self, beacon: B256, round: u64) -> Option<Sample> {
        Sample::of(self.members.len(), beacon, self.number, round)
    }

    /// Everybody who would take part in a round that opened now. Where more are drawn than there is room for, those
    /// whose readiness is on chain `already` come first, then the lowest lots.
    pub(crate) fn committee(&self, sample: Option<&Sample>, already: &BTreeSet<Address>) -> Committee {
        let drawn = |account: &&Address| sample.is_none_or(|sample| sample.drawn(**account));
        let mut serving: Vec<Address> = self.offers.keys().filter(drawn).copied().collect();
        if let Some(sample) = sample {
            serving.sort_by_key(|account| (!already.contains(account), sample.lot(*account)));
            serving.truncate(MAX_COMMITTEE);
            serving.sort();
        }
        let offers = || serving.iter().map(|account| (account, &self.offers[account]));
        Committee {
            members: self.members.clone(),
            committee: offers()
                .map(|(account, offer)| CommitteeMember { account: *account, key: offer.key.clone() })
                .collect(),
            offers: offers().map(|(_, offer)| offer.ready.clone()).collect(),
            validators: self.validators.clone(),
        }
    }

    /// Offers serve for one round only.
    pub(crate) fn forget_offers(&mut self) {
        self.enough_since = None;
        self.offers.clear();
    }
}

/// Who takes part in one round.
#[derive(Debug)]
pub(crate) struct Committee {
    pub(crate) members: Vec<Member>,
    pub(crate) committee: Vec<CommitteeMember>,
    pub(crate) offers: Vec<Signed<Ready>>,
    pub(crate) validators: Vec<Validator>,
}

#[cfg(test)]
mod tests;
