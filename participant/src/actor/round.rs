//! A round in hand: verified once, then one duty after another as the chain moves on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use almoner_chain::{Depth, FederationRecord, LedgerError, RoundRecord, RoundStatus};
use almoner_proto::{ErrorKind, Kinded, Task, TaskRequest, timely, wire};
use almoner_protocol::{Admitted, B256};

use super::due::{Duty, Roles, due};
use super::restored::may_have_answered;
use super::{Site, SiteProgress};
use crate::SiteError;
use crate::claim::own_claim;
use crate::committee::{HeldShares, Revealed};
use crate::contribute::Attempt;
use crate::fetch::{Terms, check_task, terms};

/// What this process knows of the round; all of it can be found again.
pub(super) struct Work {
    ctx: B256,
    /// `None`: the site refuses this round.
    terms: Option<Arc<Terms>>,
    over: BTreeSet<Duty>,
    pub(super) attempt: Attempt,
    /// What H_direction covers, and the shares of who was locked then.
    pub(super) revealed: Kept<Revealed>,
    pub(super) held: Kept<HeldShares>,
    /// This member's scalar answers, by the audit that says which shares count.
    pub(super) words: Kept<Vec<u64>>,
    /// U, by the scores that it follows from.
    pub(super) admitted: Kept<Admitted>,
}

/// What follows from a posted list, by the transcript value of the list.
pub(super) struct Kept<T>(Mutex<Option<(B256, Arc<T>)>>);

impl<T> Kept<T> {
    pub(super) fn of(&self, transcript: B256) -> Option<Arc<T>> {
        self.lock().as_ref().filter(|(of, _)| *of == transcript).map(|(_, kept)| kept.clone())
    }

    pub(super) fn keep(&self, transcript: B256, found: Arc<T>) {
        *self.lock() = Some((transcript, found));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(B256, Arc<T>)>> {
        // Replaced whole, so a panic elsewhere leaves a usable value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl Work {
    fn new(ctx: B256, terms: Option<Arc<Terms>>) -> Self {
        Self {
            ctx,
            terms,
            over: BTreeSet::new(),
            attempt: Attempt::First,
            revealed: Kept::default(),
            held: Kept::default(),
            words: Kept::default(),
            admitted: Kept::default(),
        }
    }
}

impl Site {
    pub(super) async fn take_part(
        &mut self,
        federation: &FederationRecord,
        rounds: &[RoundRecord],
        round: &RoundRecord,
    ) -> Result<(), SiteError> {
        let Some(terms) = self.verified(federation, rounds, round).await? else { return Ok(()) };
        let account = self.from.identity.account();
        let roles = Roles {
            participant: self.training.is_some() && terms.is_member(account),
            committee: self.training.is_some() && terms.committee_index(account).is_some(),
            validator: self.evaluation.is_some() && terms.is_validator(account),
        };
        for duty in due(round, account, roles) {
            if self.work.as_ref().is_none_or(|work| work.over.contains(&duty)) {
                continue;
            }
            match self.perform(&terms, round, duty).await {
                Ok(()) => self.tell(SiteProgress::Done { round: round.number, duty }),
                Err(error) if self.overtaken(round, duty, roles, &error).await? => {
                    tracing::info!(round = round.number, duty = duty.word(), %error, "the round went on without it");
                }
                Err(error) => self.refuse(round, Some(duty), error)?,
            }
            if let Some(work) = &mut self.work {
                work.over.insert(duty);
            }
        }
        Ok(())
    }

    /// The round's terms, verified once per process; `None` if the site refuses the round.
    async fn verified(
        &mut self,
        federation: &FederationRecord,
        rounds: &[RoundRecord],
        round: &RoundRecord,
    ) -> Result<Option<Arc<Terms>>, SiteError> {
        if let Some(work) = self.work.as_ref().filter(|work| work.ctx == round.ctx) {
            return Ok(work.terms.clone());
        }
        let task = self.confirmed(round, async { Ok(self.ask_task(round).await) }).await?;
        let until = self.forgotten_until(federation, rounds).await?;
        let checked = match task {
            Ok(()) if may_have_answered(rounds, round, until) => Err(SiteError::Restored { round: round.number }),
            Ok(()) => terms(&self.from, &self.config.policy, federation, rounds, round).await,
            Err(error) => Err(error),
        };
        let terms = match checked {
            Ok(terms) => {
                self.tell(SiteProgress::Verified { round: round.number });
                Some(Arc::new(terms))
            }
            Err(error) => {
                self.refuse(round, None, error)?;
                None
            }
        };
        self.work = Some(Work::new(round.ctx, terms.clone()));
        Ok(terms)
    }

    /// Holds the record against the contract. Between reading the one and asking the other a stage may have been posted,
    /// which is no contradiction: then the events have it too.
    pub(super) async fn confirm(&self, round: &RoundRecord) -> Result<(), SiteError> {
        let ledger = &self.from.ledger;
        let Err(error) = ledger.confirm(round).await else { return Ok(()) };
        if matches!(error, LedgerError::Inconsistent { .. }) {
            let now = ledger.round(round.federation, round.number).await?;
            if now.is_some_and(|now| now.stages != round.stages) {
                return Err(SiteError::Moved { round: round.number });
            }
        }
        Err(error.into())
    }

    /// What is read of the round, while the contract is asked about it. Nobody hears of what was read before both are there:
    /// over a slow line each answer is a trip.
    pub(super) async fn confirmed<T>(
        &self,
        round: &RoundRecord,
        read: impl Future<Output = Result<T, SiteError>>,
    ) -> Result<T, SiteError> {
        let (confirmed, read) = tokio::join!(self.confirm(round), read);
        confirmed?;
        read
    }

    async fn ask_task(&self, round: &RoundRecord) -> Result<(), SiteError> {
        let request = TaskRequest { federation: round.federation, round: round.number };
        match self.client.clone().fetch_task(timely::<wire::TaskRequest>(request)).await {
            Ok(task) => check_task(&Task::try_from(task.into_inner())?, round),
            // The chain is enough to go by; the coordinator may be restarting.
            Err(status) if almoner_proto::kind_of(&status) == ErrorKind::NotFound => Ok(()),
            Err(status) => Err(status.into()),
        }
    }

    /// Whether the coordinator refused what the chain shows was not needed any more: t others were quicker, or it was
    /// taken before and the answer got lost. What this site refuses itself stays refused, and so does a late upload.
    async fn overtaken(
        &self,
        round: &RoundRecord,
        duty: Duty,
        roles: Roles,
        error: &SiteError,
    ) -> Result<bool, SiteError> {
        let refused = matches!(error, SiteError::Wire(_))
            && matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound)
            && duty != Duty::Contribute;
        if !refused {
            return Ok(false);
        }
        // A block that may still be taken back says so too.
        let now = self.from.ledger.at(Depth::NONE).round(round.federation, round.number).await?;
        let account = self.from.identity.account();
        Ok(now.is_none_or(|now| !due(&now, account, roles).contains(&duty)))
    }

    /// Gives a duty, or the round, up for good; what may succeed later is handed back instead.
    fn refuse(&self, round: &RoundRecord, duty: Option<Duty>, error: SiteError) -> Result<(), SiteError> {
        match error.kind() {
            ErrorKind::NotNow(_) | ErrorKind::Internal => return Err(error),
            ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::NotAllowed
            | ErrorKind::PeerFault => {}
        }
        tracing::error!(round = round.number, duty = duty.map(Duty::word), %error, "refused");
        self.tell(SiteProgress::Refused { round: round.number, duty, error: Arc::new(error) });
        Ok(())
    }

    /// After a round: its keys are erased, and what it paid is looked at.
    pub(super) async fn close(&mut self, rounds: &[RoundRecord], round: &RoundRecord) -> Result<(), SiteError> {
        if self.closed >= round.number {
            return Ok(());
        }
        self.work = None;
        self.from.memory.save_model().await?;
        self.from.memory.forget_round(round.number, round.ctx).await?;
        if round.status == RoundStatus::Final {
            match own_claim(&self.from, rounds).await {
                Ok(Some(claim)) => self.tell(SiteProgress::Earned { round: round.number, claim }),
                Ok(None) => {}
                Err(error) => self.refuse(round, None, error)?,
            }
        }
        self.closed = round.number;
        Ok(())
    }
}
