//! Almoner's rules as pure values: who may say what, what follows from it, and who is paid.
//!
//! Nothing here waits, reads a clock, draws randomness or touches a file. Everything that decides a payment is
//! integer arithmetic that the contracts and an outside auditor repeat bit for bit (docs/PROTOCOL.md).

mod admit;
mod class;
mod committee;
mod descriptor;
mod direction;
mod error;
mod file_version;
mod fixed;
mod hello;
mod ids;
mod leak;
mod list;
mod model_file;
mod payout;
mod quality;
pub mod round;
mod scale;
pub mod spec;
mod sum_opening;
pub mod types;
#[cfg(test)]
mod vectors;
mod verdict;

pub use alloy_primitives::{Address, B256, Bytes, U256};
pub use alloy_sol_types::{Eip712Domain, SolStruct, SolValue};

pub use admit::{Admission, Admitted, Evidence, TooFew, ValidatorVote, admit, floor_verdicts};
pub use class::classes_of;
pub use committee::{Committee, MAX_COMMITTEE, MIN_COMMITTEE, Sample};
pub use descriptor::{RoundFacts, build_descriptor, check_descriptor, check_terms};
pub use direction::{
    DEFAULT_NOISE, add_noise, pack_direction, packed_direction_length, quantise_direction, unpack_direction,
};
pub use error::Error;
pub use file_version::FileVersion;
pub use fixed::{
    MAX_LEARNING_RATE_TERM, NORM_CLASSES, ServerStep, Update, base_from_f32, base_to_f32, declared_norm, next_model,
    quantise, step_model,
};
pub use hello::{Hello, decode_hello, encode_hello};
pub use ids::{EPOCH_ROUNDS, FederationId, epoch_of};
pub use leak::{
    DIRECTION_ENTRY_MAX, check_direction, check_leak, check_ledger, default_scalars_max, scalars_per_round, spread_min,
};
pub use list::{ListItem, MAX_PARAMETERS, SealedShares, check_order, decode_list, encode_list, list_root};
pub use model_file::{ModelHasher, decode_model, encode_model, model_file_length, model_header, model_root};
pub use payout::{
    CumulativeLedger, PayoutTree, Role, SettleNode, SettleTree, Settlement, Share, close_split, payout_leaf,
    prefix_split_floor, settle, settle_leaf, verify_claim, verify_settle,
};
pub use quality::{Candidate, FULL_QUALITY, Judge, Quality, STAKE_BITS, Scores, Standing, Vote, quality};
pub use scale::{
    DIRECTION_SUPPORT, DROP_BITS, MAX_COORDINATE, MAX_FRAC_BITS, MAX_WEIGHT_TOTAL, SIGN_DIRECTION_PARAMETERS, Scale,
    direction_norm,
};
pub use sum_opening::SumOpening;
pub use types::{Stage, sha256};
pub use verdict::{AdmitVerdict, AuditVerdict, ScoreVerdict};
