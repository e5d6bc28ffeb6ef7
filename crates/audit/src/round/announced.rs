//! Stage 0: what the round is about, and who takes part.

use alloy_primitives::keccak256;
use almoner_chain::{EpochRecord, ReadyRecord, SeatRecord};
use almoner_crypto::matrix::{EpochSeed, matrix_root};
use almoner_protocol::spec::{FederationSpec, MAX_SPEC_BYTES};
use almoner_protocol::types::{CommitteeMember, Descriptor, Member, Validator, epoch_seed};
use almoner_protocol::{
    Address, B256, MAX_COMMITTEE, RoundFacts, check_descriptor, decode_model, model_file_length, model_root,
};

use super::RoundAudit;
use crate::history::Head;
use crate::tally::{Checked, Place, Wrong, ensure};
use crate::uploads::compute;
use crate::{AuditError, Kind};

/// How far the opening time that the deadlines imply may be from its block: clocks differ, and a transaction waits.
const OPENING_TOLERANCE_S: u64 = 900;

impl RoundAudit<'_> {
    pub(super) async fn announced(&mut self) -> Result<(), AuditError> {
        let (record, federation) = (self.record, &self.facts.federation);
        let (cids, lists) = (&record.cids, &record.descriptor.lists);
        self.spec().await;
        self.base_model().await;
        let (seats, round) = (&federation.members, record.number);
        self.seen.members = self
            .list(Kind::Members, &cids.members, lists.membershipRoot, seats.len(), |items| {
                check_members(items, seats, round)
            })
            .await;
        self.seen.committee = self
            .list(Kind::Committee, &cids.committee, lists.committeeRoot, MAX_COMMITTEE, |items| {
                check_committee(items, &record.readies)
            })
            .await;
        let seats = &federation.validators;
        self.seen.validators = self
            .list(Kind::Validators, &cids.validators, lists.validatorRoot, seats.len(), |items| {
                check_validators(items, seats, round)
            })
            .await;
        self.descriptor();
        self.matrix().await
    }

    async fn spec(&mut self) {
        let cid = &self.record.cids.spec;
        let expected = [self.record.descriptor.specHash, self.facts.federation.params.specHash];
        let read = self.artefacts().file(cid, MAX_SPEC_BYTES as u64).await;
        let outcome = read.and_then(|bytes| check_spec(&bytes, expected));
        self.seen.spec = self.tally.check(Kind::Spec, Place::cid(cid), outcome);
    }

    async fn base_model(&mut self) {
        let Some(spec) = &self.seen.spec else { return };
        let cid = &self.record.cids.base;
        let read = match model_file_length(&spec.model) {
            Ok(length) => self.artefacts().file(cid, length).await,
            Err(error) => Err(error.into()),
        };
        let outcome = read.and_then(|bytes| {
            let values = decode_model(&spec.model, &bytes)?;
            check_base(&self.record.descriptor, self.history.head, model_root(&values))?;
            Ok(values)
        });
        self.seen.base = self.tally.check(Kind::BaseModel, Place::cid(cid), outcome);
    }

    fn descriptor(&mut self) {
        let seen = &self.seen;
        let (Some(spec), Some(members), Some(committee), Some(validators)) =
            (&seen.spec, &seen.members, &seen.committee, &seen.validators)
        else {
            return;
        };
        let stated = &self.record.descriptor;
        let facts = RoundFacts {
            federation: self.facts.federation.number,
            round: self.record.number,
            // Both are held against the chain of models and the epoch by checks of their own.
            parent_ctx: stated.parentCtx,
            base_model_root: stated.baseModelRoot,
            matrix_root: stated.matrixRoot,
            members,
            committee,
            validators,
        };
        let outcome = check_descriptor(spec, &facts, stated)
            .map_err(Wrong::from)
            .and_then(|()| check_opening_time(spec, stated, self.record.opened_at));
        self.tally.check(Kind::Descriptor, Place::none(), outcome);
    }

    /// Recomputes the public matrix once per epoch and model size.
    async fn matrix(&mut self) -> Result<(), AuditError> {
        let (stated, blocks) = (&self.record.descriptor, self.blocks());
        let Some(epoch) = self.facts.epochs.get(&stated.epoch) else {
            let missing = Wrong::new(format!("epoch {} was not drawn", stated.epoch));
            self.tally.check::<()>(Kind::Matrix, Place::none(), Err(missing));
            return Ok(());
        };
        let at = &self.facts.deployment;
        let number = self.facts.federation.number;
        let seed = EpochSeed(epoch_seed(at.chain_id, at.federations, number, stated.epoch, epoch.beacon));
        let root = match self.history.matrices.get(&(stated.epoch, blocks)) {
            Some(root) => *root,
            None => {
                let root = B256::new(compute(move || matrix_root(&seed, blocks)).await?);
                self.history.matrices.insert((stated.epoch, blocks), root);
                root
            }
        };
        let outcome = check_matrix(stated, epoch, self.facts.federation.params.beaconless, root);
        self.seen.seed = self.tally.check(Kind::Matrix, Place::none(), outcome.map(|()| seed));
        Ok(())
    }
}

fn check_spec(bytes: &[u8], expected: [B256; 2]) -> Checked<FederationSpec> {
    let spec = FederationSpec::from_canonical(bytes)?;
    let found = spec.hash()?;
    ensure(expected == [found; 2], || {
        let [round, federation] = expected;
        Wrong::new(format!("its hash is {found}, the round names {round} and the federation {federation}"))
    })?;
    Ok(spec)
}

/// The first model is free; every other round starts from the model of the last one that made one.
fn check_base(stated: &Descriptor, head: Option<Head>, found: B256) -> Checked<()> {
    ensure(found == stated.baseModelRoot, || {
        Wrong::new(format!("its root is {found}, the descriptor names {}", stated.baseModelRoot))
    })?;
    let parent = head.map_or(B256::ZERO, |head| head.ctx);
    ensure(stated.parentCtx == parent, || {
        Wrong::new(format!("its parent is said to be {}, it is {parent}", stated.parentCtx))
    })?;
    let Some(head) = head else { return Ok(()) };
    ensure(found == head.model_root, || {
        Wrong::new(format!("its root is {found}, its parent ended with {}", head.model_root))
    })
}

fn check_members(items: &[Member], seats: &[SeatRecord], round: u64) -> Checked<()> {
    same_accounts(items.iter().map(|item| item.account), seated(seats, round))?;
    for item in items {
        let seat = seats.iter().find(|seat| seat.account == item.account);
        let same = seat.is_some_and(|seat| (seat.entity, seat.class) == (item.entity, item.class));
        ensure(same, || Wrong::of(item.account, "entity or class is not that of its seat"))?;
    }
    Ok(())
}

fn check_validators(items: &[Validator], seats: &[SeatRecord], round: u64) -> Checked<()> {
    same_accounts(items.iter().map(|item| item.account), seated(seats, round))?;
    for item in items {
        let seat = seats.iter().find(|seat| seat.account == item.account);
        let same = seat.is_some_and(|seat| (seat.entity, seat.stake) == (item.entity, item.stake));
        ensure(same, || Wrong::of(item.account, "entity or stake is not that of its seat"))?;
    }
    Ok(())
}

fn check_committee(items: &[CommitteeMember], readies: &[ReadyRecord]) -> Checked<()> {
    same_accounts(items.iter().map(|item| item.account), readies.iter().map(|ready| ready.member).collect())?;
    for item in items {
        let ready = readies.iter().find(|ready| ready.member == item.account);
        let same = ready.is_some_and(|ready| ready.key_hash == keccak256(&item.key));
        ensure(same, || Wrong::of(item.account, "its key is not the one it announced"))?;
    }
    Ok(())
}

/// Accounts whose seats count in a round.
fn seated(seats: &[SeatRecord], round: u64) -> Vec<Address> {
    seats.iter().filter(|seat| seat.since <= round).map(|seat| seat.account).collect()
}

/// A list against the accounts the chain has, in any order.
pub(super) fn same_accounts(listed: impl Iterator<Item = Address>, mut on_chain: Vec<Address>) -> Checked<()> {
    on_chain.sort_unstable();
    let listed: Vec<Address> = listed.collect();
    if let Some(account) = listed.iter().find(|account| on_chain.binary_search(account).is_err()) {
        return Err(Wrong::of(*account, "it is in the list, but not on chain"));
    }
    match on_chain.iter().find(|account| listed.binary_search(account).is_err()) {
        Some(account) => Err(Wrong::of(*account, "it is on chain, but not in the list")),
        None => Ok(()),
    }
}

fn check_opening_time(spec: &FederationSpec, stated: &Descriptor, block: u64) -> Checked<()> {
    let implied = stated.deadlines[0].saturating_sub(spec.round.deadlines.promise_s);
    ensure(implied.abs_diff(block) <= OPENING_TOLERANCE_S, || {
        Wrong::new(format!("deadlines: they count from {implied}, the round was opened at {block}"))
    })
}

fn check_matrix(stated: &Descriptor, epoch: &EpochRecord, beaconless: bool, found: B256) -> Checked<()> {
    ensure(!beaconless || epoch.beacon.is_zero(), || Wrong::new("a beacon in a federation without beacons"))?;
    ensure(epoch.matrix_root == Some(stated.matrixRoot), || {
        Wrong::new(format!("the root {} is not the one registered for epoch {}", stated.matrixRoot, epoch.epoch))
    })?;
    ensure(found == stated.matrixRoot, || {
        Wrong::new(format!(
            "the matrix of epoch {} has the root {found}, registered is {}",
            epoch.epoch, stated.matrixRoot
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> Address {
        Address::repeat_byte(n)
    }

    fn seat(n: u8, class: u16, since: u64) -> SeatRecord {
        SeatRecord { account: account(n), entity: B256::repeat_byte(n), class, since, stake: 1 }
    }

    fn member(n: u8, class: u16) -> Member {
        Member { account: account(n), entity: B256::repeat_byte(n), class }
    }

    #[test]
    fn members_are_the_seats_that_count() {
        let seats = [seat(2, 20, 1), seat(1, 10, 1), seat(3, 30, 5)];
        let right = [member(1, 10), member(2, 20)];
        assert_eq!(check_members(&right, &seats, 4), Ok(()));
        assert_eq!(check_members(&right, &seats, 5).unwrap_err().account, Some(account(3)));
        assert_eq!(check_members(&right[1..], &seats, 4).unwrap_err().account, Some(account(1)));
        let inflated = [member(1, 10), member(2, 21)];
        assert_eq!(check_members(&inflated, &seats, 4).unwrap_err().account, Some(account(2)));
        let stranger = [member(1, 10), member(2, 20), member(9, 1)];
        assert_eq!(check_members(&stranger, &seats, 4).unwrap_err().account, Some(account(9)));
    }

    #[test]
    fn validators_have_the_stake_of_their_seats() {
        let seats = [seat(1, 0, 1)];
        let item = |stake| [Validator { account: account(1), entity: B256::repeat_byte(1), stake }];
        assert_eq!(check_validators(&item(1), &seats, 1), Ok(()));
        assert!(check_validators(&item(2), &seats, 1).is_err());
    }

    #[test]
    fn committee_keys_are_those_announced() {
        let key = vec![7; 20];
        let ready = [ReadyRecord { member: account(1), key_hash: keccak256(&key), time: 0 }];
        let item = |key: Vec<u8>| [CommitteeMember { account: account(1), key: key.into() }];
        assert_eq!(check_committee(&item(key), &ready), Ok(()));
        assert!(check_committee(&item(vec![8; 20]), &ready).is_err());
        assert!(check_committee(&[], &ready).is_err());
    }

    #[test]
    fn a_base_model_is_what_its_parent_ended_with() {
        let (ours, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let head = Head { ctx: B256::repeat_byte(7), model_root: ours };
        let stated = |parent, root| Descriptor { parentCtx: parent, baseModelRoot: root, ..Descriptor::default() };
        assert_eq!(check_base(&stated(B256::ZERO, ours), None, ours), Ok(()));
        assert_eq!(check_base(&stated(head.ctx, ours), Some(head), ours), Ok(()));
        assert!(check_base(&stated(head.ctx, other), Some(head), other).is_err());
        assert!(check_base(&stated(head.ctx, ours), Some(head), other).is_err());
        assert!(check_base(&stated(B256::ZERO, ours), Some(head), ours).is_err());
        assert!(check_base(&stated(head.ctx, ours), None, ours).is_err());
    }
}
