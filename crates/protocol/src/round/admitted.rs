//! Admitted: U is on chain with t signatures. Once that is final, its ciphertexts are summed and the sum is posted
//! before any member answers for it.

use super::{Finality, Posting, Rejection, Round, State};
use crate::types::Stage;

impl Round {
    pub(super) fn on_sum(&mut self, sum: Posting) -> Result<(), Rejection> {
        let job = "sum";
        match self.posts.root(Stage::Sum) {
            Some(root) if root == sum.root => Ok(()),
            Some(_) => Err(Rejection::result(job, "it had another root before")),
            None if self.state == State::Admitted => {
                self.posts.fix(Stage::Sum, sum.root)?;
                self.posts.stored(Stage::Sum, sum)
            }
            None => Err(Rejection::result(job, format!("not asked for while the round is {}", self.state))),
        }
    }

    /// Whether U can no longer be reorganised away. A sum opened over a set that then disappears from the chain would
    /// be a first of two.
    pub(super) fn admission_is_final(&self) -> bool {
        self.posts.posted(Stage::Admit).is_some_and(|posted| posted.finality == Finality::Final)
    }
}
