//! What a certificate says of its holder.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alloy_primitives::{Address, B256};
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::greeting::fingerprint;
use crate::lobby::Seat;

/// Stands before role and account in a certificate.
const SCHEME: &str = "almoner";

/// What a caller may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs the coordinator and its aggregators.
    Operator,
    /// Orders rounds.
    Researcher,
    /// Trains, serves on the committee, validates.
    Site,
    /// Looks on.
    Auditor,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Operator, Self::Researcher, Self::Site, Self::Auditor];

    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Researcher => "researcher",
            Self::Site => "site",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::word).join(", ");
        Self::ALL
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or_else(|| format!("no role; choose one of {}", known()))
    }
}

/// The holder of a certificate that the door has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Role and account, where the federation's own authority says so: of another's certificates they are not believed.
    pub named: Option<(Role, Address)>,
    /// SHA-256 of the certificate.
    pub fingerprint: B256,
    /// When the last third of the certificate's life begins: from then on it is renewed.
    pub late: SystemTime,
}

/// Whose connections, and what they hold, are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    Account(Address),
    /// Of another authority.
    Certificate(B256),
}

impl Peer {
    pub fn holder(&self) -> Holder {
        self.named.map_or(Holder::Certificate(self.fingerprint), |(_, account)| Holder::Account(account))
    }
}

/// Who sent a request. The door puts it beside every request of a connection.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// None: it showed no certificate, or the connection is in the clear.
    pub peer: Option<Peer>,
    /// Whose key said hello on this connection.
    pub account: Option<Address>,
    /// Fingerprint of the certificate that we showed; none in the clear.
    pub server: Option<B256>,
    /// Where it has no certificate.
    pub(crate) seat: Option<Arc<Seat>>,
    pub(crate) end: CancellationToken,
}

impl Caller {
    /// Who showed a certificate, and said hello.
    pub fn known(peer: Option<Peer>, account: Option<Address>) -> Self {
        Self { peer, account, ..Self::default() }
    }

    /// Ends the connection, and with it all that waits to be written to it: of an answer that is not read, what HTTP has
    /// taken is given back in no other way.
    pub fn hang_up(&self) {
        self.end.cancel();
    }
}

/// A whole request has come. Every server puts this before its routes: who has asked nothing is the first to go.
pub fn greeted<B>(request: http::Request<B>) -> http::Request<B> {
    if let Some(seat) = request.extensions().get::<Caller>().and_then(|caller| caller.seat.as_ref()) {
        seat.has_asked();
    }
    request
}

/// What is read from a certificate once.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) peer: Peer,
    /// The issuer's name and the serial: what a revocation names.
    pub(crate) number: (Vec<u8>, Vec<u8>),
    pub(crate) not_after: SystemTime,
}

/// How role and account stand in a certificate.
pub(crate) fn uri(role: Role, account: Address) -> String {
    format!("{SCHEME}:{role}:{account:#x}")
}

fn named(uri: &str) -> Option<(Role, Address)> {
    let (role, account) = uri.strip_prefix(SCHEME)?.strip_prefix(':')?.split_once(':')?;
    Some((role.parse().ok()?, account.parse().ok()?))
}

impl Facts {
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|extension| &extension.value.general_names);
        let mut ours = names.filter_map(|name| match name {
            GeneralName::URI(uri) => named(uri),
            _ => None,
        });
        // Two of them would leave open who is meant.
        let named = match (ours.next(), ours.next()) {
            (only, None) => only,
            _ => None,
        };
        let at = |time: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0));
        let (not_before, not_after) =
            (at(certificate.validity().not_before.timestamp()), at(certificate.validity().not_after.timestamp()));
        let late = not_after - not_after.duration_since(not_before).unwrap_or_default() / 3;
        Some(Self {
            peer: Peer { named, fingerprint: fingerprint(der), late },
            number: (certificate.issuer().as_raw().to_vec(), certificate.raw_serial().to_vec()),
            not_after,
        })
    }

    /// Whether less than a third of its life is left.
    pub(crate) fn is_late(&self, now: SystemTime) -> bool {
        now > self.peer.late
    }
}

/// A day, for messages.
pub(crate) fn day(time: SystemTime) -> String {
    time::OffsetDateTime::from(time).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_and_account_are_read_back_and_nothing_else_is() {
        let account = Address::repeat_byte(0xab);
        for role in Role::ALL {
            assert_eq!(named(&uri(role, account)), Some((role, account)));
        }
        for other in ["", "almoner:site", "almoner:owner:0x01", "almoner:site:0x01", "https:site:0x01", "almonersite"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
