//! What goes wrong with certificates and channels: each names the file or the peer, and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, Error as RustlsError};

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{file}: {error}")]
    File { file: PathBuf, error: io::Error },
    #[error("{file}: {wanted} is expected here, in PEM")]
    NotPem { file: PathBuf, wanted: &'static str },
    #[error("{file} may be read by others: chmod 600 it")]
    OpenKey { file: PathBuf },
    #[error("{certificate}: it does not belong to the key in {key}")]
    OtherKey { certificate: PathBuf, key: PathBuf },
    #[error("a certificate and its key come together: {given} is named, the other is not")]
    Half { given: PathBuf },
    #[error("{file}: expired on {on}; ask the operator for a new one (almoner coordinator issue) and put it there")]
    Expired { file: PathBuf, on: String },
    #[error("{file}: its revocations are not signed by an authority of clients_ca: put its own `revoked.pem` there")]
    OtherRevocations { file: PathBuf },
    #[error("{file} is there already: choose another folder, nothing was written")]
    Taken { file: PathBuf },
    #[error("{file}: {detail}")]
    Unusable { file: PathBuf, detail: String },
    #[error("{detail}")]
    Issue { detail: String },

    #[error(
        "{address}: not a loopback address, and without TLS all that is sent could be read and changed on the way; {remedy}"
    )]
    InTheClear { address: String, remedy: &'static str },
    #[error(
        "{server}: its certificate is not from an authority of {trusted}: another federation's coordinator, another \
         authority's file, or somebody in between; have the operator's ca.pem and name it: ca = \"ca.pem\" or --ca"
    )]
    UnknownAuthority { server: String, trusted: String },
    #[error("{server}: its certificate is for other names; the operator has to issue one for this address")]
    OtherName { server: String },
    #[error("{server}: its certificate has expired; its operator has to issue another (or this clock is wrong)")]
    ServerExpired { server: String },
    #[error("{server}: does not speak TLS there; is it https:// and the right port?")]
    NotTls { server: String },
    #[error("{server} refuses our certificate: {why}")]
    Refused { server: String, why: Refusal },
    #[error("{server}: no secure connection: {detail}")]
    Handshake { server: String, detail: String },
}

/// A server that is there and does not take our certificate: it refuses the next line as well.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {error}; put it in the place of this file and of its key", .file.display())]
pub struct CertificateRefused {
    pub file: PathBuf,
    pub error: Arc<TlsError>,
}

/// Why a server did not take a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is not from an authority of this federation; ask its operator for one")]
    UnknownAuthority,
    #[error("it has expired; ask the operator for a new one")]
    Expired,
    #[error("it was revoked; ask the operator why, and for a new one")]
    Revoked,
    #[error("it is not fit for this (a certificate of a server, or a broken one); ask the operator for a new one")]
    Unfit,
}

impl TlsError {
    pub(crate) fn file(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |error| Self::File { file, error }
    }

    pub(crate) fn issue(error: rcgen::Error) -> Self {
        Self::Issue { detail: error.to_string() }
    }

    /// Whether nobody at this end can mend it.
    pub fn is_peers(&self) -> bool {
        matches!(self, Self::ServerExpired { .. } | Self::OtherName { .. } | Self::Handshake { .. })
    }

    /// What a failed line to `server` says, if TLS made it fail; `trusted` names what we hold it against.
    pub(crate) fn of_line(error: &RustlsError, server: &str, trusted: &str) -> Self {
        let server = server.to_owned();
        match error {
            RustlsError::InvalidCertificate(certificate) => match certificate {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::UnknownAuthority { server, trusted: trusted.to_owned() }
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::OtherName { server }
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::ServerExpired { server },
                other => Self::Handshake { server, detail: other.to_string() },
            },
            RustlsError::InvalidMessage(_) => Self::NotTls { server },
            RustlsError::AlertReceived(alert) => match refusal(*alert) {
                Some(why) => Self::Refused { server, why },
                None => Self::Handshake { server, detail: error.to_string() },
            },
            other => Self::Handshake { server, detail: other.to_string() },
        }
    }
}

fn refusal(alert: AlertDescription) -> Option<Refusal> {
    match alert {
        AlertDescription::UnknownCA => Some(Refusal::UnknownAuthority),
        AlertDescription::CertificateExpired => Some(Refusal::Expired),
        AlertDescription::CertificateRevoked => Some(Refusal::Revoked),
        AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => Some(Refusal::Unfit),
        _ => None,
    }
}

/// What rustls says somewhere below this error. Libraries put it inside I/O errors, which show their inside to nobody
/// but who asks for it.
pub(crate) fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a RustlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<RustlsError>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
