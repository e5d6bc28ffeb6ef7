//! The same loop on wider words: a kernel is compiled several times, and run as the processor allows.
//!
//! Our kernels are integers, or floats whose every operation is the one that IEEE 754 rounds, never contracted: what comes
//! out is the same on every processor.

/// Runs `kernel` with the widest vectors at hand. Neither it nor what it calls is compiled for them unless it is inlined:
/// write `#[inline(always)]` before the closure as well.
#[inline(always)]
pub fn widest<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}
