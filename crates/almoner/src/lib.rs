//! The `almoner` binary as a library: its commands, and `localnet`, a whole federation in one process over loopback,
//! which the demo and the tests share.

#[macro_use]
mod said;

pub mod cli;
mod commands;
pub mod failure;
mod files;
pub mod localnet;
mod rpc_proxy;
mod rpc_room;
mod rpc_turns;
mod terminal;
mod tokens;
