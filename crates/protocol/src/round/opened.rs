//! Opened and proposed: the money follows from what is on chain by now. Nothing here reads the model or the sum.

use super::{Rejection, Round, State};
use crate::list::encode_list;
use crate::payout::settle;
use crate::types::Stage;

impl Round {
    /// Computes the settlement on entry; its two roots are fixed in the same step.
    pub(super) fn advance_opened(&mut self) -> Result<(), Rejection> {
        let (None, Some(admitted)) = (&self.settlement, &self.admission) else { return Ok(()) };
        let descriptor = &self.terms.descriptor;
        let settlement = settle(descriptor.pot, descriptor.feeBps, admitted, &self.terms.cumulative)?;
        self.posts.fix(Stage::Settle, settlement.settle_tree()?.root())?;
        self.posts.fix(Stage::Payout, settlement.payout_tree().root())?;
        self.settlement = Some(settlement);
        self.sum_answers.drop_words();
        Ok(())
    }

    pub(super) fn settle_artefact(&self) -> Option<Vec<u8>> {
        self.settlement.as_ref().map(|settlement| encode_list(&settlement.items))
    }

    pub(super) fn payout_artefact(&self) -> Option<Vec<u8>> {
        self.settlement.as_ref().map(|settlement| encode_list(&settlement.ledger.payouts()))
    }

    /// The challenge window began when the settlement was posted.
    pub(super) fn window_is_over(&self) -> bool {
        let window = self.terms.descriptor.challengeWindow;
        let over = |at: u64| self.clock >= at.saturating_add(window);
        self.state == State::Proposed && self.posts.posted(Stage::Payout).is_some_and(|posted| over(posted.at))
    }
}
