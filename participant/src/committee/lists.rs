//! What must hold of the promise, lock and direction lists before a member acknowledges H_direction.

use std::collections::{BTreeMap, BTreeSet};

use almoner_chain::{RoundRecord, StageRecord};
use almoner_protocol::types::{Contribution, DirectionItem, LockItem, PromiseItem, Receipt};
use almoner_protocol::{
    Address, B256, ListItem, NORM_CLASSES, SolStruct, Stage, check_direction, list_root, packed_direction_length,
    unpack_direction,
};

use crate::fetch::{Sources, Terms, list};
use crate::{Identity, SiteError};

const PROMISE_ITEM: usize = 64;
const LOCK_ITEM: usize = 4096;
/// ABI words around the entries of a direction.
const DIRECTION_HEADER: usize = 160;

/// The lists that H_direction covers, held against their roots.
#[derive(Clone, Debug)]
pub struct Revealed {
    pub promises: Vec<PromiseItem>,
    pub lock: Vec<LockItem>,
    pub directions: Vec<DirectionItem>,
}

/// Reads the three lists.
pub async fn revealed(from: &Sources, terms: &Terms, round: &RoundRecord) -> Result<Revealed, SiteError> {
    let store = from.store.as_ref();
    let (promise, lock) = (stage(round, Stage::Promise)?, stage(round, Stage::Lock)?);
    let direction = stage(round, Stage::Direction)?;
    let validators = terms.validators.len();
    let item = packed_direction_length(terms.descriptor.scale.parameters) + DIRECTION_HEADER;
    let (promises, lock, directions) = tokio::join!(
        list(store, &promise.cid, validators, PROMISE_ITEM, promise.root),
        list(store, &lock.cid, terms.members.len(), LOCK_ITEM, lock.root),
        list(store, &direction.cid, validators, item, direction.root),
    );
    Ok(Revealed { promises: promises?, lock: lock?, directions: directions? })
}

/// What was posted at a stage.
pub(crate) fn stage(round: &RoundRecord, stage: Stage) -> Result<&StageRecord, SiteError> {
    let missing = SiteError::List { list: stage.name(), reason: "not posted".into() };
    round.stages.get(&stage).ok_or(missing)
}

/// Checks the lists against the chain. `own` is the hash of the manifest for which this site holds a receipt.
pub fn check_revealed(
    identity: &Identity,
    terms: &Terms,
    round: &RoundRecord,
    revealed: &Revealed,
    own: Option<B256>,
) -> Result<(), SiteError> {
    check_promises(terms, round, &revealed.promises)?;
    check_lock(identity, terms, round, &revealed.lock)?;
    check_directions(terms, round, revealed)?;
    let kept = |hash: B256| revealed.lock.iter().any(|item| item.manifest.eip712_hash_struct() == hash);
    match own {
        Some(hash) if !kept(hash) => Err(SiteError::Omitted),
        _ => Ok(()),
    }
}

/// Every promise on chain is in the list, and nothing else is: each comes from a validator of the round.
fn check_promises(terms: &Terms, round: &RoundRecord, promises: &[PromiseItem]) -> Result<(), SiteError> {
    let posted: BTreeMap<Address, B256> =
        round.promises.iter().map(|promise| (promise.validator, promise.commitment)).collect();
    let listed: BTreeMap<Address, B256> =
        promises.iter().map(|promise| (promise.validator, promise.commitment)).collect();
    if posted != listed {
        return Err(differs(PromiseItem::LIST, "not the promises on chain"));
    }
    if promises.iter().all(|promise| terms.is_validator(promise.validator)) {
        return Ok(());
    }
    Err(differs(PromiseItem::LIST, "names an account that is no validator of the round"))
}

fn check_lock(identity: &Identity, terms: &Terms, round: &RoundRecord, lock: &[LockItem]) -> Result<(), SiteError> {
    if round.locked.is_some_and(|count| count as usize != lock.len()) {
        return Err(differs(LockItem::LIST, "another length than was locked"));
    }
    for item in lock {
        check_item(identity, terms, round, item)
            .map_err(|reason| SiteError::LockItem { participant: item.manifest.participant, reason })?;
    }
    let listed: BTreeSet<Address> = lock.iter().map(|item| item.manifest.participant).collect();
    match round.direct.iter().find(|direct| !listed.contains(&direct.manifest.participant)) {
        Some(_) => Err(differs(LockItem::LIST, "leaves out a contribution committed on chain")),
        None => Ok(()),
    }
}

fn check_item(identity: &Identity, terms: &Terms, round: &RoundRecord, item: &LockItem) -> Result<(), &'static str> {
    let LockItem { manifest, signature, receipt, receivedAt } = item;
    if manifest.ctx != terms.ctx {
        return Err("of another round");
    }
    if !terms.is_member(manifest.participant) {
        return Err("not of a member");
    }
    if manifest.blocks != terms.blocks() || manifest.normClass >= NORM_CLASSES {
        return Err("of another model, or without a norm class");
    }
    if identity.signer(manifest, signature).ok() != Some(manifest.participant) {
        return Err("not signed by its participant");
    }
    if receipt.is_empty() {
        return committed(round, manifest).then_some(()).ok_or("without a receipt, and not committed on chain");
    }
    let stated = Receipt {
        ctx: manifest.ctx,
        participant: manifest.participant,
        manifestHash: manifest.eip712_hash_struct(),
        receivedAt: *receivedAt,
    };
    match identity.signer(&stated, receipt) {
        Ok(signer) if signer == terms.coordinator => Ok(()),
        _ => Err("with a receipt that the coordinator did not sign"),
    }
}

fn committed(round: &RoundRecord, manifest: &Contribution) -> bool {
    round.direct.iter().any(|direct| direct.manifest == *manifest)
}

/// Exactly the directions revealed on chain, each one that members may answer.
fn check_directions(terms: &Terms, round: &RoundRecord, revealed: &Revealed) -> Result<(), SiteError> {
    let posted: BTreeMap<Address, B256> =
        round.reveals.iter().map(|reveal| (reveal.validator, reveal.direction_root)).collect();
    let root = |item: &DirectionItem| list_root(std::slice::from_ref(item));
    let listed: BTreeMap<Address, B256> = revealed.directions.iter().map(|item| (item.validator, root(item))).collect();
    if posted != listed {
        return Err(differs(DirectionItem::LIST, "not the directions revealed on chain"));
    }
    for item in &revealed.directions {
        if !revealed.promises.iter().any(|promise| promise.validator == item.validator) {
            return Err(differs(DirectionItem::LIST, "a direction without a promise"));
        }
        let parameters = terms.descriptor.scale.parameters;
        check_direction(&unpack_direction(&item.entries, parameters)?, parameters)?;
    }
    Ok(())
}

fn differs(list: &'static str, reason: &str) -> SiteError {
    SiteError::List { list, reason: reason.into() }
}
