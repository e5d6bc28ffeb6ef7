//! One module per command: its options and its output.

pub(crate) mod audit;
pub(crate) mod demo;
mod demo_screen;
pub(crate) mod serve;
