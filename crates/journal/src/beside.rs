//! A large value in a file beside the journal: what its role could compute again, and what would pass through the
//! write-ahead log and out of it for nothing. It is replaced whole, so whoever reads finds the old one or the new one, and
//! it is no part of a backup.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::journal::{Journal, private, sync_folder};
use crate::{JournalError, journal::name_of_state};

impl Journal {
    /// The value last put under `name`.
    pub fn beside_get(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(path) = self.beside(name) else { return self.state_get(name) };
        let read = File::open(&path).and_then(|mut file| {
            let mut value = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or(0));
            file.read_to_end(&mut value)?;
            Ok(value)
        });
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// Puts what `write` writes under `name`, replacing what was there; on the disk when it returns.
    pub fn beside_put(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        let Some(path) = self.beside(name) else {
            let mut value = Vec::new();
            write(&mut value).map_err(|source| failed(&PathBuf::from(":memory:"), source))?;
            return self.state_put(name, &value);
        };
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let written = private(&new).and_then(|file| {
            file.set_len(0)?;
            let mut out = BufWriter::with_capacity(1 << 16, file);
            write(&mut out)?;
            out.into_inner()?.sync_data()?;
            fs::rename(&new, &path)?;
            sync_folder(&path)
        });
        if let Err(source) = written {
            let _ = fs::remove_file(&new);
            return Err(failed(&path, source));
        }
        almoner_failpoint::reached(|| name_of_state(name));
        Ok(())
    }

    /// Where it lies; `None` for a journal in memory, which has it inside.
    fn beside(&self, name: &str) -> Option<PathBuf> {
        let path = self.file()?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".");
        // Names have the federation before a slash, which is no name of a file.
        beside.push(name.replace(['/', ':'], "-"));
        Some(PathBuf::from(beside))
    }
}

fn failed(path: &Path, source: io::Error) -> JournalError {
    let path = path.display().to_string();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JournalError::Full { path },
        _ => JournalError::Io { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_is_there_whole_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let journals = [Journal::open(dir.path().join("site.db")).unwrap(), Journal::memory().unwrap()];
        for journal in &journals {
            assert_eq!(journal.beside_get("1:0xab:1/model").unwrap(), None);
            for value in [&b"a long value"[..], b"short"] {
                journal.beside_put("1:0xab:1/model", |out| out.write_all(value)).unwrap();
                assert_eq!(journal.beside_get("1:0xab:1/model").unwrap().unwrap(), value);
            }
            let broken = journal.beside_put("1:0xab:1/model", |out| {
                out.write_all(b"half")?;
                Err(io::ErrorKind::StorageFull.into())
            });
            assert!(matches!(broken, Err(JournalError::Full { .. })));
            assert_eq!(journal.beside_get("1:0xab:1/model").unwrap().unwrap(), b"short");
        }
        let path = dir.path().join("site.db.1-0xab-1-model");
        assert!(!dir.path().join("site.db.1-0xab-1-model.new").exists());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777, 0o600);
    }
}
