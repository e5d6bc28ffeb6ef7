//! Whole federations, each with one part that misbehaves.
//!
//! Every test runs a real [`Localnet`](almoner::localnet::Localnet) of the logistic model on breast cancer: embedded
//! chain, loopback gRPC, everything from one seed, no aggregator or hospital but the ones a test wants. The misbehaving
//! part is put together from the public functions of the production crates; no misbehaviour is built into them. What
//! the honest are paid is compared with a run in which everybody is honest, to the base unit.
//!
//! | file | who misbehaves | fails without |
//! |---|---|---|
//! | `sums.rs` | `WrongSum`, `DeltaShift`: an aggregator that posts another sum | the audit's addition; the residual of a data block |
//! | `garbage.rs` | `GarbageUpload`: files off their commitment, words and manifests out of range, shares that do not open | each check of an upload and of a manifest; the root and the range in the verdict; the residual of a scalar |
//! | `secrets.rs` | `GarbageUpload`: shares of another secret, a shifted check word | the residual of a scalar; that of the check blocks |
//! | `flips.rs` | one byte or one integer of what an audit reads | the CID or root of each kind read; each comparison with the chain |
//! | `silent.rs` | `SilentMember`, `Straggler`: who leaves off, and when | half time, last call, giving up; a member's look at the acknowledgements |
//! | `replay.rs` | `Replayer`: what was said in the round before | the round in an upload and in a signed message |
//! | `lying_store.rs` | `LyingStore`: a gateway that flips bytes | the hash of a block; the next gateway |
//! | `two_faced.rs` | `TwoFacedCoordinator`: two sets for two members | the member's log of acknowledgements, and of sets; in `admit` the count, the signatures and the order of stages |
//! | `trap.rs` | `TrapModel`: another base model for one hospital | the comparison of task and chain; the model remembered |
//! | `copied.rs` | `CopiedPromise`: another validator's promise and reveal | the validator in the commitment, and the comparison with it, in coordinator and contract |
//! | `cut_lines.rs` | nobody: connections break where a seeded script says | telling a broken line from a refusal |
//! | `hospital_lines.rs` | nobody: lines are slow, cut for a minute or a day, half-open | waiting, and dialling again; asking whether the other end is there |
//! | `claims.rs` | whoever claims what is not due, or claims twice | the relay's look at the proof, and at what was paid |
//! | `clock.rs` | the host's clock, which jumps | the later of clock and block time |
//! | `terms.rs` | whoever founds a federation that breaks a rule, or joins one its rows do not fit | the rules at launch; saying why a site does not join |
//! | `broken_upload.rs` | nobody: an upload whose line breaks | going on at the offset; keeping nothing of strangers |
//! | `killed.rs` | nobody: the coordinator is killed in every state of a round | taking up what was written down |
//! | `races.rs` | nobody: a block between two questions | reading the events again; asking the contract at all |
//!
//! The last column was found by taking the checks away, one at a time, and seeing the tests of the file fail.
//!
//! And on chains of other kinds: `on_a_node.rs` a federation on anvil and on geth, `reorgs.rs` the same on nodes that take
//! blocks back or are started again, `scenario/` every call of a round
//! compared between kinds of chain, `sender/` a chain that loses things.
//!
//! In `many.rs`, `notices.rs`, `probes.rs`, `traces.rs`, `heart.rs` and `shapley.rs` nobody does. The last two show that encryption costs no accuracy on the
//! four heart hospitals, and that scores and pay follow what each hospital is worth. They need the shared data
//! (`ALMONER_SHARED`, else `../shared` beside the repository) and print `skipped: …` without it.

mod agent;
mod broken_upload;
mod claims;
mod clock;
mod copied;
mod cut_lines;
mod face;
mod federation;
mod flips;
mod fork;
mod garbage;
mod hand;
mod heart;
mod honest;
mod hospital_lines;
mod killed;
mod line;
mod link;
mod lying_store;
mod many;
mod nodes;
mod notices;
mod on_a_node;
mod probes;
mod races;
mod reorgs;
mod replay;
mod scenario;
mod secrets;
mod sender;
mod shapley;
mod silent;
mod sums;
mod terms;
mod traces;
mod trap;
mod two_faced;
mod worker;

// What encrypted runs are held against is shared with the tests of training.
#[path = "../../crates/model/tests/plain.rs"]
mod plain;
#[path = "../../crates/model/tests/shared.rs"]
mod shared;

use almoner::localnet::heart as heart_data;
