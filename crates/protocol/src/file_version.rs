//! The version of a settings file: a file of a later one may mean something else by the same key, and is refused.

use serde::Deserialize;

use crate::Error;

/// What this program reads.
const KNOWN: u32 = 1;

/// `version = 1` at the head of a file, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct FileVersion(());

impl TryFrom<u32> for FileVersion {
    type Error = Error;

    fn try_from(found: u32) -> Result<Self, Error> {
        if found == KNOWN { Ok(Self(())) } else { Err(Error::FileVersion { found, known: KNOWN }) }
    }
}
