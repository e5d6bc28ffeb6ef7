//! After a round: the site asks to be paid what it has earned, and looks whether it was.

use std::sync::Arc;

use almoner_chain::RoundRecord;
use almoner_proto::{ClaimReply, ErrorKind, Kinded, RoundNotice, wire};
use almoner_protocol::U256;

use super::{Site, SiteProgress};
use crate::SiteError;
use crate::claim::{Claim, Standing, own_claim};

/// A claim that was sent, and how the account stood before: an answer may be lost on the way.
#[derive(Clone)]
pub(super) struct Asked {
    claim: Claim,
    before: Standing,
}

impl Site {
    /// Once after a round that is over, where the site's settings say so.
    pub(super) async fn collect(
        &mut self,
        notice: &RoundNotice,
        rounds: &[RoundRecord],
        round: &RoundRecord,
    ) -> Result<(), SiteError> {
        if self.collected >= round.number || !self.config.claim.is_due(notice, round.number) {
            return Ok(());
        }
        match self.be_paid(rounds).await {
            Ok(Some((claim, paid))) => self.tell(SiteProgress::Paid { claim, paid }),
            Ok(None) => {}
            Err(error) => match error.kind() {
                ErrorKind::NotNow(_) | ErrorKind::Internal => return Err(error),
                ErrorKind::Invalid
                | ErrorKind::NotFound
                | ErrorKind::Conflict
                | ErrorKind::NotAllowed
                | ErrorKind::PeerFault => {
                    tracing::error!(round = round.number, %error, "not paid");
                    self.tell(SiteProgress::NotPaid { error: Arc::new(error) });
                }
            },
        }
        self.asked_pay = None;
        self.collected = round.number;
        Ok(())
    }

    /// All that the site has earned and was not paid; `None` if it never earned anything.
    async fn be_paid(&mut self, rounds: &[RoundRecord]) -> Result<Option<(Claim, U256)>, SiteError> {
        let Some(claim) = own_claim(&self.from, rounds).await? else { return Ok(None) };
        let (number, account) = (self.config.federation, self.from.identity.account());
        let asked = self.asked_pay.take().filter(|asked| asked.claim == claim);
        let before = match asked {
            Some(asked) => asked.before,
            None => Standing::before(&self.from.ledger, number, account).await?,
        };
        if before.claimed >= claim.cumulative {
            return Ok(Some((claim, U256::ZERO)));
        }
        self.asked_pay = Some(Asked { claim: claim.clone(), before });
        let request = claim.request(number)?;
        let reply = self.client.claim(wire::ClaimRequest::from(request)).await?;
        let ClaimReply { block } = reply.into_inner().into();
        let head = self.from.ledger.head().await?;
        let after = Standing::after(&self.from.ledger, number, account).await?;
        let paid = claim.paid(before, after, head, block)?;
        Ok(Some((claim, paid)))
    }
}
