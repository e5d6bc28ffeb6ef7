//! What a caller says first: whose account it is, for this very channel.
//!
//! 1. Both ends know the channel: the certificates that were shown on it, and 32 bytes that its handshake alone gives
//!    (RFC 9266, TLS 1.3).
//! 2. The caller signs these with the key of its account. What it signs and how is for [`Greet`] and [`Hear`] to say:
//!    this crate carries the bytes.
//! 3. They come before anything else on the line, where both ends agreed on that by ALPN. A door that hears something
//!    else hangs up.
//!
//! Answered by it: a certificate and its key that were stolen without the account's key; a greeting that was recorded
//! and sent again; one that is passed on by somebody in between, who has another channel to each end.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use rustls::pki_types::CertificateDer;
use rustls::{ConnectionCommon, ProtocolVersion, SideData};
use sha2::{Digest, Sha256};

/// An account and its signature.
pub const GREETING: usize = 85;
pub type Greeting = [u8; GREETING];

/// HTTP/2 after a greeting.
pub(crate) const ALPN: &[u8] = b"almoner-hello/0";
/// RFC 9266: unique to a channel, and known to its two ends only.
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// What a channel is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// SHA-256 of the caller's certificate; zero if it showed none.
    pub client: B256,
    /// SHA-256 of the server's.
    pub server: B256,
    /// What only the two ends of this one handshake can compute.
    pub exporter: B256,
}

/// Says hello on a channel.
pub type Greet = Arc<dyn Fn(&Binding) -> Option<Greeting> + Send + Sync>;
/// Whose hello it is; none if it is nobody's, or another channel's.
pub type Hear = fn(&Binding, &Greeting) -> Option<Address>;

/// Earlier versions than 1.3 have one too, which is not always unique to a channel.
pub(crate) fn exporter<Side: SideData>(session: &ConnectionCommon<Side>) -> Option<B256> {
    let exported = session.export_keying_material([0; 32], EXPORTER, None).ok();
    exported.filter(|_| session.protocol_version() == Some(ProtocolVersion::TLSv1_3)).map(B256::from)
}

pub(crate) fn fingerprint(der: &[u8]) -> B256 {
    B256::from(<[u8; 32]>::from(Sha256::digest(der)))
}

/// Of whoever is at the other end.
pub(crate) fn fingerprint_of(chain: Option<&[CertificateDer<'_>]>) -> B256 {
    chain.and_then(|chain| chain.first()).map_or(B256::ZERO, |der| fingerprint(der))
}
