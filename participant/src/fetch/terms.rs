//! A round as this site verified it.

use std::sync::{Arc, Mutex, PoisonError};

use almoner_chain::{FederationRecord, RoundRecord};
use almoner_crypto::matrix::{self, EpochSeed};
use almoner_crypto::ring::N;
use almoner_proto::Task;
use almoner_protocol::spec::{FederationSpec, MAX_SPEC_BYTES};
use almoner_protocol::types::{CommitteeMember, Descriptor, Member, Validator, epoch_seed};
use almoner_protocol::{Address, B256, MAX_COMMITTEE, MAX_WEIGHT_TOTAL, RoundFacts, Scale, check_descriptor, sha256};
use almoner_store::Store;

use super::{Sources, artefact, base_model, check_policy, check_seats};
use crate::{PolicyConfig, SiteError};

/// How far the opening time that the deadlines imply may be from the block's.
const OPENING_SLACK: u64 = 600;
/// Longest encodings of list items of known shape.
const MEMBER: usize = 96;
const COMMITTEE_MEMBER: usize = 2048;
/// Classes are at least 1, so there are no more members than this.
const MAX_MEMBERS: usize = MAX_WEIGHT_TOTAL as usize;
const MAX_VALIDATORS: usize = 64;

/// Everything a site needs to act in a round; only [`terms`] makes one of what others published.
#[derive(Clone)]
pub struct Terms {
    pub ctx: B256,
    pub descriptor: Descriptor,
    pub spec: FederationSpec,
    pub members: Vec<Member>,
    pub committee: Vec<CommitteeMember>,
    pub validators: Vec<Validator>,
    pub seed: EpochSeed,
    /// Who countersigns uploads.
    pub coordinator: Address,
    /// The base model, recomputed where this site has been here before.
    pub base: Arc<Vec<i32>>,
}

/// The model is long, and not for a log.
impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms").field("ctx", &self.ctx).field("round", &self.descriptor.round).finish_non_exhaustive()
    }
}

impl Terms {
    /// Data blocks of an upload.
    pub fn blocks(&self) -> u32 {
        self.descriptor.scale.parameters.div_ceil(N as u32)
    }

    pub fn threshold(&self) -> usize {
        self.descriptor.threshold.into()
    }

    pub fn scale(&self) -> Scale {
        let stated = &self.descriptor.scale;
        Scale {
            delta: stated.delta,
            update_bits: stated.updateBits,
            clip: stated.clip,
            update_max: stated.updateMax,
            direction_norm: stated.directionNorm,
        }
    }

    /// The committee index of an account.
    pub fn committee_index(&self, account: Address) -> Option<u16> {
        let at = self.committee.iter().position(|member| member.account == account)?;
        u16::try_from(at).ok()
    }

    pub fn is_member(&self, account: Address) -> bool {
        self.members.iter().any(|member| member.account == account)
    }

    pub fn is_validator(&self, account: Address) -> bool {
        self.validators.iter().any(|validator| validator.account == account)
    }
}

/// The federation file as published, held against the hash on chain.
pub async fn spec(store: &dyn Store, cid: &[u8], hash: B256) -> Result<FederationSpec, SiteError> {
    let bytes = artefact::bytes(store, cid, MAX_SPEC_BYTES as u64).await?;
    let found = sha256(&bytes);
    if found != hash {
        return Err(SiteError::Root { what: "federation file", stated: hash, found });
    }
    Ok(FederationSpec::from_canonical(&bytes)?)
}

/// Verifies a round that the chain says is open. `rounds` are all of the federation's, this one included.
pub async fn terms(
    from: &Sources,
    policy: &PolicyConfig,
    federation: &FederationRecord,
    rounds: &[RoundRecord],
    round: &RoundRecord,
) -> Result<Terms, SiteError> {
    let descriptor = &round.descriptor;
    let store = from.store.as_ref();
    if descriptor.specHash != federation.params.specHash {
        let (stated, found) = (federation.params.specHash, descriptor.specHash);
        return Err(SiteError::Root { what: "federation file of the round", stated, found });
    }
    let (lists, cids) = (&descriptor.lists, &round.cids);
    // All at once: over a slow line each answer is a trip.
    let (spec, members, committee, validators, matrix) = tokio::join!(
        spec(store, &cids.spec, descriptor.specHash),
        artefact::list(store, &cids.members, MAX_MEMBERS, MEMBER, lists.membershipRoot),
        artefact::list(store, &cids.committee, MAX_COMMITTEE, COMMITTEE_MEMBER, lists.committeeRoot),
        artefact::list(store, &cids.validators, MAX_VALIDATORS, MEMBER, lists.validatorRoot),
        matrix(from, descriptor),
    );
    let (spec, members, committee, validators) = (spec?, members?, committee?, validators?);
    check_seats(federation, round, &members, &committee, &validators)?;
    let (seed, matrix_root) = matrix?;
    let facts = RoundFacts {
        federation: federation.number,
        round: round.number,
        parent_ctx: descriptor.parentCtx,
        base_model_root: descriptor.baseModelRoot,
        matrix_root,
        members: &members,
        committee: &committee,
        validators: &validators,
    };
    check_descriptor(&spec, &facts, descriptor)?;
    check_opening(&spec, round)?;
    check_policy(policy, descriptor)?;
    let base = base_model(from, &spec, rounds, round).await?;
    let coordinator = federation.params.coordinator;
    let (ctx, descriptor) = (round.ctx, descriptor.clone());
    Ok(Terms { ctx, descriptor, spec, members, committee, validators, seed, coordinator, base })
}

/// The epoch's seed from the chain's beacon, and the root of the matrix it generates.
async fn matrix(from: &Sources, descriptor: &Descriptor) -> Result<(EpochSeed, B256), SiteError> {
    let seed = seed_of(from, descriptor).await?;
    let blocks = u64::from(descriptor.scale.parameters.div_ceil(N as u32));
    let root = tokio::task::spawn_blocking(move || matrix_root(seed, blocks)).await;
    Ok((seed, root.map_err(|_| SiteError::Stopped)?))
}

/// It is the same in all rounds of an epoch, and costs as much as hashing a ciphertext: the last one is remembered.
fn matrix_root(seed: EpochSeed, blocks: u64) -> B256 {
    static LAST: Mutex<Option<(EpochSeed, u64, B256)>> = Mutex::new(None);
    // Replaced whole, so a panic elsewhere leaves a usable value.
    let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let known = *last();
    if let Some((of, length, root)) = known
        && (of, length) == (seed, blocks)
    {
        return root;
    }
    let root = B256::new(matrix::matrix_root(&seed, blocks));
    *last() = Some((seed, blocks, root));
    root
}

/// The epoch's seed alone. It was drawn before its rounds were opened, so whoever read of the round has it.
pub(super) async fn seed_of(from: &Sources, descriptor: &Descriptor) -> Result<EpochSeed, SiteError> {
    let read = from.ledger.until(from.ledger.read_until());
    let epoch = read.epoch(descriptor.federation, descriptor.epoch).await?;
    let epoch = epoch.ok_or(SiteError::List { list: "epoch", reason: "not drawn on chain".into() })?;
    let id = from.identity.federation();
    Ok(EpochSeed(epoch_seed(id.chain_id, id.federations, descriptor.federation, descriptor.epoch, epoch.beacon)))
}

fn check_opening(spec: &FederationSpec, round: &RoundRecord) -> Result<(), SiteError> {
    let implied = round.descriptor.deadlines[0].saturating_sub(spec.round.deadlines.promise_s);
    if implied.abs_diff(round.opened_at) > OPENING_SLACK {
        return Err(SiteError::OpeningTime { implied, block: round.opened_at });
    }
    Ok(())
}

/// What the coordinator asks for is what the chain has. A coordinator with two faces shows here first.
pub fn check_task(task: &Task, round: &RoundRecord) -> Result<(), SiteError> {
    let differs = |field| Err(SiteError::OtherTask { field });
    if task.ctx != round.ctx {
        return differs("ctx");
    }
    // Named by itself: who asks for another one asks for an update it can take apart.
    if task.descriptor.baseModelRoot != round.descriptor.baseModelRoot || task.cids.base != round.cids.base {
        return differs("base model");
    }
    if task.descriptor != round.descriptor {
        return differs("descriptor");
    }
    if task.cids != round.cids {
        return differs("cids");
    }
    // The coordinator may be a block ahead of us or behind; what both know must agree.
    let other = |stage: &&almoner_proto::StageArtefact| {
        round.stages.get(&stage.stage).is_some_and(|posted| posted.root != stage.root)
    };
    match task.stages.iter().find(other) {
        Some(stage) => differs(stage.stage.name()),
        None => Ok(()),
    }
}
