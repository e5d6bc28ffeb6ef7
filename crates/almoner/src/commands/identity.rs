//! `almoner identity`: the account of a researcher or an auditor, who has no site. Enrolled by an invitation, it lies in
//! a folder, and commands that ask a coordinator take that folder: `--identity DIR`.
//!
//! ```text
//! identity.toml     the coordinator that it is for, and what opens the vault with nobody there
//! account.key       the vault
//! certificate.pem   with certificate.key, where the coordinator issues some
//! ca.pem            the authority of the coordinator's own certificate
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use almoner_protocol::FileVersion;
use almoner_store::Url;
use almoner_tls::{ClientFiles, Role};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::enrol::{Enrolled, enrol, not_yet};
use super::files::read_text;
use super::password::{self, Whose};
use super::vault::Holder;
use crate::commands::source::web;
use crate::failure::{Blame, Failure, Kind};
use crate::files::write_whole;

const SETTINGS: &str = "identity.toml";
const KEY: &str = "account.key";
const CA: &str = "ca.pem";

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Enrol as what the invitation says, a researcher or an auditor: makes a key and puts it into a vault that a password
    /// opens, registers the password with the coordinator, and keeps the certificate that it issues.
    Enrol(EnrolOptions),
    /// Try the password: log in, and open the vault.
    Login(password::LoginOptions<OfFolder>),
    /// Change the password. A new recovery code is printed; the old one opens nothing any more.
    Password(password::ChangeOptions<OfFolder>),
    /// Choose a new password where the old one is lost, by the recovery code.
    Recover(password::RecoverOptions<OfFolder>),
    /// Write a secret that opens the vault when nobody is there, and no coordinator.
    UnlockFile(password::UnlockFileOptions<OfFolder>),
}

/// Whoever has no site, by a folder.
#[derive(Debug, Args)]
pub(crate) struct OfFolder {
    /// The folder that `almoner identity enrol` wrote.
    #[arg(long)]
    dir: PathBuf,
}

impl Whose for OfFolder {
    fn holder(&self) -> Result<Holder, Failure> {
        holder(&self.dir)
    }
}

#[derive(Debug, Args)]
struct EnrolOptions {
    /// The folder to write to; made if it is not there. A plain key in its account.key is enrolled, else one is made.
    #[arg(long)]
    dir: PathBuf,
    /// The coordinator.
    #[arg(long, value_name = "URL", value_parser = web)]
    coordinator: Url,
    /// The authority that the coordinator's certificate is from: the operator's ca.pem. It is copied.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// As `almoner coordinator invite` printed it.
    #[arg(long, value_name = "TOKEN")]
    invitation: String,
    /// A file with the password, for its owner's eyes only, now and whenever the vault is opened; else it is asked for.
    #[arg(long, value_name = "FILE")]
    unlock: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

/// `identity.toml`. Everything else in the folder has a name of its own.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default, rename = "version", skip_serializing)]
    _version: FileVersion,
    /// The one that enrolled it.
    coordinator: Url,
    /// A file with an unlock secret or the password. Without it ALMONER_UNLOCK, or it is asked for.
    unlock: Option<PathBuf>,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    match options.order {
        Order::Enrol(options) => enrolled(options).await,
        Order::Login(options) => password::login(options).await,
        Order::Password(options) => password::change(options).await,
        Order::Recover(options) => password::recover(options).await,
        Order::UnlockFile(options) => password::unlock_file(options).await,
    }
}

async fn enrolled(options: EnrolOptions) -> Result<(), Failure> {
    let dir = &options.dir;
    let unlock = options.unlock.map(std::path::absolute).transpose()?;
    let settings = Settings { _version: FileVersion::default(), coordinator: options.coordinator, unlock };
    not_yet(&settings.holder(dir))?;
    fs::create_dir_all(dir).blame(Kind::You, dir.display().to_string())?;
    // Before anything that cannot be done again.
    if let Some(ca) = &options.ca {
        let text = fs::read(ca).blame(Kind::You, format!("--ca {}", ca.display()))?;
        write_whole(&dir.join(CA), &text).blame(Kind::You, dir.display().to_string())?;
    }
    let text = format!("version = 1\n{}", toml::to_string(&settings)?);
    write_whole(&dir.join(SETTINGS), text.as_bytes()).blame(Kind::You, dir.display().to_string())?;
    let holder = settings.holder(dir);
    let roles = &[Role::Researcher, Role::Auditor];
    let say = |enrolled: &Enrolled| enrolled.say(&holder, options.json);
    let enrolled = enrol(&holder, &options.invitation, roles, say).await?;
    if !options.json {
        enrolled.print_certificate("beside it");
        println!("next:           --identity {} for almoner federation, audit, model export", dir.display());
    }
    Ok(())
}

impl Settings {
    fn holder(&self, dir: &Path) -> Holder {
        let [key, ca, certificate, certificate_key] =
            [KEY, CA, "certificate.pem", "certificate.key"].map(|name| dir.join(name));
        let secure = self.coordinator.scheme() == "https";
        let ca = Some(ca).filter(|ca| ca.exists());
        let tls = ClientFiles { ca, certificate: Some(certificate), key: Some(certificate_key) };
        Holder {
            key,
            unlock: self.unlock.as_ref().map(|file| dir.join(file)),
            coordinator: self.coordinator.as_str().trim_end_matches('/').to_owned(),
            tls: if secure { tls } else { ClientFiles::default() },
            state: None,
            command: "identity",
        }
    }
}

/// Whose the folder is, and the coordinator that it is for.
pub(super) fn holder(dir: &Path) -> Result<Holder, Failure> {
    let path = dir.join(SETTINGS);
    if !path.exists() {
        let text = format!("{} is missing: `almoner identity enrol --dir {}` writes it", path.display(), dir.display());
        return Err(Failure::you(text));
    }
    let settings: Settings = toml::from_str(&read_text(&path)?).blame(Kind::You, path.display().to_string())?;
    Ok(settings.holder(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_as_it_was_written() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path();
        let error = holder(dir).unwrap_err().to_string();
        assert!(error.contains("identity.toml is missing: `almoner identity enrol"), "{error}");
        let settings = |url: &str, unlock: Option<PathBuf>| Settings {
            _version: FileVersion::default(),
            coordinator: url.parse().unwrap(),
            unlock,
        };
        let write = |settings: &Settings| {
            let text = format!("version = 1\n{}", toml::to_string(settings).unwrap());
            fs::write(dir.join(SETTINGS), text).unwrap();
            holder(dir).unwrap()
        };
        let read = write(&settings("https://almoner.example:8547", Some("/run/secret".into())));
        assert_eq!(
            (read.coordinator.as_str(), read.unlock),
            ("https://almoner.example:8547", Some("/run/secret".into()))
        );
        assert_eq!((read.tls.ca, read.tls.certificate), (None, Some(dir.join("certificate.pem"))));
        fs::write(dir.join(CA), "").unwrap();
        // What is named in it by hand is beside it.
        let read = write(&settings("https://almoner.example:8547", Some("unlock".into())));
        assert_eq!((read.tls.ca, read.unlock), (Some(dir.join(CA)), Some(dir.join("unlock"))));
        let read = write(&settings("http://127.0.0.1:8547", None));
        assert_eq!((read.tls, read.state), (ClientFiles::default(), None));
    }
}
