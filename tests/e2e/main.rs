//! Whole federations, each with one part that misbehaves.
//!
//! Every test runs a real [`Localnet`](almoner::localnet::Localnet) of the logistic model on breast cancer: embedded
//! chain, loopback gRPC, everything from one seed, no aggregator or hospital but the ones a test wants. The misbehaving
//! part is put together from the public functions of the production crates; no misbehaviour is built into them. What
//! the honest are paid is compared with a run in which everybody is honest, to the base unit.
//!
//! | file | who misbehaves |
//! |---|---|
//! | `sums.rs` | `WrongSum`, `DeltaShift`: an aggregator that posts another sum |
//! | `garbage.rs` | `GarbageUpload`: files off their commitment, manifests out of range |
//! | `flips.rs` | one byte or one integer of what an audit reads |
//! | `silent.rs` | `SilentMember`, `Straggler`: who leaves off, and when |
//! | `claims.rs` | whoever claims what is not due, or claims twice |
//! | `clock.rs` | the host's clock, which jumps |
//! | `terms.rs` | whoever founds a federation that breaks a rule, or joins one its rows do not fit |
//! | `replay.rs` | `Replayer`: what was said in the round before |
//! | `lying_store.rs` | `LyingStore`: a gateway that flips bytes |

mod claims;
mod clock;
mod federation;
mod flips;
mod garbage;
mod hand;
mod lying_store;
mod replay;
mod silent;
mod sums;
mod terms;
mod worker;
