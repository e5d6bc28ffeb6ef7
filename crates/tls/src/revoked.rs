//! Revocations: a list of serials that the authority has signed (an X.509 CRL). A reader that finds it changed reads it
//! again; what is on it once stays on it.

use std::path::Path;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::caller::Facts;
use crate::{Peer, TlsError, files};

/// The list says when the next one is due; ours is replaced whenever there is something to add, so the day is far.
const NEXT: Duration = Duration::days(3650);

/// What was taken back.
#[derive(Clone, Debug)]
pub struct Revoked {
    pub peer: Peer,
    /// How many certificates are on the list.
    pub listed: usize,
}

/// A list with nothing on it.
pub(crate) fn first(issuer: &Issuer<'_, KeyPair>) -> Result<String, TlsError> {
    signed(issuer, 1, Vec::new())
}

pub(crate) fn revoke(
    issuer: &Issuer<'_, KeyPair>,
    authority: &Path,
    certificate: &Path,
    list: &Path,
) -> Result<Revoked, TlsError> {
    let certificates = files::certificates(certificate)?;
    // `certificates` is never empty, and a key that only we have cannot have signed what does not parse.
    let not_ours = || TlsError::Unusable {
        file: certificate.to_owned(),
        detail: "this authority did not issue it, and only its own can be revoked".into(),
    };
    let der = certificates.first().filter(|der| issued_here(der, authority)).ok_or_else(not_ours)?;
    let facts = Facts::read(der).ok_or_else(not_ours)?;
    let (number, mut entries) = entries(list)?;
    let serial = SerialNumber::from_slice(&facts.number.1);
    if !entries.iter().any(|entry| entry.serial_number == serial) {
        entries.push(entry(serial, OffsetDateTime::now_utc()));
    }
    let listed = entries.len();
    files::replace(list, &signed(issuer, number + 1, entries)?)?;
    Ok(Revoked { peer: facts.peer, listed })
}

fn issued_here(der: &CertificateDer<'_>, authority: &Path) -> bool {
    let Ok(authorities) = files::certificates(authority) else { return false };
    let parsed = X509Certificate::from_der(der);
    let (Ok((_, certificate)), Some(authority)) = (parsed, authorities.first()) else { return false };
    let Ok((_, authority)) = X509Certificate::from_der(authority) else { return false };
    certificate.verify_signature(Some(authority.public_key())).is_ok()
}

fn entry(serial_number: SerialNumber, revocation_time: OffsetDateTime) -> RevokedCertParams {
    let reason_code = Some(RevocationReason::Unspecified);
    RevokedCertParams { serial_number, revocation_time, reason_code, invalidity_date: None }
}

/// What is on the list, and the list's number.
fn entries(list: &Path) -> Result<(u64, Vec<RevokedCertParams>), TlsError> {
    let unreadable = || TlsError::NotPem { file: list.to_owned(), wanted: "this authority's list of revocations" };
    let lists = files::revocations(list)?;
    let der = lists.first().ok_or_else(unreadable)?;
    let (_, parsed) = CertificateRevocationList::from_der(der).map_err(|_| unreadable())?;
    let number = parsed.crl_number().and_then(|number| u64::try_from(number).ok()).ok_or_else(unreadable)?;
    let of = |revoked: &x509_parser::revocation_list::RevokedCertificate<'_>| {
        entry(SerialNumber::from_slice(revoked.raw_serial()), revoked.revocation_date.to_datetime())
    };
    Ok((number, parsed.iter_revoked_certificates().map(of).collect()))
}

fn signed(
    issuer: &Issuer<'_, KeyPair>,
    number: u64,
    revoked_certs: Vec<RevokedCertParams>,
) -> Result<String, TlsError> {
    let now = OffsetDateTime::now_utc();
    let params = CertificateRevocationListParams {
        this_update: now,
        next_update: now + NEXT,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).and_then(|list| list.pem()).map_err(TlsError::issue)
}

/// Whether one of these authorities has signed the list, under its own name: a list speaks of whoever it names.
pub(crate) fn is_from(list: &CertificateRevocationListDer<'_>, authorities: &[CertificateDer<'_>]) -> bool {
    let Ok((_, list)) = CertificateRevocationList::from_der(list) else { return false };
    let signed = |authority: &CertificateDer<'_>| {
        X509Certificate::from_der(authority).is_ok_and(|(_, authority)| {
            let named = list.issuer().as_raw() == authority.subject().as_raw();
            named && list.verify_signature(authority.public_key()).is_ok()
        })
    };
    authorities.iter().any(signed)
}

/// Issuer and serial of everything on a list.
pub(crate) fn numbers(list: &CertificateRevocationListDer<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    // The verifier has refused what does not parse.
    let Ok((_, list)) = CertificateRevocationList::from_der(list) else { return Vec::new() };
    let issuer = list.issuer().as_raw();
    list.iter_revoked_certificates().map(|revoked| (issuer.to_vec(), revoked.raw_serial().to_vec())).collect()
}
