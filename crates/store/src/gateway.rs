//! IPFS trustless gateways: [`GatewayStore`] reads from any list of them, [`router`] is one.

mod client;
mod format;
mod nodes;
mod room;
mod router;

pub use client::GatewayStore;
pub use router::router;

#[cfg(test)]
mod tests;
