//! Who may ask what: the one place that says so. Everything that the coordinator answers is in the table; what is not in
//! it is refused. It is consulted wherever there is `[tls]`; on loopback in the clear everybody is the operator.
//!
//! Who calls is two things that must agree: a certificate, and the hello that a key said on this connection ([`hear`]).
//! Which role that is says the certificate, where the federation's authority has issued it; else the account's entry in
//! [`Accounts`], and whoever has none is nobody: a certificate that names no account would be one for any number of keys.
//! A role lets a caller ask. Whose word a message is says its signature, as
//! ever: see `actor/requests.rs`.

use std::sync::Arc;

use alloy_sol_types::Eip712Domain;
use almoner_proto::{ErrorKind, Kinded, status};
use almoner_protocol::types::{recover, signing_hash};
use almoner_protocol::{Address, Hello, SolStruct, decode_hello};
use almoner_tls::{Binding, Caller, Greeting, Role};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use tonic::Status;

use Role::{Auditor, Operator, Researcher, Site};
use To::{Anybody, Only};

/// Whom something is answered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// Public, read only, or for those who have no certificate yet.
    Anybody,
    Only(&'static [Role]),
}

const SITES: To = Only(&[Site]);
const ORDERS: To = Only(&[Researcher, Operator]);
const WORKERS: To = Only(&[Operator]);
const MEMBERS: To = Only(&Role::ALL);

/// By their very path.
const EXACTLY: [(&str, To); 30] = [
    // An invitation, or a password, stands in for the certificate.
    ("/almoner.v0.Enrolment/RegisterStart", Anybody),
    ("/almoner.v0.Enrolment/RegisterFinish", Anybody),
    ("/almoner.v0.Enrolment/LoginStart", Anybody),
    ("/almoner.v0.Enrolment/LoginFinish", Anybody),
    // The certificate that it renews, and the account's hello, stand in for the invitation.
    ("/almoner.v0.Enrolment/Renew", MEMBERS),
    ("/almoner.v0.Sites/Join", SITES),
    ("/almoner.v0.Sites/Watch", SITES),
    ("/almoner.v0.Sites/AnnounceReady", SITES),
    ("/almoner.v0.Sites/FetchTask", SITES),
    ("/almoner.v0.Sites/Upload", SITES),
    ("/almoner.v0.Sites/UploadOffset", SITES),
    ("/almoner.v0.Sites/Promise", SITES),
    ("/almoner.v0.Sites/Reveal", SITES),
    ("/almoner.v0.Sites/Acknowledge", SITES),
    ("/almoner.v0.Sites/Acknowledgements", SITES),
    ("/almoner.v0.Sites/SealedShares", SITES),
    ("/almoner.v0.Sites/AnswerScores", SITES),
    ("/almoner.v0.Sites/AnswerSum", SITES),
    // The contract pays the account in the leaf, whoever asks.
    ("/almoner.v0.Sites/Claim", MEMBERS),
    ("/almoner.v0.Researchers/Create", ORDERS),
    ("/almoner.v0.Researchers/Fund", ORDERS),
    ("/almoner.v0.Researchers/Launch", ORDERS),
    ("/almoner.v0.Researchers/Watch", Only(&[Researcher, Operator, Auditor])),
    ("/almoner.v0.Researchers/Stop", ORDERS),
    // An aggregator is run by the operator.
    ("/almoner.v0.Aggregators/Lease", WORKERS),
    ("/almoner.v0.Aggregators/Post", WORKERS),
    ("/grpc.health.v1.Health/Check", Anybody),
    ("/grpc.health.v1.Health/Watch", Anybody),
    // Over plain HTTP and read only: calls that read the chain, and where the contracts are.
    ("/rpc", Anybody),
    ("/deployment.json", Anybody),
];

/// Everything below a path.
const BELOW: [(&str, To); 2] = [
    // Artefacts by CID, read only: whoever audits needs no permission.
    ("/ipfs/", Anybody),
    ("/grpc.reflection.v1.ServerReflection/", MEMBERS),
];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("{path} is not answered here")]
    NotHere { path: String },
    #[error(
        "{path} needs a certificate: enrol by an invitation of the operator's (a site: almoner participant enrol; others: \
         almoner identity enrol, then --identity), or have the operator issue one (almoner coordinator issue) and name it \
         in [tls], or by --certificate and --certificate-key"
    )]
    NoCertificate { path: String },
    #[error(
        "{path} needs the key of an account beside the certificate: name it by key in the settings, or by --account-key or \
         --identity"
    )]
    NoHello { path: String },
    #[error(
        "the certificate is {certificate}'s, the key {key}'s: name the key of the certificate's account, or have the \
         operator issue a certificate for the other"
    )]
    OtherKey { certificate: Address, key: Address },
    #[error(
        "{path} is for accounts that the operator knows, and the certificate names none: have {account} listed under \
         [accounts] in the coordinator's settings"
    )]
    NotListed { path: String, account: Address },
    #[error("{path} is not for {}: {allowed} may ask for it", with_article(*.role))]
    OtherRole { path: String, role: Role, allowed: String },
    #[error("the caller is {caller}, the message {message}'s: a site speaks for itself alone")]
    OtherAccount { caller: Address, message: Address },
}

fn with_article(role: Role) -> &'static str {
    match role {
        Operator => "an operator",
        Researcher => "a researcher",
        Site => "a site",
        Auditor => "an auditor",
    }
}

impl Kinded for Refused {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NotAllowed
    }
}

fn to(path: &str) -> Option<To> {
    let exactly = EXACTLY.iter().find(|(rpc, _)| *rpc == path);
    let below = || BELOW.iter().find(|(prefix, _)| path.starts_with(prefix));
    exactly.or_else(below).map(|(_, to)| *to)
}

/// What accounts are whose certificates do not say it: those of a hospital's or a university's own authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    pub operators: Vec<Address>,
    pub researchers: Vec<Address>,
    pub sites: Vec<Address>,
    pub auditors: Vec<Address>,
}

impl Accounts {
    fn role(&self, account: &Address) -> Option<Role> {
        let listed = [
            (&self.operators, Operator),
            (&self.researchers, Researcher),
            (&self.sites, Site),
            (&self.auditors, Auditor),
        ];
        listed.into_iter().find(|(accounts, _)| accounts.contains(account)).map(|(_, role)| role)
    }
}

/// Whose hello was said on a channel; none if its signature is for another one.
pub fn hear(channel: &Binding, said: &Greeting) -> Option<Address> {
    let (account, signature) = decode_hello(said);
    let Binding { client, server, exporter } = *channel;
    Hello { account, client, server, channel: exporter }.is_signed(signature).then_some(account)
}

/// Lets a caller ask, or says why not. Who it is comes back where that had to be known.
fn check(accounts: &Accounts, path: &str, caller: Option<&Caller>) -> Result<Option<(Role, Address)>, Refused> {
    let path = path.to_owned();
    let allowed = match to(&path) {
        None => return Err(Refused::NotHere { path }),
        Some(Anybody) => return Ok(None),
        Some(Only(allowed)) => allowed,
    };
    let Some((caller, peer)) = caller.and_then(|caller| Some((caller, caller.peer.as_ref()?))) else {
        return Err(Refused::NoCertificate { path });
    };
    let Some(account) = caller.account else { return Err(Refused::NoHello { path }) };
    let role = match peer.named {
        Some((_, certificate)) if certificate != account => {
            return Err(Refused::OtherKey { certificate, key: account });
        }
        Some((role, _)) => role,
        None => match accounts.role(&account) {
            Some(role) => role,
            None => return Err(Refused::NotListed { path, account }),
        },
    };
    if allowed.contains(&role) {
        return Ok(Some((role, account)));
    }
    let allowed = allowed.iter().map(|role| role.word()).collect::<Vec<_>>().join(" or ");
    Err(Refused::OtherRole { path, role, allowed })
}

/// Asks the table before a request goes anywhere.
pub(crate) async fn consult(State(accounts): State<Arc<Accounts>>, mut request: Request, next: Next) -> Response {
    match check(&accounts, request.uri().path(), request.extensions().get()) {
        Ok(who) => {
            let site = who.filter(|(role, _)| *role == Site).map(|(_, account)| account);
            request.extensions_mut().insert(Speaker(site));
            next.run(request).await
        }
        Err(refused) => {
            tracing::info!(%refused, "a request was refused");
            status(&refused).into_http()
        }
    }
}

/// The account of a caller, where it is a site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker(Option<Address>);

impl Speaker {
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or(Self(None))
    }

    /// Refuses a message in the name of another account. What it says is still believed for its signature alone.
    pub(crate) fn speaks_for(self, message: Address) -> Result<(), Status> {
        match self.0 {
            Some(caller) if caller != message => Err(status(&Refused::OtherAccount { caller, message })),
            _ => Ok(()),
        }
    }

    /// As [`Self::speaks_for`], for a message that names nobody but by its signature.
    pub(crate) fn has_signed<M: SolStruct>(
        self,
        message: &M,
        domain: &Eip712Domain,
        signature: &[u8],
    ) -> Result<(), Status> {
        match self.0 {
            None => Ok(()),
            // What is no signature is refused where signatures are checked.
            Some(_) => {
                recover(signing_hash(message, domain), signature).map_or(Ok(()), |signer| self.speaks_for(signer))
            }
        }
    }
}

#[cfg(test)]
mod tests;
