//! All tests of `almoner-model` in one binary. Tests that need the shared data sets look for them in
//! `ALMONER_SHARED`, else `../shared` beside the repository, and print `skipped: …` without them.

mod batches;
mod breast_cancer;
mod clipped;
mod data;
mod devices;
mod files;
mod heart;
mod plain;
mod shared;
mod support;
mod training;

#[path = "../examples/devices/numerics.rs"]
mod numerics;

// The demo's data readers live in the `almoner` library, which nothing here may depend on.
#[path = "../../almoner/src/localnet/breast_cancer.rs"]
#[allow(unreachable_pub, reason = "public there")]
mod breast_cancer_data;
#[path = "../../almoner/src/localnet/heart/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "public there, and the demo uses the rest")]
mod heart_data;
