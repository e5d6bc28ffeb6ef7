//! Files that only their owner reads, there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::vault::VERSION;
use crate::{IdentityError, Server, Vault};

/// Far above every file of ours.
const MAX_BYTES: usize = 64 << 10;

/// Whether this file says that it is a vault; a key file does not.
pub fn is_vault(path: &Path) -> bool {
    let first = File::open(path).and_then(|mut file| {
        let mut byte = [0];
        file.read_exact(&mut byte).map(|()| byte[0])
    });
    matches!(first, Ok(b'{'))
}

pub fn read_vault(path: &Path) -> Result<Vault, IdentityError> {
    let text = read_private(path, Private::Owner)?;
    let not = |reason: String| IdentityError::NotAVault { path: path.to_owned(), reason };
    // The version first: what else is in a later one is not ours to judge.
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| not(error.to_string()))?;
    match value.get("almoner_vault").and_then(serde_json::Value::as_u64) {
        Some(VERSION) => serde_json::from_value(value).map_err(|error| not(error.to_string())),
        Some(found) => Err(IdentityError::Version { path: path.to_owned(), found, known: VERSION }),
        None => Err(not("it has no almoner_vault".into())),
    }
}

pub fn write_vault(path: &Path, vault: &Vault) -> Result<(), IdentityError> {
    prepare_vault(path, vault)?.put()
}

/// Writes a vault beside where it will be: what could go wrong has gone wrong before something that cannot be undone.
pub fn prepare_vault(path: &Path, vault: &Vault) -> Result<Prepared, IdentityError> {
    let failed = |source| IdentityError::Io { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(vault).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    prepare(path, &text).map_err(failed)
}

/// A secret that somebody has put into a file; refused if others may read it.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, IdentityError> {
    read_private(path, Private::Owner)
}

/// The coordinator's secrets, one line of hexadecimal.
pub fn read_server(path: &Path) -> Result<Server, IdentityError> {
    let text = read_secret(path)?;
    let bytes = Zeroizing::new(hexadecimal::decode(text.trim()).unwrap_or_default());
    Server::from_bytes(&bytes).map_err(|_| IdentityError::NotSecrets { path: path.to_owned() })
}

pub fn write_server(path: &Path, server: &Server) -> Result<(), IdentityError> {
    let mut text = Zeroizing::new(hexadecimal::encode(&server.to_bytes()));
    text.push('\n');
    write_private(path, text.as_bytes())
}

/// Writes a file for its owner's eyes under another name first; nobody ever finds half of it, or finds it open.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    prepare(path, bytes).map_err(|source| IdentityError::Io { path: path.to_owned(), source })?.put()
}

/// A file that is whole and on the disk, under another name; dropped, it is removed.
#[derive(Debug)]
pub struct Prepared {
    unfinished: PathBuf,
    path: PathBuf,
}

impl Prepared {
    /// Gives the file its name.
    pub fn put(self) -> Result<(), IdentityError> {
        let Self { unfinished, path } = &self;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let put = fs::rename(unfinished, path).and_then(|()| File::open(folder)?.sync_all());
        put.map_err(|source| IdentityError::Io { path: path.clone(), source })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // One that was put is not there; one that cannot be removed is of no use to anybody.
        let _ = fs::remove_file(&self.unfinished);
    }
}

fn prepare(path: &Path, bytes: &[u8]) -> io::Result<Prepared> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let unfinished = path.with_file_name(name);
    // One that a killed process left may have been made by somebody else meanwhile.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    let prepared = Prepared { unfinished, path: path.to_owned() };
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(prepared)
}

/// Who sees to it that nobody else reads a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    /// Its mode, which is looked at.
    Owner,
    /// The service manager, which may use access lists that show in the mode.
    Manager,
}

pub(crate) fn read_private(path: &Path, private: Private) -> Result<Zeroizing<String>, IdentityError> {
    let failed = |source| IdentityError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    #[cfg(unix)]
    if private == Private::Owner && std::os::unix::fs::MetadataExt::mode(&file.metadata().map_err(failed)?) & 0o077 != 0
    {
        return Err(IdentityError::Open { path: path.to_owned() });
    }
    read_once(file).map_err(failed)
}

/// A short text in one place, which is made for the longest: one that grows leaves copies behind that nobody wipes.
fn read_once(mut file: impl Read) -> io::Result<Zeroizing<String>> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut bytes = Zeroizing::new(vec![0; MAX_BYTES + 1]);
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if length > MAX_BYTES {
        return Err(wrong("too long for a secret"));
    }
    bytes.truncate(length);
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        wrong("not a text")
    })
}

/// Bytes as hexadecimal in JSON.
pub(crate) mod hexadecimal {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        decode(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not hexadecimal"))
    }

    pub(crate) fn encode(bytes: &[u8]) -> String {
        // Room for all of it: a string that grows leaves copies behind.
        let mut text = String::with_capacity(bytes.len() * 2 + 1);
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
        let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
        if !rest.is_empty() {
            return None;
        }
        pairs.iter().map(byte).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_into_one_place() {
        for length in [0, 1, 31, 33, 4096, MAX_BYTES] {
            let text = read_once("x".repeat(length).as_bytes()).unwrap();
            assert_eq!((text.len(), text.capacity()), (length, MAX_BYTES + 1));
        }
        let refused = |bytes: &[u8]| read_once(bytes).unwrap_err().to_string();
        assert_eq!(refused("x".repeat(MAX_BYTES + 1).as_bytes()), "too long for a secret");
        assert_eq!(refused(b"\xff"), "not a text");
    }
}
