//! The descriptor of a round: derived from the federation file, the lists and a few facts of the chain by one
//! function, and checked by everybody else by deriving it again.

use std::collections::BTreeSet;
use std::fmt::Debug;

use alloy_primitives::{Address, B256};
use almoner_crypto::seal::PUBLIC_KEY_BYTES;

use crate::Error;
use crate::committee::{Committee, MAX_COMMITTEE};
use crate::ids::epoch_of;
use crate::leak::check_leak;
use crate::list::{ListItem, check_order, list_root};
use crate::quality::STAKE_BITS;
use crate::scale::{DROP_BITS, Scale};
use crate::spec::FederationSpec;
use crate::types::{CommitteeMember, Descriptor, ListRoots, Member, Scales, Validator};

/// What a round is about beside the federation file: known from the chain and from the round before.
#[derive(Clone, Copy, Debug)]
pub struct RoundFacts<'a> {
    pub federation: u64,
    /// From 1.
    pub round: u64,
    /// ctx of the round whose model this one starts from; zero for the first.
    pub parent_ctx: B256,
    pub base_model_root: B256,
    /// Root of the public matrix of this round's epoch.
    pub matrix_root: B256,
    pub members: &'a [Member],
    /// The members that are ready: of all, or of those drawn.
    pub committee: &'a [CommitteeMember],
    pub validators: &'a [Validator],
}

/// The descriptor of a round that opens at `opened_at` (unix seconds) with `carried_pot` from rounds that paid nobody.
pub fn build_descriptor(
    spec: &FederationSpec,
    facts: &RoundFacts<'_>,
    opened_at: u64,
    carried_pot: u128,
) -> Result<Descriptor, Error> {
    if facts.round == 0 {
        return Err(Error::descriptor("round", "rounds count from 1"));
    }
    check_lists(facts)?;
    let committee = Committee::of(facts.committee.len())?;
    let parameters = spec.model.parameters()?;
    let validators = u16::try_from(facts.validators.len()).map_err(|_| Error::Overflow("number of validators"))?;
    check_leak(parameters, validators, spec.privacy.accept_leak)?;
    let pot = spec.round.pot.0.checked_add(carried_pot).ok_or(Error::Overflow("pot"))?;
    Ok(Descriptor {
        federation: facts.federation,
        round: facts.round,
        parentCtx: facts.parent_ctx,
        baseModelRoot: facts.base_model_root,
        specHash: spec.hash()?,
        scale: scales(spec, parameters, facts.members)?,
        members: committee.members,
        faults: committee.faults,
        threshold: committee.threshold,
        minAdmitted: min_admitted(spec, committee, facts.members.len())?,
        validators,
        acceptLeak: spec.privacy.accept_leak,
        scalarsMax: spec.scalars_max()?,
        lrNum: spec.rule.lr_num,
        lrDen: spec.rule.lr_den,
        pot,
        feeBps: spec.rule.fee_bps,
        rule: spec.rule.payment.number(),
        qualityFloor: spec.rule.quality_floor(),
        epoch: epoch_of(facts.round).ok_or(Error::Overflow("epoch"))?,
        matrixRoot: facts.matrix_root,
        lists: ListRoots {
            membershipRoot: list_root(facts.members),
            committeeRoot: list_root(facts.committee),
            validatorRoot: list_root(facts.validators),
        },
        challengeWindow: spec.round.challenge_window_s,
        deadlines: spec.round.deadlines.from_opening(opened_at)?,
    })
}

/// What a federation's file and seats must satisfy together for rounds to be possible: the rules of range, leak and
/// admission. Asked before the seats are given out; every descriptor is held to the same again.
pub fn check_terms(spec: &FederationSpec, members: &[Member], validators: usize) -> Result<(), Error> {
    // Of more than a committee holds it is a sample, of any size up to all of it.
    let committee = Committee::of(members.len().min(MAX_COMMITTEE))?;
    let parameters = spec.model.parameters()?;
    let validators = u16::try_from(validators).map_err(|_| Error::Overflow("number of validators"))?;
    check_leak(parameters, validators, spec.privacy.accept_leak)?;
    scales(spec, parameters, members)?;
    min_admitted(spec, committee, members.len()).map(|_| ())
}

/// Derives a descriptor again and names the first field that differs. The pot may be larger than the spec's (it was
/// carried) and the opening time is the one its deadlines imply; the caller compares that with the block.
pub fn check_descriptor(spec: &FederationSpec, facts: &RoundFacts<'_>, stated: &Descriptor) -> Result<(), Error> {
    let too_early = || differs("deadlines", &stated.deadlines, &spec.round.deadlines.seconds());
    let opened_at = stated.deadlines[0].checked_sub(spec.round.deadlines.promise_s).ok_or_else(too_early)?;
    let carried = stated.pot.checked_sub(spec.round.pot.0);
    let carried = carried.ok_or_else(|| differs("pot", &stated.pot, &spec.round.pot.0))?;
    compare(stated, &build_descriptor(spec, facts, opened_at, carried)?)
}

fn scales(spec: &FederationSpec, parameters: u32, members: &[Member]) -> Result<Scales, Error> {
    let classes: Vec<u16> = members.iter().map(|member| member.class).collect();
    let scale = Scale::derive(parameters, spec.rule.clip, spec.rule.frac_bits, &classes)?;
    Ok(Scales {
        parameters,
        clip: scale.clip,
        delta: scale.delta,
        updateBits: scale.update_bits,
        fracBits: spec.rule.frac_bits,
        dropBits: DROP_BITS,
        updateMax: scale.update_max,
        directionNorm: scale.direction_norm,
    })
}

/// Of a committee that is a sample, more may be admitted than serve.
fn min_admitted(spec: &FederationSpec, committee: Committee, members: usize) -> Result<u16, Error> {
    let least = committee.least_admitted();
    let most = if members > MAX_COMMITTEE { members } else { committee.members.into() };
    let wanted = spec.rule.min_admitted.unwrap_or(least);
    if wanted < least || usize::from(wanted) > most {
        let reason = format!("rule.min_admitted = {wanted}, but {least} to {most} fit this committee");
        return Err(Error::descriptor("minAdmitted", reason));
    }
    Ok(wanted)
}

fn check_lists(facts: &RoundFacts<'_>) -> Result<(), Error> {
    check_order(facts.members)?;
    check_order(facts.committee)?;
    check_order(facts.validators)?;
    let members: BTreeSet<Address> = facts.members.iter().map(|member| member.account).collect();
    for (item, member) in facts.committee.iter().enumerate() {
        if !members.contains(&member.account) {
            let (list, missing_from) = (CommitteeMember::LIST, Member::LIST);
            return Err(Error::Stranger { account: member.account, list, missing_from });
        }
        if member.key.len() != PUBLIC_KEY_BYTES {
            return Err(Error::ListItem { list: CommitteeMember::LIST, item, reason: "not an X-Wing public key" });
        }
    }
    let stake = facts.validators.iter().try_fold(0u128, |sum, validator| sum.checked_add(validator.stake));
    if stake.is_none_or(|stake| stake >> STAKE_BITS != 0) {
        return Err(Error::descriptor("validatorRoot", format!("stakes add up to 2^{STAKE_BITS} or more")));
    }
    Ok(())
}

fn differs<T: Debug>(field: &'static str, stated: &T, derived: &T) -> Error {
    Error::DescriptorDiffers { field, stated: format!("{stated:?}"), derived: format!("{derived:?}") }
}

macro_rules! compare_fields {
    ($stated:expr, $derived:expr, $($field:ident),+ $(,)?) => {
        $(if $stated.$field != $derived.$field {
            return Err(differs(stringify!($field), &$stated.$field, &$derived.$field));
        })+
    };
}

fn compare(stated: &Descriptor, derived: &Descriptor) -> Result<(), Error> {
    compare_fields!(stated, derived, federation, round, parentCtx, baseModelRoot, specHash);
    compare_fields!(stated.scale, derived.scale, parameters, clip, delta, updateBits, fracBits, dropBits);
    compare_fields!(stated.scale, derived.scale, updateMax, directionNorm);
    compare_fields!(stated, derived, members, faults, threshold, minAdmitted, validators, acceptLeak, scalarsMax);
    compare_fields!(stated, derived, lrNum, lrDen, pot, feeBps, rule, qualityFloor, epoch, matrixRoot);
    compare_fields!(stated.lists, derived.lists, membershipRoot, committeeRoot, validatorRoot);
    compare_fields!(stated, derived, challengeWindow, deadlines);
    Ok(())
}

#[cfg(test)]
mod tests;
