//! Where a test may stop a process: right after something became durable, or was about to be said.
//!
//! A point does nothing unless the feature `enabled` is on, which only the tests of the binary turn on, and the
//! environment names it. Then the process says so on stderr and stands still there, with all it holds; whoever
//! started it kills it. So a test decides where a process dies, and the operating system does the killing.

#[cfg(feature = "enabled")]
mod enabled;

/// `NAME`, or `NAME#COUNT` for the COUNT-th time it is reached.
pub const STOP_AT: &str = "ALMONER_STOP_AT";
/// What the line on stderr begins with; the name follows.
pub const STOPPED: &str = "stopped at ";
/// Where a test's sites take their randomness from, so that two runs can be compared: 32 bytes in hexadecimal. Never where
/// anybody is paid.
pub const TEST_SEED: &str = "ALMONER_TEST_SEED";

/// A point of this name.
#[cfg(feature = "enabled")]
pub fn reached(name: impl FnOnce() -> String) {
    enabled::reached(&name());
}

/// A point of this name.
#[cfg(not(feature = "enabled"))]
#[inline(always)]
pub fn reached(_: impl FnOnce() -> String) {}

/// The test's seed, where there is one.
#[cfg(feature = "enabled")]
pub fn test_seed() -> Option<[u8; 32]> {
    let text = std::env::var(TEST_SEED).ok()?;
    // Without it a run would be another one than the test meant.
    Some(enabled::seed(&text).unwrap_or_else(|| panic!("{TEST_SEED}: not 32 bytes in hexadecimal")))
}

/// The test's seed, where there is one.
#[cfg(not(feature = "enabled"))]
pub fn test_seed() -> Option<[u8; 32]> {
    None
}
