//! Rounds rebuilt from their events, every hash recomputed.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::{B256, Bytes};
use alloy::sol_types::{SolType, SolValue};
use almoner_protocol::Stage;
use almoner_protocol::types::{ctx, transcript};

use super::cache::lock;
use super::{
    AdmittedRecord, ChainLog, ContributionRecord, Ledger, PromiseRecord, ProposalRecord, ReadyRecord, RevealRecord,
    RoundRecord, RoundStatus, StageRecord,
};
use crate::LedgerError;
use crate::contracts::Rounds as R;

impl Ledger {
    /// One round; `None` until it is opened.
    pub async fn round(&self, federation: u64, number: u64) -> Result<Option<RoundRecord>, LedgerError> {
        Ok(self.rounds(federation).await?.iter().find(|round| round.number == number).cloned())
    }

    /// Every round of a federation that was opened, in order.
    pub async fn rounds(&self, federation: u64) -> Result<Arc<Vec<RoundRecord>>, LedgerError> {
        let events = self.events().await?;
        // Taken out while it is extended: what fails half-way is worked out afresh.
        let known = lock(&self.cache.rounds).take(federation, events.reading);
        let known = known.extended(self, &events)?;
        let rounds = known.rounds();
        lock(&self.cache.rounds).put(federation, known);
        Ok(rounds)
    }

    /// Who offered to serve on a round's committee, in chain order; the round need not be open yet.
    pub async fn readies(&self, federation: u64, number: u64) -> Result<Vec<ReadyRecord>, LedgerError> {
        let events = self.events().await?;
        let mut found = Vec::new();
        for log in self.of_rounds(&events) {
            if let Some(e) = log.decode::<R::ReadyPosted>().filter(|e| (e.federation, e.round) == (federation, number))
            {
                found.push(ReadyRecord { member: e.member, key_hash: e.keyHash, time: log.time });
            }
        }
        Ok(found)
    }

    /// Compares a record with what the contract itself holds of the round now.
    pub async fn confirm(&self, record: &RoundRecord) -> Result<(), LedgerError> {
        let call = R::roundOfCall { federation: record.federation, round: record.number };
        let held = self.view(self.deployment.rounds, call).await?;
        let last = record.stages.last_key_value();
        let same = held.ctx == record.ctx
            && last.is_some_and(|(stage, posted)| held.stage == stage.number() && held.transcript == posted.transcript);
        if same { Ok(()) } else { Err(contradiction(record, "the events are not what the contract holds")) }
    }

    pub(super) fn opened(
        &self,
        opened: R::RoundOpened,
        log: &ChainLog,
        readies: Vec<ReadyRecord>,
    ) -> Result<RoundRecord, LedgerError> {
        let mut record = RoundRecord {
            federation: opened.federation,
            number: opened.round,
            ctx: opened.ctx,
            descriptor: of_protocol(&opened.descriptor)?,
            cids: of_protocol(&opened.cids)?,
            opened_at: log.time,
            readies,
            promises: Vec::new(),
            direct: Vec::new(),
            reveals: Vec::new(),
            locked: None,
            admitted: None,
            proposal: None,
            paid: None,
            status: RoundStatus::Running,
            stages: BTreeMap::new(),
        };
        if ctx(self.deployment.chain_id, self.deployment.rounds, &record.descriptor) != record.ctx {
            return Err(contradiction(&record, "ctx is not the hash of the descriptor"));
        }
        let first = transcript(B256::ZERO, Stage::Ctx, record.ctx);
        record.stages.insert(Stage::Ctx, posted(log, record.ctx, first, Bytes::new()));
        Ok(record)
    }

    pub(super) fn of_rounds<'a>(&self, events: &'a [Arc<ChainLog>]) -> impl Iterator<Item = &'a ChainLog> + use<'a> {
        let address = self.deployment.rounds;
        events.iter().map(|log| &**log).filter(move |log| log.address == address)
    }
}

/// Every event of Rounds that concerns a round is indexed by federation and round.
pub(super) fn key(log: &ChainLog) -> Option<(u64, u64)> {
    let word = |at: usize| {
        let topic = log.data.topics().get(at)?;
        u64::try_from(alloy::primitives::U256::from_be_bytes(topic.0)).ok()
    };
    Some((word(1)?, word(2)?))
}

pub(super) fn extend(record: &mut RoundRecord, log: &ChainLog) -> Result<(), LedgerError> {
    let time = log.time;
    if let Some(e) = log.decode::<R::StagePosted>() {
        return next_stage(record, log, e);
    }
    if let Some(e) = log.decode::<R::Promised>() {
        record.promises.push(PromiseRecord { validator: e.validator, commitment: e.commitment, time });
    } else if let Some(e) = log.decode::<R::CommittedDirect>() {
        let manifest = of_protocol(&e.manifest)?;
        record.direct.push(ContributionRecord { manifest, signature: e.signature, time });
    } else if let Some(e) = log.decode::<R::Locked>() {
        record.locked = Some(e.count);
    } else if let Some(e) = log.decode::<R::Revealed>() {
        let (validator, direction_root, salt) = (e.validator, e.directionRoot, e.salt);
        record.reveals.push(RevealRecord { validator, direction_root, salt, time });
    } else if let Some(e) = log.decode::<R::Admitted>() {
        record.admitted = Some(AdmittedRecord { count: e.count, signers: e.signers });
    } else if let Some(e) = log.decode::<R::Proposed>() {
        record.proposal = Some(ProposalRecord { proposer: e.proposer, total: e.total, ends_at: e.endsAt });
        record.status = RoundStatus::Proposed;
    } else if let Some(e) = log.decode::<R::RoundFinal>() {
        record.paid = Some(e.paid);
        record.status = RoundStatus::Final;
    } else if log.decode::<R::RoundVoid>().is_some() {
        record.status = RoundStatus::Void;
    } else if log.decode::<R::RoundExpired>().is_some() {
        record.status = RoundStatus::Expired;
    }
    Ok(())
}

/// Recomputes H_s from the values before it.
fn next_stage(record: &mut RoundRecord, log: &ChainLog, event: R::StagePosted) -> Result<(), LedgerError> {
    let stage = Stage::try_from(event.stage).map_err(|_| contradiction(record, "there is no such stage"))?;
    let Some((last, previous)) = record.stages.last_key_value() else {
        return Err(contradiction(record, "a stage before the round was opened"));
    };
    if stage.number() != last.number().saturating_add(1) {
        return Err(contradiction(record, "a stage out of order"));
    }
    if transcript(previous.transcript, stage, event.root) != event.transcript {
        return Err(contradiction(record, "a transcript value that does not follow from the roots"));
    }
    record.stages.insert(stage, posted(log, event.root, event.transcript, event.cid));
    Ok(())
}

fn posted(log: &ChainLog, root: B256, transcript: B256, cid: Bytes) -> StageRecord {
    StageRecord { root, transcript, cid, time: log.time, block: log.block, tx: log.tx }
}

/// The struct of the bindings as that of the protocol: the same fields, the same encoding.
fn of_protocol<A: SolValue, B>(value: &A) -> Result<B, LedgerError>
where
    B: SolValue + From<<B::SolType as SolType>::RustType>,
{
    B::abi_decode(&value.abi_encode()).map_err(|error| LedgerError::Decode(error.to_string()))
}

fn contradiction(record: &RoundRecord, what: &'static str) -> LedgerError {
    LedgerError::Inconsistent { federation: record.federation, round: record.number, what }
}
