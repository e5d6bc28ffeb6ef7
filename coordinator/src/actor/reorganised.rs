//! When the chain takes back what was acted on already. What we sent is sent again, byte by byte, and then as a rule the
//! chain says what it said before. Where it does not, the round in hand cannot go on: it is ended, and everything is
//! taken over from the chain, as after a restart from a copy. A coordinator whose very federation is gone ends: nothing it
//! sends could have an effect.

use almoner_chain::{FederationRecord, RoundStatus};
use almoner_journal::Batch;
use almoner_protocol::Stage;
use almoner_protocol::round::Posted;
use tokio::time::Instant;

use super::resume::{ROUND, STRAY, encode};
use super::{Actor, FOLLOW_EVERY, posted};
use crate::CoordinatorError;
use crate::chain::At;

impl Actor {
    pub(super) async fn look_back(&mut self) -> Result<(), CoordinatorError> {
        let (looked, count) = self.looked_back;
        if looked.elapsed() < FOLLOW_EVERY {
            return Ok(());
        }
        self.looked_back.0 = Instant::now();
        if self.chain.recover().await? {
            self.try_again_soon();
        }
        let Some(federation) = self.campaign.as_ref().map(|campaign| campaign.number) else { return Ok(()) };
        // Only who reads sees it.
        let record = self.chain.ledger.federation(federation).await?;
        if !self.is_ours(record.as_ref())? && self.is_taken_back(federation).await? {
            return Err(CoordinatorError::TakenBack { federation });
        }
        let Some(reorganised) = self.chain.ledger.reorganised(count) else { return Ok(()) };
        tracing::error!(%reorganised, "deeper than what is waited for");
        self.chain.recover().await?;
        if let Some(at) = self.lost(federation).await? {
            self.end_lost(at).await?;
        }
        self.looked_back.1 = reorganised.count;
        Ok(())
    }

    /// Whether the newest blocks have the federation no more, and there is nothing to send that could bring it back.
    async fn is_taken_back(&self, federation: u64) -> Result<bool, CoordinatorError> {
        // A chain that was taken back between the two questions is sent to again.
        Ok(self.is_missing(federation).await? && !self.chain.recover().await? && self.is_missing(federation).await?)
    }

    async fn is_missing(&self, federation: u64) -> Result<bool, CoordinatorError> {
        let record = self.chain.shallow.federation(federation).await?;
        Ok(!self.is_ours(record.as_ref())? && self.chain.is_read())
    }

    /// In another chain the number may be that of somebody else's federation.
    fn is_ours(&self, record: Option<&FederationRecord>) -> Result<bool, CoordinatorError> {
        let (Some(campaign), Some(record)) = (&self.campaign, record) else { return Ok(false) };
        Ok(record.params.coordinator == self.key.address() && record.params.specHash == campaign.spec.hash()?)
    }

    /// The last round of ours, if the chain has it otherwise than we do.
    async fn lost(&self, federation: u64) -> Result<Option<At>, CoordinatorError> {
        let last = self.campaign.as_ref().map_or(0, |campaign| campaign.last_round);
        let at = self.current.as_ref().map_or(At { federation, round: last }, |current| current.at());
        let Some(record) = self.chain.shallow.round(federation, at.round).await? else {
            let opened = self.current.as_ref().is_none_or(|current| current.round.posted(Stage::Ctx).is_some());
            return Ok((opened && at.round > 0).then_some(at));
        };
        let same = match &self.current {
            Some(current) => posted(current).all(|(stage, posted): (Stage, &Posted)| {
                record.stages.get(&stage).is_some_and(|found| found.transcript == posted.transcript)
            }),
            None => record.is_over(),
        };
        Ok((!same).then_some(at))
    }

    async fn end_lost(&mut self, at: At) -> Result<(), CoordinatorError> {
        tracing::error!(
            round = at.round,
            "the chain has this round otherwise now: it is ended, and the next one follows"
        );
        let (none, round) = (encode(&None::<()>)?, encode(&Some(at.round))?);
        self.journal.commit(&Batch::new().forget_events().state(ROUND, &none).state(STRAY, &round))?;
        self.current = None;
        self.stray = Some(at);
        self.jobs.clear();
        self.seen = None;
        self.receipt_waiters.clear();
        self.campaign_mut()?.forget_offers();
        if self.chain.shallow.round(at.federation, at.round).await?.is_none() {
            self.say_that_it_ended(at, RoundStatus::Void);
            return self.put_stray_away().await;
        }
        self.tell_where_it_stands().await;
        Ok(())
    }
}
