//! The version of a settings file: a file of a later one may mean something else by the same key, and is refused.

use serde::Deserialize;

use crate::Error;

/// What this program reads.
const KNOWN: u32 = 1;

/// `version = 1` at the head of a file, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct FileVersion(());

impl FileVersion {
    /// To be called before the whole file is read: a later version may have keys that this one does not know. What is
    /// not TOML at all is for the reader of the whole to refuse.
    pub fn check(text: &str) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Head {
            version: Option<u32>,
        }
        let head = toml::from_str(text).unwrap_or(Head { version: None });
        head.version.map_or(Ok(()), |found| Self::try_from(found).map(drop))
    }
}

impl TryFrom<u32> for FileVersion {
    type Error = Error;

    fn try_from(found: u32) -> Result<Self, Error> {
        if found == KNOWN { Ok(Self(())) } else { Err(Error::FileVersion { found, known: KNOWN }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_is_not_ours_is_refused() {
        for text in ["", "a = 1", "version = 1\nnew = 2", "not TOML"] {
            assert_eq!(FileVersion::check(text), Ok(()), "{text}");
        }
        assert_eq!(FileVersion::check("a = 1\nversion = 2"), Err(Error::FileVersion { found: 2, known: KNOWN }));
    }
}
