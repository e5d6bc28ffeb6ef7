//! The same loop on wider words: a kernel is compiled several times, and run as the processor allows.
//!
//! Our kernels are integers, or floats that hold integers exactly and are never contracted, so what comes out is the same
//! on every processor.

/// Runs `kernel` with the widest vectors at hand. Neither it nor what it calls is compiled for them unless it is inlined:
/// write `#[inline(always)]` before the closure as well.
#[inline(always)]
pub fn widest<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}
