//! Where a site that nobody sits at takes what opens its vault from.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::file::{Private, read_private};
use crate::{IdentityError, Password, UnlockSecret};

/// What was found: the password, which needs the coordinator's help, or an unlock secret, which does not.
#[derive(Debug)]
pub enum Unlock {
    Password(Password),
    Secret(UnlockSecret),
}

/// Where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Environment,
    Manager(PathBuf),
    /// Somebody was asked.
    Terminal,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "from unlock = {path:?}"),
            Self::Environment => f.write_str("from the environment variable ALMONER_UNLOCK"),
            Self::Manager(path) => write!(f, "from the service manager's {}", path.display()),
            Self::Terminal => f.write_str("as it was typed"),
        }
    }
}

/// The places, looked at in this order.
#[derive(Debug, Default)]
pub struct Sources {
    /// A file of the operator's; refused if others may read it.
    pub file: Option<PathBuf>,
    /// The value itself. Other processes of the same user can read it too.
    pub environment: Option<OsString>,
    /// The folder in which the service manager puts a service's secrets.
    pub credentials: Option<PathBuf>,
}

const CREDENTIAL: &str = "almoner-unlock";

impl Sources {
    /// Those of this process, and the file that the settings name.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            environment: std::env::var_os("ALMONER_UNLOCK"),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// The first that is there. A file that is named must be there.
    pub fn find(self) -> Result<Option<(Unlock, Source)>, IdentityError> {
        if let Some(path) = self.file {
            let unlock = read_private(&path, Private::Owner).and_then(read)?;
            return Ok(Some((unlock, Source::File(path))));
        }
        if let Some(value) = self.environment {
            let text = value.into_string().map_err(|_| IdentityError::Message("ALMONER_UNLOCK"))?;
            return Ok(Some((read(Zeroizing::new(text))?, Source::Environment)));
        }
        let managed = self.credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists());
        let Some(path) = managed else { return Ok(None) };
        let unlock = read_private(&path, Private::Manager).and_then(read)?;
        Ok(Some((unlock, Source::Manager(path))))
    }
}

/// What says that it is an unlock secret is one, or mistyped; everything else is a password.
fn read(text: Zeroizing<String>) -> Result<Unlock, IdentityError> {
    match UnlockSecret::is_meant(&text) {
        true => UnlockSecret::parse(&text).map(Unlock::Secret),
        false => Ok(Unlock::Password(Password::new(text))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn password(found: Option<(Unlock, Source)>) -> (String, String) {
        let Some((Unlock::Password(password), source)) = found else { panic!("{found:?}") };
        (String::from_utf8(password.bytes().to_vec()).unwrap(), source.to_string())
    }

    #[test]
    fn the_file_comes_first_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("unlock");
        let sources = || Sources {
            file: Some(path.clone()),
            environment: Some("of the environment".into()),
            credentials: Some(dir.path().into()),
        };
        assert!(matches!(sources().find(), Err(IdentityError::Io { .. })), "what is named must be there");
        fs::write(&path, "of the file\n").unwrap();
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match sources().find() {
                Ok(found) => {
                    let (password, source) = password(found);
                    assert!(fine && password == "of the file" && source.starts_with("from unlock = \""), "{mode:o}");
                }
                Err(error) => assert!(!fine && error.to_string().contains("chmod 600"), "{mode:o}: {error}"),
            }
        }
    }

    #[test]
    fn then_the_environment_then_the_service_manager() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = || Some(dir.path().to_owned());
        let environment = Sources { environment: Some("typed".into()), credentials: credentials(), file: None };
        let (password, source) = password(environment.find().unwrap());
        assert_eq!((password.as_str(), source.as_str()), ("typed", "from the environment variable ALMONER_UNLOCK"));
        let managed = || Sources { credentials: credentials(), ..Sources::default() };
        assert!(managed().find().unwrap().is_none());
        let secret = UnlockSecret::from_secret([5; 16]).to_text();
        let path = dir.path().join(CREDENTIAL);
        fs::write(&path, secret.as_bytes()).unwrap();
        // As an access list for one service shows.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        let Some((Unlock::Secret(found), from)) = managed().find().unwrap() else { panic!("an unlock secret") };
        assert_eq!(from, Source::Manager(path.clone()));
        assert_eq!(found.secret(), &[5; 16]);
        fs::write(&path, &secret.as_bytes()[..20]).unwrap();
        assert!(matches!(managed().find(), Err(IdentityError::Mistyped { .. })), "no password by mistake");
        assert!(Sources::default().find().unwrap().is_none());
    }
}
