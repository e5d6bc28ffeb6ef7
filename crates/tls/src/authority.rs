//! The authority of a federation: a folder with a key, its certificate, and what was revoked.
//!
//! ```text
//! authority.key   whoever has it can be anybody; 0600, and off the coordinator's machine if you can
//! ca.pem          what coordinators and callers hold certificates against
//! revoked.pem     the revocations, signed; the coordinator reads it again when it changes
//! issued/         copies of what the coordinator issued by itself, to revoke by: at enrolment, and renewed
//! ```
//!
//! Of a request for a certificate only the key is taken: who its holder is says the operator, not the request.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::caller::{Facts, Role, uri};
use crate::revoked::{self, Revoked};
use crate::{TlsError, files};

const KEY: &str = "authority.key";
const CERTIFICATE: &str = "ca.pem";
const REVOKED: &str = "revoked.pem";
const ISSUED: &str = "issued";
/// An authority outlives every certificate of it; replacing it means giving everybody a new `ca.pem`.
const AUTHORITY_DAYS: i64 = 3650;
/// Clocks differ: a certificate is valid a little before it is made.
const BEFORE: Duration = Duration::hours(1);
const MAX_DAYS: u32 = 3650;

pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A secret in PEM; it is wiped when it is dropped.
pub type Secret = Zeroizing<String>;

/// A certificate and its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: Secret,
}

/// The files of whoever was given a certificate.
#[derive(Clone, Debug)]
pub struct Handed {
    pub certificate: PathBuf,
    pub key: Option<PathBuf>,
    pub ca: PathBuf,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// A fresh key and the request for a certificate of it; the key never leaves its holder.
pub fn request() -> Result<(String, Secret), TlsError> {
    let key = KeyPair::generate().map_err(TlsError::issue)?;
    Ok((request_of(&key).map_err(TlsError::issue)?, Zeroizing::new(key.serialize_pem())))
}

/// A request for a certificate of the key in this file.
pub(crate) fn request_by(file: &Path) -> Result<String, TlsError> {
    let request = KeyPair::from_pem(&files::private_text(file)?).and_then(|key| request_of(&key));
    request.map_err(|error| TlsError::Unusable { file: file.to_owned(), detail: error.to_string() })
}

fn request_of(key: &KeyPair) -> Result<String, rcgen::Error> {
    CertificateParams::default().serialize_request(key)?.pem()
}

impl Authority {
    /// Makes one in a folder, with nothing revoked yet; never over another.
    pub fn create(dir: &Path) -> Result<Self, TlsError> {
        fs::create_dir_all(dir).map_err(TlsError::file(dir))?;
        if let Some(there) = [KEY, CERTIFICATE].map(|name| dir.join(name)).into_iter().find(|file| file.exists()) {
            return Err(TlsError::Taken { file: there });
        }
        let key = KeyPair::generate().map_err(TlsError::issue)?;
        let mut name = DistinguishedName::new();
        // Two authorities of one name could not be told apart in revocations.
        name.push(DnType::CommonName, format!("Almoner authority {}", hex(&random::<8>()?)));
        let mut params = params(name, AUTHORITY_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(TlsError::issue)?.pem();
        // The key first: it is what must not be overwritten.
        files::write_private(&dir.join(KEY), &Zeroizing::new(key.serialize_pem()))?;
        files::write_new(&dir.join(CERTIFICATE), &certificate)?;
        let issuer = Issuer::new(params, key);
        files::write_new(&dir.join(REVOKED), &revoked::first(&issuer)?)?;
        Ok(Self { dir: dir.to_owned(), issuer, certificate })
    }

    pub fn open(dir: &Path) -> Result<Self, TlsError> {
        let [key_file, certificate_file] = [KEY, CERTIFICATE].map(|name| dir.join(name));
        let unusable = |file: &Path| {
            let file = file.to_owned();
            move |error: rcgen::Error| TlsError::Unusable { file, detail: error.to_string() }
        };
        let key = KeyPair::from_pem(&files::private_text(&key_file)?).map_err(unusable(&key_file))?;
        let certificate = files::read_text(&certificate_file)?.to_string();
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(unusable(&certificate_file))?;
        Ok(Self { dir: dir.to_owned(), issuer, certificate })
    }

    /// The certificate that everybody holds others against, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    pub fn certificate_file(&self) -> PathBuf {
        self.dir.join(CERTIFICATE)
    }

    pub fn key_file(&self) -> PathBuf {
        self.dir.join(KEY)
    }

    /// The revocations; `revoked` of a coordinator's settings.
    pub fn revoked_file(&self) -> PathBuf {
        self.dir.join(REVOKED)
    }

    /// A certificate for the key of a request (PKCS #10, PEM), in PEM.
    pub fn issue_from_csr(&self, csr: &str, role: Role, account: Address, days: u32) -> Result<String, TlsError> {
        let request = CertificateSigningRequestParams::from_pem(csr);
        let request = request.map_err(|error| TlsError::Issue { detail: format!("the request: {error}") })?;
        self.sign(holder(role, account, days)?, &request.public_key)
    }

    /// A certificate and a fresh key for it.
    pub fn issue(&self, role: Role, account: Address, days: u32) -> Result<Issued, TlsError> {
        self.with_fresh_key(holder(role, account, days)?)
    }

    /// As [`Self::issue`], for the two days until a given time.
    pub fn issue_until(&self, role: Role, account: Address, until: std::time::SystemTime) -> Result<Issued, TlsError> {
        let mut params = holder(role, account, 1)?;
        params.not_before = OffsetDateTime::from(until) - Duration::days(2);
        params.not_after = until.into();
        self.with_fresh_key(params)
    }

    /// A certificate for a coordinator that is reached under these names and addresses.
    pub fn issue_server(&self, names: &[String], days: u32) -> Result<Issued, TlsError> {
        let Some(first) = names.first() else {
            return Err(TlsError::Issue { detail: "a server needs a name or an address".into() });
        };
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, first.clone());
        let mut params = params(name, checked(days)?)?;
        params.subject_alt_names = CertificateParams::new(names).map_err(TlsError::issue)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.with_fresh_key(params)
    }

    /// Writes what its holder needs into a folder, and nothing over a file that is there.
    pub fn hand_out(&self, dir: &Path, certificate: &str, key: Option<&str>) -> Result<Handed, TlsError> {
        let [own, own_key, ca] = ["certificate.pem", "certificate.key", CERTIFICATE].map(|name| dir.join(name));
        if let Some(there) = [&own, &own_key].into_iter().find(|file| file.exists()) {
            return Err(TlsError::Taken { file: there.clone() });
        }
        fs::create_dir_all(dir).map_err(TlsError::file(dir))?;
        if let Some(key) = key {
            files::write_private(&own_key, key)?;
        }
        files::write_new(&own, certificate)?;
        files::replace(&ca, &self.certificate)?;
        Ok(Handed { certificate: own, key: key.map(|_| own_key), ca })
    }

    /// Keeps a copy of a certificate that its operator did not see: it can be revoked by that.
    pub fn keep(&self, certificate: &str) -> Result<(), TlsError> {
        let dir = self.dir.join(ISSUED);
        fs::create_dir_all(&dir).map_err(TlsError::file(&dir))?;
        let chain = files::certificates_in(certificate.as_bytes(), &dir)?;
        let facts = chain.first().and_then(|der| Facts::read(der));
        let facts = facts.ok_or_else(|| TlsError::NotPem { file: dir.clone(), wanted: "a certificate" })?;
        let whose = facts.peer.named.map_or_else(|| "nobody".into(), |(role, account)| format!("{role}-{account:#x}"));
        let print = hex(&facts.peer.fingerprint[..4]);
        files::replace(&dir.join(format!("{whose}-{print}.pem")), certificate)
    }

    /// Takes a certificate of this authority back. Once is as good as twice.
    pub fn revoke(&self, certificate: &Path) -> Result<Revoked, TlsError> {
        revoked::revoke(&self.issuer, &self.certificate_file(), certificate, &self.revoked_file())
    }

    fn with_fresh_key(&self, params: CertificateParams) -> Result<Issued, TlsError> {
        let key = KeyPair::generate().map_err(TlsError::issue)?;
        let certificate = self.sign(params, &key)?;
        Ok(Issued { certificate, key: Zeroizing::new(key.serialize_pem()) })
    }

    fn sign(&self, params: CertificateParams, key: &impl PublicKeyData) -> Result<String, TlsError> {
        Ok(params.signed_by(key, &self.issuer).map_err(TlsError::issue)?.pem())
    }
}

fn checked(days: u32) -> Result<i64, TlsError> {
    match days {
        1..=MAX_DAYS => Ok(days.into()),
        _ => Err(TlsError::Issue { detail: format!("a certificate is valid for 1 to {MAX_DAYS} days, not {days}") }),
    }
}

fn holder(role: Role, account: Address, days: u32) -> Result<CertificateParams, TlsError> {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("{role} {account}"));
    let mut params = params(name, checked(days)?)?;
    params.subject_alt_names = vec![SanType::URI(uri(role, account).try_into().map_err(TlsError::issue)?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn params(name: DistinguishedName, days: i64) -> Result<CertificateParams, TlsError> {
    let now = OffsetDateTime::now_utc();
    let mut serial = random::<16>()?;
    // A serial is a positive number without needless bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = now - BEFORE;
    params.not_after = now + Duration::days(days);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn random<const N: usize>() -> Result<[u8; N], TlsError> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| TlsError::Issue { detail: format!("no randomness from the system: {error}") })?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode(bytes)
}
