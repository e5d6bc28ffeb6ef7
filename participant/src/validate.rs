//! A validator's part: the direction in which its own loss grows, noised and rounded, promised before any upload is
//! accepted and revealed once the upload list is locked. Its rows stay where they are.

mod direction;
mod promise;

pub use direction::{LEAST_ROWS, build_direction};
pub use promise::{direction_item, signed_promise, signed_reveal};
