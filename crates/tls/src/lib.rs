//! Certificates and channels: who is at the other end of a line, and how the two ends keep everybody else out of it.
//!
//! 1. An [`Authority`] issues certificates that name a role and an account, and revokes them.
//! 2. A [`Door`] accepts connections, holds callers to the authority and its revocations, and says who is calling.
//! 3. A [`Client`] dials: it trusts one authority, shows its certificate, and reads its files again when they change.
//! 4. On each line it says hello first: whose account calls, signed for this channel ([`Greet`], [`Hear`]).
//!
//! Answered by it: reading and changing what is in transit, posing as a coordinator or as another caller, also with a
//! certificate that was stolen, and going on after a revocation. Not protected: who talks to whom and how much, and anything once an authority's key is stolen.

mod authority;
mod caller;
mod client;
mod conn;
mod crowd;
mod door;
mod error;
mod files;
mod greeting;
mod line;
mod lobby;
mod renewed;
mod revoked;
mod rules;
mod watched;

#[cfg(test)]
mod tests;

pub use authority::{Authority, Handed, Issued, Secret, request};
pub use caller::{Caller, Holder, Peer, Role, greeted};
pub use client::{Client, ClientFiles, ConnectError};
pub use conn::{Conn, Plain, plain};
pub use door::Door;
pub use error::{CertificateRefused, Refusal, TlsError};
pub use greeting::{Binding, GREETING, Greet, Greeting, Hear};
pub use reqwest::ClientBuilder as HttpClientBuilder;
pub use revoked::Revoked;
pub use rules::ServerFiles;

/// Makes the one provider of cryptography the process's own. First thing in `main`, and before every client of ours, for
/// those that are libraries; again is harmless.
pub fn install_provider() {
    // It fails only where a provider is installed already: ours.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether what is sent to this address stays on this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
