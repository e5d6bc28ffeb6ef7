//! Who may ask what: the one place that says so. Everything that the coordinator answers is in the table; what is not in
//! it is refused. It is consulted where callers show certificates (`clients_ca` in `[tls]`); on loopback in the clear
//! everybody is the operator.
//!
//! A role lets a caller ask. Whose word a message is says its signature, as ever: see `actor/requests.rs`.

use alloy_sol_types::Eip712Domain;
use almoner_proto::{ErrorKind, Kinded, status};
use almoner_protocol::types::{recover, signing_hash};
use almoner_protocol::{Address, SolStruct};
use almoner_tls::{Caller, Role};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
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
const EXACTLY: [(&str, To); 29] = [
    // An invitation, or a password, stands in for the certificate.
    ("/almoner.v0.Enrolment/RegisterStart", Anybody),
    ("/almoner.v0.Enrolment/RegisterFinish", Anybody),
    ("/almoner.v0.Enrolment/LoginStart", Anybody),
    ("/almoner.v0.Enrolment/LoginFinish", Anybody),
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
        "{path} needs a certificate; have the operator issue one (almoner coordinator issue) and name it in [tls], or by \
         --certificate and --certificate-key"
    )]
    NoCertificate { path: String },
    #[error("{path}: the certificate names no role; have the operator of this federation issue one")]
    NoRole { path: String },
    #[error("{path} is not for a {role}: {allowed} may ask for it")]
    OtherRole { path: String, role: Role, allowed: String },
    #[error("the certificate is {certificate}'s, the message {message}'s: a site speaks for itself alone")]
    OtherAccount { certificate: Address, message: Address },
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

fn check(path: &str, caller: Option<&Caller>) -> Result<(), Refused> {
    let path = path.to_owned();
    let allowed = match to(&path) {
        None => return Err(Refused::NotHere { path }),
        Some(Anybody) => return Ok(()),
        Some(Only(allowed)) => allowed,
    };
    let Some(peer) = caller.and_then(|caller| caller.peer.as_ref()) else {
        return Err(Refused::NoCertificate { path });
    };
    match peer.named {
        None => Err(Refused::NoRole { path }),
        Some((role, _)) if allowed.contains(&role) => Ok(()),
        Some((role, _)) => {
            let allowed = allowed.iter().map(|role| role.word()).collect::<Vec<_>>().join(" or ");
            Err(Refused::OtherRole { path, role, allowed })
        }
    }
}

/// Asks the table before a request goes anywhere.
pub(crate) async fn consult(request: Request, next: Next) -> Response {
    match check(request.uri().path(), request.extensions().get()) {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            tracing::info!(%refused, "a request was refused");
            status(&refused).into_http()
        }
    }
}

/// The account that a caller's certificate names, where it showed a site's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker(Option<Address>);

impl Speaker {
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        let peer = request.extensions().get::<Caller>().and_then(|caller| caller.peer.as_ref());
        Self(peer.and_then(|peer| peer.named).filter(|(role, _)| *role == Site).map(|(_, account)| account))
    }

    /// Refuses a message in the name of another account. What it says is still believed for its signature alone: this
    /// only keeps a key that was stolen from being used without the certificate.
    pub(crate) fn speaks_for(self, message: Address) -> Result<(), Status> {
        match self.0 {
            Some(certificate) if certificate != message => Err(status(&Refused::OtherAccount { certificate, message })),
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
mod tests {
    use almoner_proto::FILE_DESCRIPTOR_SET;
    use almoner_protocol::B256;
    use almoner_tls::Peer;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn caller(role: Option<Role>) -> Caller {
        let named = role.map(|role| (role, Address::ZERO));
        Caller::from(Peer { named, fingerprint: B256::ZERO })
    }

    fn check_role(path: &str, role: Role) -> Result<(), Refused> {
        check(path, Some(&caller(Some(role))))
    }

    #[test]
    fn every_rpc_is_in_the_table_and_every_entry_is_an_rpc() {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let mut rpcs = Vec::new();
        for file in &set.file {
            for service in &file.service {
                let name = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                rpcs.extend(service.method.iter().map(|method| name(method.name())));
            }
        }
        assert!(rpcs.len() > 20, "{rpcs:?}");
        for rpc in &rpcs {
            assert!(
                EXACTLY.iter().any(|(path, _)| path == rpc),
                "{rpc}: say in coordinator/src/access.rs who may ask for it"
            );
        }
        for (path, _) in EXACTLY.iter().filter(|(path, _)| path.starts_with("/almoner.")) {
            assert!(rpcs.iter().any(|rpc| rpc == path), "{path} is no RPC");
        }
    }

    #[test]
    fn a_role_opens_its_own_doors() {
        assert_eq!(check_role("/almoner.v0.Sites/Upload", Site), Ok(()));
        assert_eq!(check_role("/almoner.v0.Researchers/Launch", Researcher), Ok(()));
        assert_eq!(check_role("/almoner.v0.Aggregators/Lease", Operator), Ok(()));
        assert_eq!(check_role("/almoner.v0.Researchers/Watch", Auditor), Ok(()));
        let refused = check_role("/almoner.v0.Researchers/Launch", Site).unwrap_err();
        let said = "/almoner.v0.Researchers/Launch is not for a site: researcher or operator may ask for it";
        assert_eq!(refused.to_string(), said);
        assert!(matches!(check_role("/almoner.v0.Aggregators/Lease", Researcher), Err(Refused::OtherRole { .. })));
    }

    #[test]
    fn without_a_certificate_only_what_is_public_is_answered() {
        for path in ["/ipfs/bafy", "/rpc", "/deployment.json", "/grpc.health.v1.Health/Check"] {
            assert_eq!(check(path, None), Ok(()));
        }
        for (path, to) in EXACTLY {
            let nobody = check(path, Some(&Caller::default()));
            assert_eq!(nobody.is_ok(), to == Anybody, "{path}");
        }
        let nameless = check("/almoner.v0.Sites/Join", Some(&caller(None)));
        assert!(matches!(nameless, Err(Refused::NoRole { .. })));
    }

    #[test]
    fn what_is_not_in_the_table_is_refused_to_everybody() {
        for path in ["/", "/almoner.v0.Sites/Leave", "/almoner.v1.Sites/Join", "/ipfs", "/metrics"] {
            assert!(matches!(check_role(path, Operator), Err(Refused::NotHere { .. })), "{path}");
        }
    }
}
