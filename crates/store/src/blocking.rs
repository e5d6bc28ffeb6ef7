//! Disk work off the executor.

use std::{fs::File, path::Path};

use crate::StoreError;

/// Runs disk work on a blocking thread. If the caller goes away the work still ends by itself.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    // A join error means the runtime is going down or the work panicked.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Stopped))
}

pub(crate) fn open_file(path: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::Disk { action: "opening", path: path.to_owned(), source };
    File::open(path).map_err(failed)
}
