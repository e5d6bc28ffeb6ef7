//! What the chain says about the round in hand. Our own transactions and those of others come in by the same door.

use std::time::Duration;

use almoner_chain::RoundStatus;
use almoner_protocol::Stage;
use almoner_protocol::round::{Effect, Event, Finality, State};

use super::{Actor, FOLLOW_EVERY};
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
            let opened = matches!(event, Event::RoundOpened { .. });
            self.apply(event).await?;
            if let Some(current) = self.current.as_ref().filter(|_| opened) {
                self.announce(current.at(), State::Announced);
            }
        }
        Ok(())
    }

    /// Where blocks are waited for, nothing else says that there is something new.
    pub(super) fn follow_every(&self) -> Duration {
        match self.chain.waits() {
            true => self.chain.ledger.poll_interval().min(FOLLOW_EVERY),
            false => FOLLOW_EVERY,
        }
    }

    /// Whether what is ordered is in a block that is not deep enough yet: then it is waited for, and not sent again.
    pub(super) async fn is_under_way(&self, effect: &Effect) -> Result<bool, CoordinatorError> {
        let Some(current) = self.current.as_ref().filter(|_| self.chain.waits()) else { return Ok(false) };
        let stage = match effect {
            Effect::OpenRound => Some(Stage::Ctx),
            Effect::PostPromises { .. } => Some(Stage::Promise),
            Effect::Lock { .. } => Some(Stage::Lock),
            Effect::PostDirections { .. } => Some(Stage::Direction),
            Effect::PostAudit { .. } => Some(Stage::Audit),
            Effect::PostScores { .. } => Some(Stage::Score),
            Effect::PostAdmit { .. } => Some(Stage::Admit),
            Effect::PostSum { .. } => Some(Stage::Sum),
            Effect::PostOpenAndModel { .. } => Some(Stage::Model),
            Effect::Propose { .. } => Some(Stage::Payout),
            Effect::Finalise | Effect::VoidRound { .. } | Effect::ExpireRound { .. } => None,
            Effect::StoreArtefact { .. }
            | Effect::AskAcks { .. }
            | Effect::AskAnswers { .. }
            | Effect::RequestAudit { .. }
            | Effect::RequestInners { .. }
            | Effect::RequestSum { .. }
            | Effect::RequestOpen { .. }
            | Effect::SignReceipt { .. }
            | Effect::SendReceipt { .. }
            | Effect::Broadcast { .. } => return Ok(false),
        };
        let At { federation, round } = current.at();
        let Some(record) = self.chain.shallow.round(federation, round).await? else { return Ok(false) };
        Ok(match stage {
            Some(stage) => record.stages.contains_key(&stage),
            None => record.is_over(),
        })
    }
}
