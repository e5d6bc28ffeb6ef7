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
//! | `replay.rs` | `Replayer`: what was said in the round before |
//! | `lying_store.rs` | `LyingStore`: a gateway that flips bytes |
//! | `cut_lines.rs` | nobody: connections break where a seeded script says |
//!
//! And on chains of other kinds: `on_a_node.rs` a federation on anvil and on geth, `scenario/` every call of a round
//! compared between kinds of chain, `sender/` a chain that loses things.
//!
//! In `notices.rs`, `heart.rs` and `shapley.rs` nobody does. The last two show that encryption costs no accuracy on the
//! four heart hospitals, and that scores and pay follow what each hospital is worth. They need the shared data
//! (`ALMONER_SHARED`, else `../shared` beside the repository) and print `skipped: …` without it.

mod cut_lines;
mod federation;
mod flips;
mod garbage;
mod hand;
mod heart;
mod link;
mod lying_store;
mod nodes;
mod notices;
mod on_a_node;
mod replay;
mod scenario;
mod sender;
mod shapley;
mod silent;
mod sums;
mod worker;

// What encrypted runs are held against is shared with the tests of training.
#[path = "../../crates/model/tests/plain.rs"]
mod plain;
#[path = "../../crates/model/tests/shared.rs"]
mod shared;

use almoner::localnet::heart as heart_data;
