//! What a door's files say: what it shows, which callers it lets in, and whose word on them is taken.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;

use crate::caller::{Facts, day};
use crate::{TlsError, files, greeting, revoked};

/// What a server shows and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The federation's authorities: what role and account their certificates name is believed. With neither these nor
    /// `sites_ca` nobody is asked for a certificate.
    pub clients_ca: Option<PathBuf>,
    /// Authorities of hospitals' own, whose certificates name no account.
    pub sites_ca: Option<PathBuf>,
    /// Revocations of both.
    pub revoked: Option<PathBuf>,
}

/// What follows from the files.
pub(crate) struct Rules {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) revoked: HashSet<(Vec<u8>, Vec<u8>)>,
    pub(crate) certificate: Facts,
    pub(crate) believed: Believed,
}

/// Whose word on role and account is taken.
#[derive(Clone)]
pub(crate) enum Believed {
    Everybodys,
    Nobodys,
    Of(Arc<dyn ClientCertVerifier>),
}

impl Believed {
    pub(crate) fn holds(&self, chain: &[CertificateDer<'_>]) -> bool {
        match self {
            Self::Everybodys => true,
            Self::Nobodys => false,
            Self::Of(authorities) => chain
                .split_first()
                .is_some_and(|(own, between)| authorities.verify_client_cert(own, between, UnixTime::now()).is_ok()),
        }
    }
}

pub(crate) fn rules(files: &ServerFiles) -> Result<Rules, TlsError> {
    let chain = files::certificates(&files.certificate)?;
    let unusable =
        |file: &PathBuf, error: &dyn fmt::Display| TlsError::Unusable { file: file.clone(), detail: error.to_string() };
    let certificate = chain.first().and_then(|der| Facts::read(der));
    let certificate = certificate.ok_or_else(|| unusable(&files.certificate, &"not a certificate that can be read"))?;
    if certificate.not_after <= SystemTime::now() {
        let (file, on) = (files.certificate.clone(), day(certificate.not_after));
        return Err(TlsError::Expired { file, on });
    }
    let lists = revocations(files)?;
    let revoked = lists.iter().flat_map(revoked::numbers).collect();
    let verifier = |files: &[&PathBuf]| -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for file in files {
            roots.extend(files::roots(file)?.roots);
        }
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .with_crls(lists.clone())
            .only_check_end_entity_revocation()
            // Of an authority that has no list here nothing can have been revoked here.
            .allow_unknown_revocation_status()
            .allow_unauthenticated();
        verifier.build().map_err(|error| unusable(files[0], &error))
    };
    let builder = ServerConfig::builder();
    let (builder, believed) = match (&files.clients_ca, &files.sites_ca) {
        (None, None) => (builder.with_no_client_auth(), Believed::Nobodys),
        (Some(ours), None) => (builder.with_client_cert_verifier(verifier(&[ours])?), Believed::Everybodys),
        (None, Some(theirs)) => (builder.with_client_cert_verifier(verifier(&[theirs])?), Believed::Nobodys),
        (Some(ours), Some(theirs)) => {
            (builder.with_client_cert_verifier(verifier(&[ours, theirs])?), Believed::Of(verifier(&[ours])?))
        }
    };
    let built = builder.with_single_cert(chain, files::key(&files.key)?);
    let mut config =
        built.map_err(|_| TlsError::OtherKey { certificate: files.certificate.clone(), key: files.key.clone() })?;
    config.alpn_protocols = [greeting::ALPN, b"h2", b"http/1.1"].map(<[u8]>::to_vec).to_vec();
    // A resumed session is not held against revocations.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Rules { config: Arc::new(config), revoked, certificate, believed })
}

/// The lists of `revoked`, each from an authority of callers: another's would take nothing back, and say nothing.
fn revocations(files: &ServerFiles) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let Some(file) = &files.revoked else { return Ok(Vec::new()) };
    let authorities: Result<Vec<_>, _> =
        [&files.clients_ca, &files.sites_ca].into_iter().flatten().map(|ca| files::certificates(ca)).collect();
    let authorities = authorities?.concat();
    if authorities.is_empty() {
        let detail = "revoked needs clients_ca beside it: nobody is asked for a certificate without".into();
        return Err(TlsError::Unusable { file: file.clone(), detail });
    }
    let lists = files::revocations(file)?;
    match lists.iter().all(|list| revoked::is_from(list, &authorities)) {
        true => Ok(lists),
        false => Err(TlsError::OtherRevocations { file: file.clone() }),
    }
}
