//! How a command fails: whose doing it is decides the exit code.

use std::fmt;

/// Exit codes, listed in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bug, or a machine that failed us.
    Us,
    /// A file, a field or a port that the user can mend.
    You,
    /// A node, a store or a site that did wrong.
    Peer,
    /// An audit that found something wrong.
    Found,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Us => 1,
            // 2 is what the argument parser exits with.
            Self::You => 3,
            Self::Peer => 4,
            Self::Found => 5,
        }
    }
}

/// An error and its kind.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub error: anyhow::Error,
}

impl Failure {
    pub fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: error.into() }
    }

    pub fn you(text: impl fmt::Display) -> Self {
        Self::new(Kind::You, anyhow::anyhow!("{text}"))
    }

    pub fn peer(text: impl fmt::Display) -> Self {
        Self::new(Kind::Peer, anyhow::anyhow!("{text}"))
    }
}

/// What is not said to be anybody else's fault is ours.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Kind::Us, error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Says whose fault an error is.
pub trait Blame<T> {
    fn blame(self, kind: Kind, context: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn blame(self, kind: Kind, context: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure> {
        self.map_err(|error| Failure { kind, error: error.into().context(context) })
    }
}
