//! The base model of a round: what its CID locates, what its root says, and what follows from the rounds before must
//! be one and the same. Only a newcomer fetches it: the others compute it, its root and its CID.
//!
//! A coordinator that gives one site another base model than the others (a trap) learns that site's update from the
//! sum. So a site that has verified a model before recomputes every model since from its own copy, and a newcomer
//! takes only what the parent round posted as its result.

use std::cmp::Ordering;
use std::sync::Arc;

use almoner_chain::{RoundRecord, StageRecord};
use almoner_crypto::encrypt::{CHECK_BYTES, WIDE_BLOCK_BYTES};
use almoner_crypto::matrix::EpochSeed;
use almoner_crypto::ring::N;
use almoner_protocol::spec::{FederationSpec, ModelSpec};
use almoner_protocol::{
    B256, MAX_COMMITTEE, ModelHasher, Stage, decode_model, model_file_length, model_header, model_root,
};
use almoner_store::{Bytes, Cid, CidHasher, Layout, Store, StoreError, cid_from_bytes};

use super::terms::seed_of;
use super::{Opening, Sources, artefact};
use crate::SiteError;

const ADMIT_ITEM: usize = 128;
const OPEN_ITEM: usize = 1 << 15;
/// Blocks of a sum read at a time, while those before them are opened: 1 MiB, as much as a block of its file, which is then
/// read where it lies.
const PIECE: usize = 64;

/// A model, and by what names it goes.
#[derive(Clone)]
pub struct Named {
    pub values: Vec<i32>,
    pub root: B256,
    /// Its file is a function of it, so whoever has the model knows its CID without fetching it.
    pub cid: Cid,
}

/// Finds and verifies the base model of `round`, and remembers it.
pub async fn base_model(
    from: &Sources,
    spec: &FederationSpec,
    rounds: &[RoundRecord],
    round: &RoundRecord,
) -> Result<Arc<Vec<i32>>, SiteError> {
    let stated = round.descriptor.baseModelRoot;
    let base = match from.memory.verified_model().await? {
        Some((root, values)) => {
            let path = trace(rounds, round, root)?;
            // A copy: should this fail, what was verified is still what the next attempt begins with.
            let own = replay(from, &spec.model, path, values.to_vec()).await?;
            if own.root != stated {
                return Err(trap(round, own.root));
            }
            let located = cid_from_bytes(&round.cids.base)?;
            if own.cid != located {
                return Err(SiteError::BaseCid { stated: located.to_string(), found: own.cid.to_string() });
            }
            own.values
        }
        None => {
            check_parent(rounds, round)?;
            published(from, &spec.model, &round.cids.base, stated).await?
        }
    };
    from.memory.keep_model(stated, base).await
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

/// Recomputes the result of every round on the path, and names the last.
async fn replay(
    from: &Sources,
    model: &ModelSpec,
    path: Vec<&RoundRecord>,
    values: Vec<i32>,
) -> Result<Named, SiteError> {
    let Some((last, before)) = path.split_last() else { return name(model, values).await };
    let mut values = values;
    for round in before {
        values = recomputed(from, model, round, values).await?.values;
    }
    recomputed(from, model, last, values).await
}

async fn recomputed(
    from: &Sources,
    model: &ModelSpec,
    round: &RoundRecord,
    base: Vec<i32>,
) -> Result<Named, SiteError> {
    let seed = seed_of(from, &round.descriptor).await?;
    let own = result_of(from.store.as_ref(), seed, model, round, base).await?;
    // What the chain calls the result must be what follows, or some later round was built on sand.
    let posted = stage(round, Stage::Model)?.root;
    if own.root == posted {
        return Ok(own);
    }
    Err(SiteError::Root { what: "model", stated: posted, found: own.root })
}

/// The model that a round's posted opening gives, from the base it started from.
pub async fn result_of(
    store: &dyn Store,
    seed: EpochSeed,
    model: &ModelSpec,
    round: &RoundRecord,
    base: Vec<i32>,
) -> Result<Named, SiteError> {
    let descriptor = round.descriptor.clone();
    let (admit, sum, open) = (stage(round, Stage::Admit)?, stage(round, Stage::Sum)?, stage(round, Stage::Open)?);
    let locked = round.locked.unwrap_or_default() as usize;
    let blocks = base.len().div_ceil(N);
    let sums = Sums { store, cid: cid_from_bytes(&sum.cid)? };
    // The check sums stand behind the data: with the last piece, so that no block of the file is fetched twice.
    let last = blocks.saturating_sub(1) / PIECE * PIECE;
    let (admitted, open, tail) = tokio::join!(
        artefact::list(store, &admit.cid, locked, ADMIT_ITEM, admit.root),
        artefact::list(store, &open.cid, MAX_COMMITTEE, OPEN_ITEM, open.root),
        sums.read(last, blocks - last + CHECK_BYTES / WIDE_BLOCK_BYTES),
    );
    let (admitted, open, mut tail) = (admitted?, open?, tail?);
    let checks = tail.split_off((blocks - last) * WIDE_BLOCK_BYTES);
    let read = async |first: usize| match first.cmp(&last) {
        Ordering::Less => sums.read(first, PIECE).await,
        Ordering::Equal => Ok(tail.clone()),
        Ordering::Greater => Ok(Bytes::new()),
    };
    let begin = move || Opening::new(&descriptor, seed, &admitted, &open, checks.into());
    let mut opening = blocking(begin).await?;
    let mut names = Names::new(model)?;
    let mut values = base;
    let mut piece = read(0).await?;
    for first in (0..blocks).step_by(PIECE) {
        let next = (first + PIECE).min(blocks);
        let work = blocking(move || {
            let end = (next * N).min(values.len());
            let part = &mut values[first * N..end];
            opening.take(part, &piece)?;
            names.take(part);
            Ok((opening, names, values))
        });
        // The next piece arrives while this one is opened.
        let (worked, ahead) = tokio::join!(work, read(next));
        (opening, names, values) = worked?;
        piece = ahead?;
    }
    opening.finish(sum.root)?;
    Ok(names.of(values))
}

/// The blocks of a posted sum.
struct Sums<'a> {
    store: &'a dyn Store,
    cid: Cid,
}

impl Sums<'_> {
    async fn read(&self, first: usize, blocks: usize) -> Result<Bytes, SiteError> {
        let bytes = |blocks: usize| (blocks * WIDE_BLOCK_BYTES) as u64;
        match self.store.range(&self.cid, bytes(first), bytes(blocks)).await {
            Err(StoreError::OutOfRange { .. }) => Err(SiteError::Opening("the sum has another length than the model")),
            read => Ok(read?),
        }
    }
}

/// The names of a model that comes in pieces.
struct Names {
    root: ModelHasher,
    file: CidHasher,
    bytes: Vec<u8>,
}

impl Names {
    fn new(model: &ModelSpec) -> Result<Self, SiteError> {
        let mut file = CidHasher::new(Layout::V1_2025);
        file.write(&model_header(model)?);
        Ok(Self { root: ModelHasher::new(), file, bytes: Vec::new() })
    }

    fn take(&mut self, values: &[i32]) {
        self.root.update(values);
        for values in values.chunks(N) {
            self.bytes.clear();
            values.iter().for_each(|value| self.bytes.extend_from_slice(&value.to_le_bytes()));
            self.file.write(&self.bytes);
        }
    }

    fn of(self, values: Vec<i32>) -> Named {
        Named { values, root: self.root.finish(), cid: self.file.finish() }
    }
}

async fn name(model: &ModelSpec, values: Vec<i32>) -> Result<Named, SiteError> {
    let mut names = Names::new(model)?;
    blocking(move || {
        names.take(&values);
        Ok(names.of(values))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SiteError> + Send + 'static,
) -> Result<T, SiteError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SiteError::Stopped)?
}

/// The values are long, and not for a log.
impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Named").field("root", &self.root).finish_non_exhaustive()
    }
}

fn stage(round: &RoundRecord, stage: Stage) -> Result<&StageRecord, SiteError> {
    round.stages.get(&stage).ok_or(SiteError::Opening("the parent round was not opened"))
}
