//! One job: a block range, and what to compute over it. Reading waits, computing runs on a blocking thread.

mod directions;
mod range;
mod read;
#[cfg(test)]
mod tests;

use almoner_proto::Job;
use almoner_protocol::DROP_BITS;
use almoner_store::Store;
use bytes::Bytes;

use crate::AggregatorError;

pub use range::RangeReader;

/// Does a job; the result has the shape that the `.proto` file gives.
pub async fn perform(job: &Job, store: &dyn Store) -> Result<Bytes, AggregatorError> {
    if u32::from(job.drop_bits) != u32::from(DROP_BITS) {
        return Err(AggregatorError::Job("other words than 6-byte ones"));
    }
    read::read(job, &RangeReader::new(job, store)).await
}

/// Runs a computation where blocking is allowed.
async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AggregatorError> + Send + 'static,
) -> Result<T, AggregatorError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AggregatorError::Stopped)?
}
