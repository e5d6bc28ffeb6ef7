//! Certificates, keys and revocations as files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::TlsError;

/// Far above what a handful of certificates take, and some ten thousand revocations.
const MAX_FILE_BYTES: u64 = 1 << 20;

pub(crate) fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let length = fs::metadata(file).map_err(TlsError::file(file))?.len();
    if length > MAX_FILE_BYTES {
        return Err(TlsError::NotPem { file: file.to_owned(), wanted: "a file of less than 1 MiB" });
    }
    fs::read(file).map(Zeroizing::new).map_err(TlsError::file(file))
}

pub(crate) fn read_text(file: &Path) -> Result<Zeroizing<String>, TlsError> {
    let bytes = read(file)?;
    let text = std::str::from_utf8(&bytes);
    text.map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| TlsError::NotPem { file: file.to_owned(), wanted: "text" })
}

/// At least one certificate, the holder's own first.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(&read(file)?, file)
}

/// As [`certificates`], of what would be in the file.
pub(crate) fn certificates_in(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wanted = "a certificate";
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.map_err(|_| TlsError::NotPem { file: file.to_owned(), wanted })?;
    if found.is_empty() { Err(TlsError::NotPem { file: file.to_owned(), wanted }) } else { Ok(found) }
}

/// A key that nobody but its owner may read.
pub(crate) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    key_in(&private_text(file)?, file)
}

pub(crate) fn key_in(text: &str, file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| TlsError::NotPem { file: file.to_owned(), wanted: "a private key" })
}

/// A file of secrets; refused where others may read it.
pub(crate) fn private_text(file: &Path) -> Result<Zeroizing<String>, TlsError> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(file).map_err(TlsError::file(file))?);
        if mode & 0o077 != 0 {
            return Err(TlsError::OpenKey { file: file.to_owned() });
        }
    }
    read_text(file)
}

pub(crate) fn revocations(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let wanted = "a list of revocations (X509 CRL)";
    let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&read(file)?).collect();
    let found = read.map_err(|_| TlsError::NotPem { file: file.to_owned(), wanted })?;
    if found.is_empty() { Err(TlsError::NotPem { file: file.to_owned(), wanted }) } else { Ok(found) }
}

/// The authorities in a file.
pub(crate) fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::Unusable { file: file.to_owned(), detail: error.to_string() })?;
    }
    Ok(roots)
}

/// Writes a new file that only its owner may read.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<(), TlsError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    write(options, file, text)
}

/// Writes a new file.
pub(crate) fn write_new(file: &Path, text: &str) -> Result<(), TlsError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    write(options, file, text)
}

fn write(options: OpenOptions, file: &Path, text: &str) -> Result<(), TlsError> {
    let mut open = options.open(file).map_err(TlsError::file(file))?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).map_err(TlsError::file(file))
}

/// Puts a file in the place of another: a reader finds the one or the other, never half of it.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), TlsError> {
    let unfinished = file.with_extension("tmp");
    let mut open = File::create(&unfinished).map_err(TlsError::file(&unfinished))?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).map_err(TlsError::file(&unfinished))?;
    fs::rename(&unfinished, file).map_err(TlsError::file(file))
}
