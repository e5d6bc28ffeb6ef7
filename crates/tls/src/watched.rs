//! Files that may change while they are in use.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// What shows that a file is another one. A file that is put in another's place has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

/// Some files, as they were when they were looked at.
#[derive(Debug)]
pub(crate) struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

impl Watched {
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let mut watched = Self { files, seen: Vec::new() };
        watched.changed();
        watched
    }

    /// Whether any of them is another one than at the last call.
    pub(crate) fn changed(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(stamp).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

fn stamp(file: &PathBuf) -> Option<Stamp> {
    let found = fs::metadata(file).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let number = 0;
    Some(Stamp { modified: found.modified().ok(), length: found.len(), number })
}
