//! What can go wrong, about which CID, at which source, and who has to act.
//!
//! Three causes are kept apart ([`Blame`]): somebody sent bytes we refuse, something may work
//! later or elsewhere, or this process (or its caller) is at fault.

use std::{fmt, path::PathBuf, sync::Arc};

use cid::Cid;

/// Where bytes came from or were meant to go, in words, never with credentials in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Place(Arc<str>);

impl Place {
    pub(crate) fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Names a URL without its user, password, query and fragment: all four may hold secrets.
    pub(crate) fn url(kind: &str, url: &reqwest::Url) -> Self {
        let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
        let host = url.host_str().unwrap_or("?");
        let path = url.path().trim_end_matches('/');
        Self(format!("{kind} {}://{host}{port}{path}", url.scheme()).into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who has to act on a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A peer sent something we refuse: asking the same peer again is pointless.
    Peer,
    /// The same call may succeed later, or with another source.
    Retry,
    /// This process, its disk or the caller is wrong; a retry changes nothing.
    Ours,
}

/// Why a block from a source was refused. Each is proof against the source, except `Cut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error("its bytes do not hash to the cid")]
    WrongHash,
    #[error("it is longer than the largest block, {} bytes", crate::MAX_BLOCK)]
    Oversize,
    #[error("the archive holds something else in its place")]
    OutOfOrder,
    #[error("the archive's framing is malformed")]
    BadFraming,
}

/// Why a DAG cannot be read as one file, although every block is what its CID says.
/// The publisher of the CID made it so; no other source can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    #[error("a node is not valid dag-pb")]
    NotDagPb,
    #[error("a node is not valid unixfs")]
    NotUnixFs,
    #[error("it is a directory, link or shard, not a file")]
    NotAFile,
    #[error("a node links to a cid of a kind that is not accepted")]
    LinkKind,
    #[error("a node's sizes disagree with its children")]
    Sizes,
    #[error("a node holds both data and links, or an empty child")]
    Shape,
    #[error("the tree is deeper than {} levels", crate::MAX_DEPTH)]
    TooDeep,
    #[error("the tree's inner nodes outweigh the file")]
    TooManyNodes,
}

/// Any failure of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("cid {text:?} refused: {reason}; use cidv0 or cidv1 with sha2-256 and raw or dag-pb")]
    BadCid { text: String, reason: &'static str },
    #[error("block {cid} is not at {place}; retry later or add another source")]
    Missing { cid: Box<Cid>, place: Place },
    #[error("block {cid} refused from {place}: {reason}; use another source")]
    Refused { cid: Box<Cid>, place: Place, reason: Refusal },
    #[error("{cid} cannot be read as a file: {reason}; ask its publisher for a correct one")]
    Malformed { cid: Box<Cid>, reason: Malformed },
    #[error("{cid} holds at least {size} bytes where at most {max} are allowed; it was refused")]
    TooLarge { cid: Box<Cid>, size: u64, max: u64 },
    #[error("{cid} holds {size} bytes, so {len} bytes at {offset} cannot be read")]
    OutOfRange { cid: Box<Cid>, offset: u64, len: u64, size: u64 },
    #[error("{place} did not deliver {what}: {detail}; retry later or use another source")]
    Unreachable { place: Place, what: String, detail: String },
    #[error("{place} answered {call} in a way we refuse: {detail}")]
    BadAnswer { place: Place, call: &'static str, detail: String },
    #[error("no source delivered {cid}: {}", list(attempts))]
    Exhausted { cid: Box<Cid>, attempts: Vec<StoreError> },
    #[error("stored block {cid} is damaged on disk ({path}); put the object again to replace it")]
    Corrupt { cid: Box<Cid>, path: PathBuf },
    #[error("{action} {path}: {source}; check disk space and permissions, then retry")]
    Disk {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} changed while it was being stored; store it again")]
    Changed { path: PathBuf },
    #[error("the output for {cid} could not be written: {source}")]
    Output {
        cid: Box<Cid>,
        #[source]
        source: std::io::Error,
    },
    #[error("{place} is read only")]
    ReadOnly { place: Place },
    #[error("{place}: {detail}")]
    Config { place: Place, detail: String },
    #[error("a storage task was stopped before it finished")]
    Stopped,
}

fn list(attempts: &[StoreError]) -> String {
    if attempts.is_empty() {
        return "none is configured".to_owned();
    }
    let texts: Vec<String> = attempts.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl StoreError {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Self::BadCid { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::BadAnswer { .. } => Blame::Peer,
            Self::Missing { .. }
            | Self::Unreachable { .. }
            | Self::Disk { .. }
            | Self::Changed { .. }
            | Self::Output { .. }
            | Self::Stopped => Blame::Retry,
            Self::OutOfRange { .. } | Self::Corrupt { .. } | Self::ReadOnly { .. } | Self::Config { .. } => Blame::Ours,
            Self::Exhausted { attempts, .. } => exhausted(attempts),
        }
    }

    /// Is this about one block being absent everywhere that was asked?
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Exhausted { attempts, .. } => !attempts.is_empty() && attempts.iter().all(Self::is_missing),
            _ => false,
        }
    }

    /// Is there no room for what was to be stored?
    pub fn is_full_disk(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Disk { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// The CID the error is about, where it is about one.
    pub fn cid(&self) -> Option<&Cid> {
        match self {
            Self::Missing { cid, .. }
            | Self::Refused { cid, .. }
            | Self::Malformed { cid, .. }
            | Self::TooLarge { cid, .. }
            | Self::OutOfRange { cid, .. }
            | Self::Exhausted { cid, .. }
            | Self::Corrupt { cid, .. }
            | Self::Output { cid, .. } => Some(cid),
            Self::BadCid { .. }
            | Self::Unreachable { .. }
            | Self::BadAnswer { .. }
            | Self::Disk { .. }
            | Self::Changed { .. }
            | Self::ReadOnly { .. }
            | Self::Config { .. }
            | Self::Stopped => None,
        }
    }

    /// Would another source's bytes change the outcome? Not where verified content, the
    /// caller's bound or the caller's output is the problem.
    pub(crate) fn another_source_may_help(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::BadAnswer { .. }
            | Self::Exhausted { .. }
            | Self::Corrupt { .. }
            | Self::Disk { .. }
            | Self::Stopped => true,
            Self::BadCid { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::OutOfRange { .. }
            | Self::Changed { .. }
            | Self::Output { .. }
            | Self::ReadOnly { .. }
            | Self::Config { .. } => false,
        }
    }
}

/// One attempt that may go better next time makes the whole worth a retry.
fn exhausted(attempts: &[StoreError]) -> Blame {
    if attempts.is_empty() {
        return Blame::Ours;
    }
    if attempts.iter().any(|e| e.blame() == Blame::Retry) {
        return Blame::Retry;
    }
    if attempts.iter().any(|e| e.blame() == Blame::Peer) { Blame::Peer } else { Blame::Ours }
}
