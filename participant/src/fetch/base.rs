//! The base model of a round: what its CID locates, what its root says, and what follows from the rounds before must
//! be one and the same. Only a newcomer fetches it: the others compute it, its root and its CID.
//!
//! A coordinator that gives one site another base model than the others (a trap) learns that site's update from the
//! sum. So a site that has verified a model before recomputes every model since from its own copy, and a newcomer
//! takes only what the parent round posted as its result.

use almoner_chain::{RoundRecord, StageRecord};
use almoner_crypto::encrypt::WIDE_BLOCK_BYTES;
use almoner_crypto::matrix::{CHECK_BLOCKS, EpochSeed};
use almoner_crypto::ring::N;
use almoner_protocol::spec::{FederationSpec, ModelSpec};
use almoner_protocol::{B256, MAX_COMMITTEE, Stage, decode_model, encode_model, model_file_length, model_root};
use almoner_store::{Layout, Store, cid_from_bytes, cid_of};

use super::terms::seed_of;
use super::{Aggregate, Sources, artefact, next_base};
use crate::SiteError;

const ADMIT_ITEM: usize = 128;
const OPEN_ITEM: usize = 1 << 15;

/// Finds and verifies the base model of `round`, and remembers it.
pub async fn base_model(
    from: &Sources,
    spec: &FederationSpec,
    rounds: &[RoundRecord],
    round: &RoundRecord,
) -> Result<Vec<i32>, SiteError> {
    let stated = round.descriptor.baseModelRoot;
    let base = match from.memory.verified_model().await? {
        Some((root, values)) => {
            let path = trace(rounds, round, root)?;
            let (own, root) = replay(from, path, values).await?;
            if root != stated {
                return Err(trap(round, root));
            }
            is_located(&spec.model, &own, &round.cids.base)?;
            own
        }
        None => {
            check_parent(rounds, round)?;
            published(from, &spec.model, &round.cids.base, stated).await?
        }
    };
    from.memory.keep_model(stated, &base).await?;
    Ok(base)
}

/// The file of a model is a function of it, so whoever has the model knows its CID without fetching it.
fn is_located(model: &ModelSpec, values: &[i32], cid: &[u8]) -> Result<(), SiteError> {
    let (stated, found) = (cid_from_bytes(cid)?, cid_of(&encode_model(model, values)?, Layout::V1_2025));
    if found == stated {
        return Ok(());
    }
    Err(SiteError::BaseCid { stated: stated.to_string(), found: found.to_string() })
}

/// What the CID locates, held against the root that the descriptor states.
async fn published(from: &Sources, model: &ModelSpec, cid: &[u8], stated: B256) -> Result<Vec<i32>, SiteError> {
    let bytes = artefact::bytes(from.store.as_ref(), cid, model_file_length(model)?).await?;
    let values = decode_model(model, &bytes)?;
    let found = model_root(&values);
    if found != stated {
        return Err(SiteError::Root { what: "base model", stated, found });
    }
    Ok(values)
}

/// The rounds, in order, that lead from the model we know to the base of `round`; none if it starts from that one.
pub fn trace<'a>(
    rounds: &'a [RoundRecord],
    round: &'a RoundRecord,
    known: B256,
) -> Result<Vec<&'a RoundRecord>, SiteError> {
    let mut path = Vec::new();
    let mut at = round;
    while at.descriptor.baseModelRoot != known {
        // Parents have smaller numbers, so this ends.
        let parent = parent_of(rounds, at).ok_or_else(|| trap(round, known))?;
        path.push(parent);
        at = parent;
    }
    path.reverse();
    Ok(path)
}

fn parent_of<'a>(rounds: &'a [RoundRecord], round: &RoundRecord) -> Option<&'a RoundRecord> {
    let parent = round.descriptor.parentCtx;
    rounds.iter().find(|other| other.ctx == parent && other.number < round.number)
}

fn trap(round: &RoundRecord, own: B256) -> SiteError {
    SiteError::TrapModel { round: round.number, stated: round.descriptor.baseModelRoot, own }
}

/// A newcomer starts from what the chain says the parent round resulted in; the first round from what it states.
pub fn check_parent(rounds: &[RoundRecord], round: &RoundRecord) -> Result<(), SiteError> {
    if round.descriptor.parentCtx.is_zero() {
        return Ok(());
    }
    let result = parent_of(rounds, round).and_then(|parent| parent.stages.get(&Stage::Model));
    match result {
        Some(model) if model.root == round.descriptor.baseModelRoot => Ok(()),
        Some(model) => Err(trap(round, model.root)),
        None => Err(trap(round, B256::ZERO)),
    }
}

/// Recomputes the result of every round on the path; the last one, and its root.
async fn replay(from: &Sources, path: Vec<&RoundRecord>, mut values: Vec<i32>) -> Result<(Vec<i32>, B256), SiteError> {
    let mut root = None;
    for round in path {
        let seed = seed_of(from, &round.descriptor).await?;
        values = result_of(from.store.as_ref(), seed, round, values).await?;
        // What the chain calls the result must be what follows, or some later round was built on sand.
        let (own, posted) = (model_root(&values), stage(round, Stage::Model)?.root);
        if own != posted {
            return Err(SiteError::Root { what: "model", stated: posted, found: own });
        }
        root = Some(own);
    }
    let root = root.unwrap_or_else(|| model_root(&values));
    Ok((values, root))
}

/// The model that a round's posted opening gives, from the base it started from.
pub async fn result_of(
    store: &dyn Store,
    seed: EpochSeed,
    round: &RoundRecord,
    base: Vec<i32>,
) -> Result<Vec<i32>, SiteError> {
    let descriptor = round.descriptor.clone();
    let (admit, sum, open) = (stage(round, Stage::Admit)?, stage(round, Stage::Sum)?, stage(round, Stage::Open)?);
    let locked = round.locked.unwrap_or_default() as usize;
    let admitted = artefact::list(store, &admit.cid, locked, ADMIT_ITEM, admit.root).await?;
    let open = artefact::list(store, &open.cid, MAX_COMMITTEE, OPEN_ITEM, open.root).await?;
    let blocks = u64::from(descriptor.scale.parameters.div_ceil(N as u32)) + CHECK_BLOCKS as u64;
    let words = artefact::bytes(store, &sum.cid, blocks * WIDE_BLOCK_BYTES as u64).await?;
    let sum_root = sum.root;
    let compute = move || {
        next_base(&Aggregate {
            descriptor: &descriptor,
            seed: &seed,
            base: &base,
            admitted: &admitted,
            sum: &words,
            sum_root,
            open: &open,
        })
    };
    tokio::task::spawn_blocking(compute).await.map_err(|_| SiteError::Stopped)?
}

fn stage(round: &RoundRecord, stage: Stage) -> Result<&StageRecord, SiteError> {
    round.stages.get(&stage).ok_or(SiteError::Opening("the parent round was not opened"))
}
