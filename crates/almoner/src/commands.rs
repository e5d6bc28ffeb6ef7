//! One module per command: its options and its output.

pub(crate) mod aggregator;
pub(crate) mod audit;
mod authority;
mod backup;
pub(crate) mod bench;
mod channel;
mod claim;
mod clock;
pub(crate) mod completions;
pub(crate) mod coordinator;
pub(crate) mod demo;
mod demo_screen;
mod depth;
pub(crate) mod devnet;
mod enrol;
mod enrolment;
pub(crate) mod federation;
mod files;
pub(crate) mod identity;
mod in_the_clear;
pub(crate) mod key;
mod metrics;
mod mirror;
pub(crate) mod model;
pub(crate) mod participant;
mod password;
mod reach;
mod renew;
mod retention;
pub(crate) mod serve;
mod source;
mod status;
mod traces;
mod vault;
mod watch_bar;

pub(crate) use files::RoleOptions;
