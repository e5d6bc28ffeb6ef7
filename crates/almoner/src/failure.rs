//! How a command fails: whose doing it is decides the exit code.

use std::fmt;

use serde_json::{Value, json};

/// Exit codes, listed in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bug, or a machine that failed us.
    Us,
    /// A command line that does not parse.
    Usage,
    /// A file, a field or a port that the user can mend.
    You,
    /// A node, a store or a site that did wrong.
    Peer,
    /// An audit that found something wrong.
    Found,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Us, Self::Usage, Self::You, Self::Peer, Self::Found];

    pub fn exit_code(self) -> u8 {
        match self {
            Self::Us => 1,
            // What the argument parser exits with.
            Self::Usage => 2,
            Self::You => 3,
            Self::Peer => 4,
            Self::Found => 5,
        }
    }

    /// Whose doing it is, as the roles say it.
    pub fn of(blame: almoner_proto::Blame) -> Self {
        match blame {
            almoner_proto::Blame::You => Self::You,
            almoner_proto::Blame::Peer => Self::Peer,
            almoner_proto::Blame::Us => Self::Us,
        }
    }

    /// What a process of ours that ended with this code says went wrong.
    pub fn from_exit_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| i32::from(kind.exit_code()) == code)
    }

    /// Its name in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Usage => "usage",
            Self::You => "you",
            Self::Peer => "peer",
            Self::Found => "audit",
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

    /// What `--json` prints on stderr.
    pub fn document(&self) -> Value {
        json!({ "schema": 1, "error": { "kind": self.kind.word(), "message": self.to_string() } })
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
        let mut text = String::new();
        for cause in self.error.chain() {
            // Some libraries end their messages with a line break, some say their cause themselves.
            let cause = cause.to_string();
            let cause = cause.trim_end();
            if !text.ends_with(cause) {
                text += if text.is_empty() { "" } else { ": " };
                text += cause;
            }
        }
        f.write_str(&text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        let error = || anyhow::anyhow!("no such file\n");
        let said = |error: anyhow::Error| Failure::new(Kind::You, error).to_string();
        assert_eq!(
            said(error().context("rows.csv: no such file").context("[participant]")),
            "[participant]: rows.csv: no such file"
        );
        assert_eq!(said(error().context("rows.csv")), "rows.csv: no such file");
    }
}
