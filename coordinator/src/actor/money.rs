//! Whether the next round's pot is there. A round that is opened without it is refused by the contract, after the sites' keys
//! were posted for gas: so it is not asked for.

use tokio::time::Instant;

use super::{Actor, FOLLOW_EVERY};
use crate::CoordinatorError;
use crate::campaign::Shortage;

impl Actor {
    /// Between rounds: looks whether the next one can be paid. Where the chain cannot be asked, what was known stands, and the
    /// contract has the last word.
    pub(super) async fn look_for_pot(&mut self) {
        let Some(campaign) = self.campaign.as_ref().filter(|campaign| campaign.to_run > 0) else { return };
        let round = campaign.last_round + 1;
        let found = match self.shortage().await {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "whether there is money for the next round is not known"),
        };
        let Some(campaign) = &mut self.campaign else { return };
        if let Some(short) = found.filter(|_| campaign.short != found) {
            tracing::warn!(round, %short, "the next round waits for money");
        }
        campaign.short = found;
    }

    /// What the next round's pot lacks, if no round is running.
    pub(super) async fn shortage(&self) -> Result<Option<Shortage>, CoordinatorError> {
        let Some(campaign) = &self.campaign else { return Ok(None) };
        let (federation, pot) = (campaign.number, campaign.spec.round.pot.0);
        let available = self.available(federation).await?;
        Ok((available < pot).then_some(Shortage { federation, available, pot }))
    }

    /// What a federation was given and has not paid out.
    async fn available(&self, federation: u64) -> Result<u128, CoordinatorError> {
        let ledger = &self.chain.shallow;
        let record = ledger.federation(federation).await?;
        let given = record.iter().flat_map(|record| &record.funded);
        let given = given.fold(0u128, |sum, funding| sum.saturating_add(funding.amount));
        let rounds = ledger.rounds(federation).await?;
        Ok(rounds.iter().filter_map(|round| round.paid).fold(given, u128::saturating_sub))
    }

    /// Somebody may have put in what was missing: then sites are asked again.
    pub(super) async fn look_for_pot_again(&mut self) {
        let short = |actor: &Self| actor.campaign.as_ref().is_some_and(|campaign| campaign.short.is_some());
        if self.current.is_some()
            || self.stray.is_some()
            || !short(self)
            || self.looked_for_pot.elapsed() < FOLLOW_EVERY
        {
            return;
        }
        self.looked_for_pot = Instant::now();
        self.look_for_pot().await;
        if !short(self) {
            self.ask_for_round();
        }
    }

    /// Tells sites whether a round follows, and whoever watches why not.
    pub(super) fn ask_for_round(&self) {
        let Some(campaign) = &self.campaign else { return };
        let (federation, last, next) = (campaign.number, campaign.last_round, campaign.next_round());
        let reason = campaign.short.map(|short| short.to_string()).unwrap_or_default();
        self.notify(|notice| {
            notice.federation = federation;
            notice.round = last;
            notice.next_round = next.unwrap_or_default();
            notice.reason = reason;
        });
    }
}
