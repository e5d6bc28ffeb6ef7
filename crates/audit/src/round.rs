//! One round, stage by stage, as far as it went.

mod admitted;
mod announced;
mod audited;
mod ended;
mod locked;
mod opened;
mod promised;
mod revealed;
mod scored;
mod settled;
mod summed;

pub(crate) use settled::check_payout_root;

use std::sync::Arc;

use almoner_chain::{RoundRecord, StageRecord};
use almoner_crypto::matrix::EpochSeed;
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::{
    AdmitItem, CommitteeMember, Contribution, DirectionItem, LockItem, Member, PromiseItem, ScoreItem, Validator,
    VerdictItem, ctx, domain, transcript,
};
use almoner_protocol::{Address, Admitted, B256, CumulativeLedger, Eip712Domain, ListItem, Settlement, Stage};
use almoner_store::Store;

use crate::artefacts::{Artefacts, check_root};
use crate::history::History;
use crate::progress::Watch;
use crate::tally::{Checked, Place, Tally, Wrong, ensure};
use crate::uploads::Weighted;
use crate::{AuditError, ChainFacts, Kind, Progress};

/// Directions as they are listed, and their entries.
type Directions = (Vec<DirectionItem>, Arc<Vec<Vec<i8>>>);

/// What was read and found right so far. A stage that needs something that was not is passed over: what is missing
/// has been named already.
#[derive(Debug, Default)]
struct Seen {
    spec: Option<FederationSpec>,
    base: Option<Vec<i32>>,
    members: Option<Vec<Member>>,
    committee: Option<Vec<CommitteeMember>>,
    validators: Option<Vec<Validator>>,
    seed: Option<EpochSeed>,
    promises: Option<Vec<PromiseItem>>,
    lock: Option<Vec<LockItem>>,
    directions: Option<Directions>,
    audit: Option<Vec<VerdictItem>>,
    scores: Option<Vec<ScoreItem>>,
    /// As posted: this is the set that was summed.
    admitted: Option<Vec<AdmitItem>>,
    /// As it follows from the scores: this is what is paid.
    admission: Option<Admitted>,
    /// `Σ w_i u_i` as opened.
    sums: Option<Vec<i64>>,
    settlement: Option<Settlement>,
    /// As posted.
    payouts: Option<CumulativeLedger>,
}

pub(crate) struct RoundAudit<'a> {
    facts: &'a ChainFacts,
    record: &'a RoundRecord,
    store: &'a dyn Store,
    tally: &'a mut Tally,
    history: &'a mut History,
    seen: Seen,
}

impl<'a> RoundAudit<'a> {
    pub(crate) fn new(
        facts: &'a ChainFacts,
        record: &'a RoundRecord,
        store: &'a dyn Store,
        tally: &'a mut Tally,
        history: &'a mut History,
    ) -> Self {
        Self { facts, record, store, tally, history, seen: Seen::default() }
    }

    pub(crate) async fn run(mut self, progress: Watch<'_>) -> Result<(), AuditError> {
        let mut previous = B256::ZERO;
        for ((stage, posted), expected) in self.record.stages.iter().zip(Stage::ALL) {
            progress(Progress { round: self.record.number, rounds: self.facts.rounds.len() as u64, stage: *stage });
            let linked = self.check_transcript(*stage, expected, posted, previous);
            self.tally.check(Kind::Transcript, Place::none(), linked);
            previous = posted.transcript;
            match stage {
                Stage::Ctx => self.announced().await?,
                Stage::Promise => self.promised(posted).await,
                Stage::Lock => self.locked(posted).await,
                Stage::Direction => self.revealed(posted).await,
                Stage::Audit => self.audited(posted).await?,
                Stage::Score => self.scored(posted).await?,
                Stage::Admit => self.admitted(posted).await,
                Stage::Sum => self.summed(posted).await?,
                Stage::Open => self.opened(posted).await?,
                Stage::Model => self.model(posted).await,
                Stage::Settle => self.settled(posted).await,
                Stage::Payout => self.paid_out(posted).await,
            }
        }
        self.ended();
        Ok(())
    }

    /// ctx, and `H_s` from the value before it.
    fn check_transcript(&self, stage: Stage, expected: Stage, posted: &StageRecord, previous: B256) -> Checked<()> {
        ensure(stage == expected, || Wrong::new(format!("{stage} was posted where {expected} is next")))?;
        if stage == Stage::Ctx {
            let at = &self.facts.deployment;
            let found = ctx(at.chain_id, at.rounds, &self.record.descriptor);
            let same = found == self.record.ctx && found == posted.root;
            ensure(same, || Wrong::new(format!("the descriptor's ctx is {found}, the chain has {}", self.record.ctx)))?;
        }
        let found = transcript(previous, stage, posted.root);
        ensure(found == posted.transcript, || {
            Wrong::new(format!("H_{stage} is {found}, the chain has {}", posted.transcript))
        })
    }

    /// Reads a list, holds it against its posted root and against `check`, and counts that as one check.
    async fn list<T: ListItem>(
        &mut self,
        kind: Kind,
        cid: &[u8],
        root: B256,
        most: usize,
        check: impl FnOnce(&[T]) -> Checked<()>,
    ) -> Option<Vec<T>> {
        let read = Artefacts::new(self.store).items::<T>(cid, most).await;
        let outcome = read.and_then(|items| {
            check_root(&items, root)?;
            check(&items)?;
            Ok(items)
        });
        self.tally.check(kind, Place::cid(cid), outcome)
    }

    fn artefacts(&self) -> Artefacts<'a> {
        Artefacts::new(self.store)
    }

    fn domain(&self) -> Eip712Domain {
        domain(self.facts.deployment.chain_id, self.facts.deployment.rounds)
    }

    /// Data blocks of the model.
    fn blocks(&self) -> u64 {
        u64::from(self.record.descriptor.scale.parameters).div_ceil(almoner_crypto::ring::N as u64)
    }

    /// More accounts than these never had a seat.
    fn seats(&self) -> usize {
        self.facts.federation.members.len() + self.facts.federation.validators.len()
    }

    fn manifest(&self, participant: Address) -> Option<&Contribution> {
        let items = self.seen.lock.iter().flatten();
        items.map(|item| &item.manifest).find(|manifest| manifest.participant == participant)
    }

    /// The uploads of the posted set, with their weights.
    fn weighted(&self) -> Option<Arc<Vec<Weighted>>> {
        let set = posted_set(self.seen.admitted.as_ref()?);
        set.map(|item| Some((self.manifest(item.participant)?.clone(), item.class)))
            .collect::<Option<_>>()
            .map(Arc::new)
    }
}

/// U of an admit list.
fn posted_set(items: &[AdmitItem]) -> impl Iterator<Item = &AdmitItem> {
    let admitted = almoner_protocol::AdmitVerdict::Admitted.number();
    items.iter().filter(move |item| item.verdict == admitted)
}
