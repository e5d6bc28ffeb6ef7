//! The short list of error kinds, and how each travels as a gRPC status. The kind itself goes in the metadata, so
//! that a client can tell its own mistake from a peer's and from the server's without guessing from a code.

use std::fmt::Display;
use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

const KIND: &str = "almoner-error";
const RETRY: &str = "almoner-retry-ms";
/// What a client waits when a server names no time.
const DEFAULT_RETRY: Duration = Duration::from_millis(500);
/// No server can send a client to sleep for longer.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Who has to do something about an error, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    You,
    Peer,
    Us,
}

/// What went wrong, as far as a caller has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong; the same request will be refused again.
    Invalid,
    /// It names something that does not exist.
    NotFound,
    /// It contradicts what the caller said before, or what is settled.
    Conflict,
    /// Not from this caller: it has no certificate for it, or one of another role.
    NotAllowed,
    /// Right, but not at this time: ask again after the given time.
    NotNow(Duration),
    /// Another peer's fault: somebody else lied, or did not answer.
    PeerFault,
    /// The server's own fault.
    Internal,
}

impl ErrorKind {
    /// Not now, try soon.
    pub const SOON: Self = Self::NotNow(DEFAULT_RETRY);

    pub fn blame(self) -> Blame {
        match self {
            Self::Invalid | Self::NotFound | Self::Conflict | Self::NotAllowed => Blame::You,
            Self::PeerFault => Blame::Peer,
            Self::NotNow(_) | Self::Internal => Blame::Us,
        }
    }

    /// How long to wait before the same request may succeed; `None` if it never will.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::NotNow(wait) => Some(wait.min(MAX_RETRY)),
            Self::Invalid | Self::NotFound | Self::Conflict | Self::NotAllowed | Self::PeerFault | Self::Internal => {
                None
            }
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::Conflict => Code::Aborted,
            Self::NotAllowed => Code::PermissionDenied,
            Self::NotNow(_) => Code::Unavailable,
            Self::PeerFault => Code::FailedPrecondition,
            Self::Internal => Code::Internal,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::NotAllowed => "not-allowed",
            Self::NotNow(_) => "not-now",
            Self::PeerFault => "peer-fault",
            Self::Internal => "internal",
        }
    }
}

/// An error that knows its kind. `Display` is what a caller may read; the log gets `Debug`.
pub trait Kinded: Display {
    fn kind(&self) -> ErrorKind;

    /// The text for the caller. Ours alone to know: what an internal error says.
    fn public_text(&self) -> String {
        match self.kind() {
            ErrorKind::Internal => "internal error".into(),
            _ => self.to_string(),
        }
    }
}

/// The status that carries an error to the caller.
pub fn status(error: &impl Kinded) -> Status {
    let kind = error.kind();
    let mut metadata = MetadataMap::new();
    metadata.insert(KIND, MetadataValue::from_static(kind.name()));
    if let ErrorKind::NotNow(wait) = kind {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        metadata.insert(RETRY, MetadataValue::from(millis));
    }
    Status::with_metadata(kind.code(), error.public_text(), metadata)
}

/// Whether the other end made this status; else the transport did, because the other end could not be asked.
pub fn is_from_peer(status: &Status) -> bool {
    status.metadata().contains_key(KIND)
}

/// The kind of a received status: as stated, else as its code suggests (the transport makes statuses of its own).
pub fn kind_of(status: &Status) -> ErrorKind {
    let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    match text(KIND) {
        Some("invalid") => ErrorKind::Invalid,
        Some("not-found") => ErrorKind::NotFound,
        Some("conflict") => ErrorKind::Conflict,
        Some("not-allowed") => ErrorKind::NotAllowed,
        Some("not-now") => ErrorKind::NotNow(
            text(RETRY).and_then(|millis| millis.parse().ok()).map_or(DEFAULT_RETRY, Duration::from_millis),
        ),
        Some("peer-fault") => ErrorKind::PeerFault,
        Some(_) => ErrorKind::Internal,
        None => of_code(status.code()),
    }
}

fn of_code(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => ErrorKind::Invalid,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists | Code::Aborted => ErrorKind::Conflict,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => ErrorKind::SOON,
        // Without a kind of ours these are the transport's: a line that broke in the middle of a message.
        Code::Unknown | Code::Internal => ErrorKind::SOON,
        Code::FailedPrecondition => ErrorKind::PeerFault,
        Code::Ok | Code::PermissionDenied | Code::DataLoss | Code::Unauthenticated => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Failed(ErrorKind);

    impl Display for Failed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("row 7 of table x")
        }
    }

    impl Kinded for Failed {
        fn kind(&self) -> ErrorKind {
            self.0
        }
    }

    const ALL: [ErrorKind; 7] = [
        ErrorKind::Invalid,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::NotAllowed,
        ErrorKind::NotNow(Duration::from_millis(40)),
        ErrorKind::PeerFault,
        ErrorKind::Internal,
    ];

    #[test]
    fn every_kind_travels() {
        for kind in ALL {
            assert_eq!(kind_of(&status(&Failed(kind))), kind);
        }
    }

    #[test]
    fn an_internal_error_says_nothing_of_itself() {
        assert_eq!(status(&Failed(ErrorKind::Internal)).message(), "internal error");
        assert_eq!(status(&Failed(ErrorKind::Invalid)).message(), "row 7 of table x");
    }

    #[test]
    fn codes_of_the_transport_have_a_kind() {
        assert_eq!(kind_of(&Status::unavailable("gone")), ErrorKind::SOON);
        assert_eq!(kind_of(&Status::unimplemented("old")).blame(), Blame::You);
        assert_eq!(kind_of(&Status::permission_denied("a proxy")).blame(), Blame::Us);
        for broken in [Status::internal("h2"), Status::unknown("error reading a body from connection")] {
            assert_eq!(kind_of(&broken), ErrorKind::SOON);
        }
    }

    #[test]
    fn a_server_cannot_send_a_client_to_sleep() {
        let kind = kind_of(&status(&Failed(ErrorKind::NotNow(Duration::from_secs(1 << 40)))));
        assert_eq!(kind.retry_after(), Some(MAX_RETRY));
    }
}
