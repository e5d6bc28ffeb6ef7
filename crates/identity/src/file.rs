//! Files that only their owner reads, there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::vault::VERSION;
use crate::{IdentityError, Vault};

/// Far above every file of ours.
const MAX_BYTES: u64 = 64 << 10;

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
    let failed = |error: serde_json::Error| IdentityError::Io { path: path.to_owned(), source: error.into() };
    let mut text = serde_json::to_vec_pretty(vault).map_err(failed)?;
    text.push(b'\n');
    write_private(path, &text)
}

/// Writes a file for its owner's eyes under another name first; nobody ever finds half of it, or finds it open.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    write(path, bytes).map_err(|source| IdentityError::Io { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
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
    let about = file.metadata().map_err(failed)?;
    #[cfg(unix)]
    if private == Private::Owner && std::os::unix::fs::MetadataExt::mode(&about) & 0o077 != 0 {
        return Err(IdentityError::Open { path: path.to_owned() });
    }
    if about.len() > MAX_BYTES {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "too long for a secret")));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Bytes as hexadecimal in JSON.
pub(crate) mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let pairs = text.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            // `from_str_radix` alone would take a sign.
            pair.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())?
        };
        pairs.map(|pair| byte(pair).ok_or_else(|| D::Error::custom("not hexadecimal"))).collect()
    }
}
