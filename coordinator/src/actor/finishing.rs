//! After a round: what it left is what the next one starts from.

use almoner_protocol::Stage;
use almoner_protocol::round::State;

use super::{Actor, Current, posted};
use crate::campaign::Base;
use crate::progress::{Paid, Settlement};
use crate::{CoordinatorError, Progress};

impl Actor {
    /// Puts a finished round away: its model and its payments are what the next one starts from.
    pub(super) async fn finish_round(&mut self) -> Result<(), CoordinatorError> {
        let Some(finished) = self.current.as_ref().filter(|current| current.round.is_finished()) else { return Ok(()) };
        // The contract's head moves with the model, whatever became of the money: an opened sum is never redone.
        let parent_ctx = finished.round.ctx();
        let opened = finished.round.posted(Stage::Model).cloned();
        let base = opened.map(|model| Base { parent_ctx, root: model.root, cid: model.cid });
        let Some(current) = self.current.take() else { return Ok(()) };
        self.jobs.clear();
        self.seen = None;
        self.receipt_waiters.clear();
        let state = current.round.state();
        let round = current.at().round;
        let Some(campaign) = &mut self.campaign else {
            return Err(CoordinatorError::Bug("a round without a federation".into()));
        };
        campaign.last_round = round;
        // Those that came while the round was running were for it.
        campaign.forget_offers();
        campaign.to_run = campaign.to_run.saturating_sub(1);
        let opened = base.is_some();
        if let Some(base) = base {
            campaign.base = base;
            campaign.earlier_sets.clear();
        }
        let reason = match state {
            State::Settled => {
                let settlement = settlement(&current);
                if let Some(settled) = current.round.settlement() {
                    campaign.cumulative = settled.ledger.clone();
                }
                let _ = self.progress.send(Progress::Settled(settlement));
                String::new()
            }
            over => {
                let unopened = current.round.admission().filter(|_| !opened);
                let set = unopened.map(|admitted| admitted.set().map(|item| item.participant).collect());
                campaign.earlier_sets.extend(set);
                let end = current.round.end();
                let reason = end.map(|end| format!("{:?}", end.cause)).unwrap_or_default();
                let faults = end.map(|end| end.faults.clone()).unwrap_or_default();
                let _ = self.progress.send(Progress::Ended { round, state: over, reason: reason.clone(), faults });
                reason
            }
        };
        self.save_between_rounds()?;
        let Some(campaign) = &self.campaign else { return Ok(()) };
        if campaign.to_run == 0 {
            let _ = self.progress.send(Progress::Idle);
        }
        self.look_for_pot().await;
        let Some(campaign) = &self.campaign else { return Ok(()) };
        let next_round = campaign.next_round().unwrap_or_default();
        let short = campaign.short.map(|short| short.to_string());
        self.notify(|notice| {
            notice.round = round;
            notice.state = state.to_string();
            notice.next_round = next_round;
            notice.reason = short.filter(|_| reason.is_empty()).unwrap_or(reason);
        });
        if opened {
            self.keep_base().await;
        }
        Ok(())
    }
}

fn settlement(current: &Current) -> Settlement {
    let items = current.round.settlement().map(|settled| settled.items.as_slice()).unwrap_or_default();
    let paid = items.iter().map(|item| Paid {
        account: item.account,
        role: item.role,
        quality: item.quality,
        pay: item.pay,
        cumulative: item.cumulative,
    });
    Settlement {
        round: current.at().round,
        roots: posted(current).map(|(stage, posted)| (stage, posted.root)).collect(),
        cids: posted(current).map(|(stage, posted)| (stage, posted.cid.clone())).collect(),
        paid: paid.collect(),
    }
}
