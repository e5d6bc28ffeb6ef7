//! Going on from a journal that was put back from a copy. It knows nothing of what was promised after the copy was
//! made, so this coordinator says nothing that could contradict it: what came to be is taken from the chain and from
//! the artefacts it names, before anybody is served, and a round that was running is not gone on with but ended.
//! Receipts and answers of that round are lost; the members' own journals keep them from answering it twice.

use almoner_chain::{FederationRecord, RoundRecord, RoundStatus};
use almoner_journal::Batch;
use almoner_protocol::round::State;
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::{AdmitItem, Member, PayoutItem, Validator};
use almoner_protocol::{
    Address, AdmitVerdict, B256, CumulativeLedger, ListItem, MAX_WEIGHT_TOTAL, PayoutTree, Stage, decode_list,
    list_root, sha256,
};
use tokio::time::Instant;

use super::resume::{BEGUN, CAMPAIGN, ROUND, STARTS, STRAY, encode};
use super::{Actor, FOLLOW_EVERY};
use crate::campaign::{Base, Campaign};
use crate::chain::At;
use crate::model;
use crate::{CoordinatorError, Progress};

/// Accounts ever paid in a federation.
const MAX_ACCOUNTS: usize = 2 * MAX_WEIGHT_TOTAL as usize;
/// Place of the settlement among the deadlines.
const SETTLE: usize = 8;

fn unable(what: impl Into<String>) -> CoordinatorError {
    CoordinatorError::Restored(what.into())
}

impl Actor {
    /// Takes over from the chain what the copy does not know, once, and writes it down as one.
    pub(super) async fn begin_again(&mut self, generation: u64, starts: u64) -> Result<(), CoordinatorError> {
        let taken = self.taken_from_chain().await;
        let (campaign, stray) = taken.map_err(|error| match error {
            CoordinatorError::Restored(_) => error,
            error => unable(error.to_string()),
        })?;
        let round = stray.map(|at| at.round);
        tracing::warn!(generation, unfinished = round, "the journal was restored from a copy: going on from the chain");
        let (campaign, none) = (encode(&campaign)?, encode(&None::<()>)?);
        let (begun, starts, round) = (encode(&generation)?, encode(&starts)?, encode(&round)?);
        let batch = Batch::new().forget_events();
        let batch = batch.state(CAMPAIGN, &campaign).state(ROUND, &none).state(STRAY, &round);
        self.journal.commit(&batch.state(BEGUN, &begun).state(STARTS, &starts))?;
        Ok(())
    }

    /// Ends a round that an earlier life began and this one does not know; what follows from it is then taken over.
    pub(super) async fn end_stray(&mut self) -> Result<(), CoordinatorError> {
        let Some(at) = self.stray.filter(|_| self.followed_at.elapsed() >= FOLLOW_EVERY) else { return Ok(()) };
        self.followed_at = Instant::now();
        self.block_time = self.block_time.max(self.chain.ledger.now().await?);
        // Where nobody sends anything the newest block is an old one.
        let now = self.now();
        let Some(record) = self.chain.shallow.round(at.federation, at.round).await? else { return Ok(()) };
        let opened = record.stages.contains_key(&Stage::Model);
        match (record.status, &record.proposal) {
            (RoundStatus::Running, _) if !opened => self.chain.void(at).await.map(drop),
            (RoundStatus::Running, _) if now > record.descriptor.deadlines[SETTLE] => {
                self.chain.expire(at).await.map(drop)
            }
            (RoundStatus::Proposed, Some(proposal)) if now >= proposal.ends_at => {
                self.chain.finalise(at).await.map(drop)
            }
            (RoundStatus::Running | RoundStatus::Proposed, _) => Ok(()),
            (RoundStatus::Final | RoundStatus::Void | RoundStatus::Expired, _) => {
                match self.chain.ledger.round(at.federation, at.round).await? {
                    Some(record) if record.is_over() => {
                        self.say_that_it_ended(at, record.status);
                        self.put_stray_away().await
                    }
                    // Not deep enough yet.
                    Some(_) | None => Ok(()),
                }
            }
        }
    }

    /// For whoever follows the rounds. One that is final all the same says so by its settlement on chain.
    pub(super) fn say_that_it_ended(&self, At { round, .. }: At, status: RoundStatus) {
        let state = match status {
            RoundStatus::Void => State::Void,
            RoundStatus::Expired => State::Expired,
            RoundStatus::Final | RoundStatus::Running | RoundStatus::Proposed => return,
        };
        let reason = match self.chain.ledger.reorganised(0) {
            Some(_) => "TakenBack".to_owned(),
            None => "Restored".to_owned(),
        };
        self.notify(|notice| notice.reason.clone_from(&reason));
        let _ = self.progress.send(Progress::Ended { round, state, reason, faults: Vec::new() });
    }

    pub(super) async fn put_stray_away(&mut self) -> Result<(), CoordinatorError> {
        let (mut taken, stray) = self.taken_from_chain().await?;
        if let (Some(taken), Some(kept)) = (&mut taken, self.campaign.take()) {
            self.verify_base(&kept.spec, &taken.base).await?;
            taken.keep_waiting(kept);
        }
        self.campaign = taken;
        let (campaign, round) = (encode(&self.campaign)?, encode(&stray.map(|at| at.round))?);
        self.journal.commit(&Batch::new().state(CAMPAIGN, &campaign).state(STRAY, &round))?;
        self.stray = stray;
        self.tell_where_it_stands().await;
        Ok(())
    }

    /// The federation as chain and store have it, and the round that is not over.
    async fn taken_from_chain(&self) -> Result<(Option<Campaign>, Option<At>), CoordinatorError> {
        let Some(record) = self.own_federation().await? else { return Ok((None, None)) };
        let rounds = self.chain.ledger.rounds(record.number).await?;
        let (over, running): (Vec<RoundRecord>, Vec<RoundRecord>) =
            rounds.iter().cloned().partition(RoundRecord::is_over);
        let mut campaign = self.known_or_named(&record, over.first().or(running.first())).await?;
        campaign.take_seats(seats(&record));
        // The contract's head: an opened sum is never redone, whatever became of the money.
        let head = over.iter().rev().find(|round| round.stages.contains_key(&Stage::Model));
        if let Some((round, model)) = head.and_then(|round| Some((round, round.stages.get(&Stage::Model)?))) {
            let base = Base { parent_ctx: round.ctx, root: model.root, cid: model.cid.clone() };
            self.verify_base(&campaign.spec, &base).await?;
            campaign.base = base;
        }
        campaign.last_round = over.last().map_or(0, |round| round.number);
        campaign.to_run = 0;
        campaign.cumulative = self.paid(&over).await?;
        campaign.earlier_sets = self.unopened_sets(&over, head.map_or(0, |round| round.number)).await?;
        let stray = running.first().map(|round| At { federation: round.federation, round: round.number });
        Ok((Some(campaign), stray))
    }

    /// The one this journal knows, or else the last one that names this coordinator.
    async fn own_federation(&self) -> Result<Option<FederationRecord>, CoordinatorError> {
        if let Some(campaign) = &self.campaign {
            let record = self.chain.ledger.federation(campaign.number).await?;
            let missing = || unable(format!("federation {} is not on this chain", campaign.number));
            return record.map(Some).ok_or_else(missing);
        }
        for number in (1..=self.chain.ledger.federation_count().await?).rev() {
            let record = self.chain.ledger.federation(number).await?;
            if let Some(record) = record.filter(|record| record.params.coordinator == self.key.address()) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    async fn known_or_named(
        &self,
        record: &FederationRecord,
        first: Option<&RoundRecord>,
    ) -> Result<Campaign, CoordinatorError> {
        let bytes = self.fetch(&record.params.specCid).await?;
        if sha256(&bytes) != record.params.specHash {
            return Err(unable("the federation file in the store is not the one that the chain names"));
        }
        let spec = FederationSpec::from_canonical(&bytes)?;
        // The first model is on chain from the first round on; before that only a journal knows it.
        let base = match (first, &self.campaign) {
            (Some(first), _) => {
                let (root, cid) = (first.descriptor.baseModelRoot, first.cids.base.clone());
                Base { parent_ctx: B256::ZERO, root, cid }
            }
            (None, Some(known)) => known.base.clone(),
            (None, None) => {
                let text = "was created after the copy was made, and its first model is not on chain yet: put a later \
                            copy back, or create another federation with another key";
                return Err(unable(format!("federation {} {text}", record.number)));
            }
        };
        self.verify_base(&spec, &base).await?;
        let mut campaign = Campaign::new(record.number, spec, record.params.specCid.clone(), base);
        if let Some(known) = &self.campaign {
            campaign.take_seats(known.seats());
            campaign.unsent = known.unsent.clone();
        }
        Ok(campaign)
    }

    pub(super) async fn verify_base(&self, spec: &FederationSpec, base: &Base) -> Result<(), CoordinatorError> {
        if model::is_base(self.store.as_ref(), &spec.model, base).await? {
            return Ok(());
        }
        Err(unable(format!("the model in the store is not the one with root {}", base.root)))
    }

    /// What everybody has earned, as the last payout list says it.
    async fn paid(&self, over: &[RoundRecord]) -> Result<CumulativeLedger, CoordinatorError> {
        let mut paid = over.iter().rev().filter(|round| round.status == RoundStatus::Final);
        let Some(payout) = paid.find_map(|round| round.stages.get(&Stage::Payout)) else {
            return Ok(CumulativeLedger::default());
        };
        let items: Vec<PayoutItem> = decode_list(&self.fetch(&payout.cid).await?, MAX_ACCOUNTS)?;
        if PayoutTree::new(&items).root() != payout.root {
            return Err(unable("the payout list in the store is not the one with the root on chain"));
        }
        Ok(CumulativeLedger::from_payouts(&items)?)
    }

    /// Sets that were admitted since the head and never opened: a set tried again must not differ from one by one.
    async fn unopened_sets(&self, over: &[RoundRecord], head: u64) -> Result<Vec<Vec<Address>>, CoordinatorError> {
        let mut sets = Vec::new();
        for admit in over.iter().filter(|round| round.number > head).filter_map(|r| r.stages.get(&Stage::Admit)) {
            let items: Vec<AdmitItem> = decode_list(&self.fetch(&admit.cid).await?, almoner_proto::MAX_UPLOADS)?;
            if list_root(&items) != admit.root {
                return Err(unable("an admit list in the store is not the one with the root on chain"));
            }
            let admitted = items.iter().filter(|item| item.verdict == AdmitVerdict::Admitted.number());
            sets.push(admitted.map(|item| item.participant).collect());
        }
        Ok(sets)
    }
}

/// Members and validators as every list has them: by address.
fn seats(record: &FederationRecord) -> (Vec<Member>, Vec<Validator>) {
    let member =
        |seat: &almoner_chain::SeatRecord| Member { account: seat.account, entity: seat.entity, class: seat.class };
    let judge =
        |seat: &almoner_chain::SeatRecord| Validator { account: seat.account, entity: seat.entity, stake: seat.stake };
    let mut members: Vec<Member> = record.members.iter().map(member).collect();
    let mut validators: Vec<Validator> = record.validators.iter().map(judge).collect();
    members.sort_by_key(ListItem::key);
    validators.sort_by_key(ListItem::key);
    (members, validators)
}
