//! A participant's part: train on the verified base model, encrypt the update, deal shares of its one-time secret,
//! upload, and keep the receipt.

mod build;
mod train;
mod upload;

pub use build::{Contributed, Salted, build_contribution, deal_shares, seal_contribution};
pub use train::{train_delta, train_update};
pub use upload::{Attempt, check_receipt, upload};
