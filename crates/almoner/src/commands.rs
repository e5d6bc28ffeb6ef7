//! One module per command: its options and its output.

pub(crate) mod aggregator;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod coordinator;
pub(crate) mod demo;
mod demo_screen;
pub(crate) mod devnet;
pub(crate) mod federation;
mod files;
pub(crate) mod key;
pub(crate) mod participant;
pub(crate) mod serve;
mod source;
mod status;

pub(crate) use files::RoleOptions;
