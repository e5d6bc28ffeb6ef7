//! What the chain says about the round in hand. Our own transactions and those of others come in by the same door.

use almoner_chain::RoundStatus;
use almoner_protocol::Stage;
use almoner_protocol::round::{Event, Finality};

use super::Actor;
use crate::CoordinatorError;
use crate::chain::At;

impl Actor {
    /// Everything the chain knows of this round that the round has not heard, in chain order.
    pub(super) async fn chain_events(&mut self) -> Result<Vec<Event>, CoordinatorError> {
        let Some(current) = &self.current else { return Ok(Vec::new()) };
        let At { federation, round } = current.at();
        let record = self.chain.ledger.round(federation, round).await?;
        self.block_time = self.block_time.max(self.chain.ledger.read_time().unwrap_or(0));
        let (Some(record), Some(current)) = (record, &self.current) else { return Ok(Vec::new()) };
        let mut events = Vec::new();
        if current.round.posted(Stage::Ctx).is_none() {
            events.push(Event::RoundOpened { ctx: record.ctx, at: record.opened_at });
        }
        for direct in record.direct {
            events.push(Event::ContributionCommitted {
                manifest: direct.manifest,
                signature: direct.signature,
                at: direct.time,
            });
        }
        for (stage, posted) in record.stages {
            if stage == Stage::Ctx || current.round.posted(stage).is_some() {
                continue;
            }
            events.push(Event::StagePosted {
                stage,
                posting: almoner_protocol::round::Posting { root: posted.root, cid: posted.cid },
                transcript: posted.transcript,
                at: posted.time,
                finality: Finality::Final,
            });
        }
        match record.status {
            RoundStatus::Running | RoundStatus::Proposed => {}
            RoundStatus::Final => events.push(Event::RoundFinalised),
            RoundStatus::Void => events.push(Event::RoundVoided),
            RoundStatus::Expired => events.push(Event::RoundExpired),
        }
        Ok(events)
    }

    /// As [`Self::chain_events`], applied.
    pub(super) async fn follow(&mut self) -> Result<(), CoordinatorError> {
        for event in self.chain_events().await? {
            self.apply(event).await?;
        }
        Ok(())
    }
}
