//! Content-addressed blobs. CIDs are the truth: whoever reads recomputes them block by block,
//! whatever the source, so sources are interchangeable and none is trusted.
//!
//! | to | use |
//! |---|---|
//! | keep blobs in a directory | [`EmbeddedStore`]; [`BoundedStore`] within a quota |
//! | keep them in a Kubo daemon, or give it a copy | [`KuboStore`] (CAR import over its RPC) |
//! | read from any list of gateways | [`GatewayStore`] |
//! | serve a store as an IPFS trustless gateway | [`gateway::router`] |
//! | test | [`MemoryStore`], [`FaultyStore`]; `FakeKubo` with the feature `testing` |
//!
//! Files are UnixFS of the profile `unixfs-v1-2025` ([`Layout::V1_2025`]): other IPFS tools
//! give them the same CID. Other layouts, dag-pb leaves and CIDv0 are read, never written.
//! `tests/vectors/cid/0` holds CIDs made by the JavaScript importer.
//!
//! The Kubo client is tested against a small server of our own that speaks the RPC's documented
//! answers, not against a Kubo daemon: that check belongs to a release.

mod block;
mod blocking;
mod car;
mod dag;
mod embedded;
mod error;
mod faulty;
pub mod gateway;
mod http;
mod ids;
mod incoming;
mod kubo;
mod layout;
mod memory;
mod near;
mod pb;
mod store;
#[cfg(test)]
mod testing;
mod walk;

pub use bytes::Bytes;
pub use cid::Cid;
pub use reqwest::Url;

pub use block::Block;
pub use embedded::{BoundedStore, EmbeddedStore};
pub use error::{Blame, Malformed, Place, Refusal, StoreError};
pub use faulty::{Faults, FaultyStore, Injected};
pub use gateway::GatewayStore;
pub use ids::{cid_from_bytes, cid_from_text};
pub use incoming::{Incoming, Whole};
pub use kubo::KuboStore;
#[cfg(any(test, feature = "testing"))]
pub use kubo::fake::{FakeKubo, Refuses as FakeKuboRefuses};
pub use layout::{CidHasher, Layout, cid_of};
pub use memory::MemoryStore;
pub use near::Near;
pub use store::{BlockSource, Store};

/// The largest block read from anyone, the limit IPFS tools exchange: 2 MiB.
pub const MAX_BLOCK: usize = 2 << 20;

/// The deepest tree read: with 1024 links a node, four levels already hold an exbibyte.
pub const MAX_DEPTH: usize = 32;
