//! A certificate and its key in the place of older ones. Two files cannot change in one step, and a process may end
//! between any two, so the certificate is put beside first, and with it there the change is decided:
//!
//! ```text
//! certificate.key.new   the key; alone it is nothing, and the next renewal writes over it
//! certificate.pem.new   whole, or not there. While it is there, whoever reads the files moves both into place first
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::ClientConfig;

use crate::caller::Facts;
use crate::{ClientFiles, Peer, TlsError, authority, files};

/// Room for a certificate and what is issued with it.
const ROOM: [u8; 16 << 10] = [0; 16 << 10];

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// The request for a first certificate, by the key that is there or a new one, once it is sure that both files can be
/// written.
pub(crate) fn prepare(file: &Path, key_file: &Path) -> Result<String, TlsError> {
    for folder in [folder(file), folder(key_file)] {
        fs::create_dir_all(folder).map_err(TlsError::file(folder))?;
    }
    if !key_file.exists() {
        let (_, key) = authority::request()?;
        let unfinished = beside(key_file);
        gone(fs::remove_file(&unfinished)).map_err(TlsError::file(&unfinished))?;
        files::write_private(&unfinished, &key)?;
        fs::rename(&unfinished, key_file).and_then(|()| sync(key_file)).map_err(TlsError::file(key_file))?;
    }
    let trial = file.with_extension("tmp");
    let tried = File::create(&trial).and_then(|mut open| open.write_all(&ROOM).and_then(|()| open.sync_all()));
    let tried = tried.and(fs::remove_file(&trial));
    tried.map_err(TlsError::file(file))?;
    authority::request_by(key_file)
}

/// Refuses what would lock its holder out: another's certificate, one of another key, one that does not last.
pub(crate) fn put(files: &ClientFiles, shown: Option<&Peer>, certificate: &str, key: &str) -> Result<(), TlsError> {
    let (Some(file), Some(key_file)) = (&files.certificate, &files.key) else { return Ok(()) };
    let chain = files::certificates_in(certificate.as_bytes(), file)?;
    let facts = chain.first().and_then(|der| Facts::read(der));
    let unfit = |detail: &str| TlsError::Unusable { file: file.clone(), detail: detail.into() };
    let facts = facts.ok_or_else(|| unfit("what was issued is not a certificate that can be read"))?;
    if facts.is_late(SystemTime::now()) || shown.is_some_and(|shown| shown.named != facts.peer.named) {
        return Err(unfit("what was issued is for somebody else, or expires soon; the old one stays"));
    }
    let roots = ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
    let fits = roots.with_client_auth_cert(chain, files::key_in(key, key_file)?);
    fits.map_err(|_| TlsError::OtherKey { certificate: file.clone(), key: key_file.clone() })?;

    settle(files)?;
    let unfinished = beside(key_file);
    gone(fs::remove_file(&unfinished)).map_err(TlsError::file(&unfinished))?;
    files::write_private(&unfinished, key)?;
    files::replace(&beside(file), certificate)?;
    sync(file).map_err(TlsError::file(file))?;
    settle(files)
}

/// Ends a change that was decided. Two may do so at once: what the one has moved the other need not.
pub(crate) fn settle(files: &ClientFiles) -> Result<(), TlsError> {
    let (Some(file), Some(key_file)) = (&files.certificate, &files.key) else { return Ok(()) };
    if !beside(file).exists() {
        return Ok(());
    }
    for file in [key_file, file] {
        gone(fs::rename(beside(file), file)).map_err(TlsError::file(file))?;
        sync(file).map_err(TlsError::file(file))?;
    }
    Ok(())
}

fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Has the names in the file's folder on the disk, too, before anything else is done.
fn sync(file: &Path) -> io::Result<()> {
    File::open(folder(file))?.sync_all()
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
