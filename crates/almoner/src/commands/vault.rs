//! A key, wherever it lies: in a plain file, or in a vault with something to open it.

use std::path::{Path, PathBuf};

use almoner_chain::SigningKey;
use almoner_identity::{
    IdentityError, OpenVault, Opener, Password, Source, Sources, StateKey, Stretch, Unlock, Vault, is_vault, read_vault,
};
use almoner_participant::{Dialog, SiteConfig, SiteError};
use almoner_proto::{ErrorKind, Kinded, Outage};
use almoner_protocol::Address;
use almoner_tls::ClientFiles;

use super::channel::{self, client, dial_lazily};
use super::files::load_key;
use crate::failure::{Blame, Failure, Kind};
use crate::terminal;

const NOTHING_OPENS_IT: &str = "nobody is there to type the vault's password: unlock = FILE, or ALMONER_UNLOCK, or the \
                                service manager's credential almoner-unlock";

/// Whose key it is: a site's, by its settings, or that of a researcher or an auditor, by its folder.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    /// A key file, or the vault that enrolling makes of it.
    pub(super) key: PathBuf,
    pub(super) unlock: Option<PathBuf>,
    pub(super) coordinator: String,
    pub(super) tls: ClientFiles,
    /// A site's journal: there are secrets in it, sealed by what is in the vault.
    pub(super) state: Option<PathBuf>,
    /// Whose commands are for it.
    pub(super) command: &'static str,
}

impl From<&SiteConfig> for Holder {
    fn from(config: &SiteConfig) -> Self {
        Self {
            key: config.key.clone(),
            unlock: config.unlock.clone(),
            coordinator: config.coordinator.clone(),
            tls: config.tls.clone(),
            state: Some(config.state.clone()),
            command: "participant",
        }
    }
}

/// What somebody signs with, and what its journal is sealed with where there is a vault.
pub(super) struct OpenKey {
    pub(super) key: SigningKey,
    pub(super) seal: Option<StateKey>,
}

/// Whose key it is; a vault says so without being opened.
pub(super) fn account_of(path: &Path) -> Result<Address, Failure> {
    match is_vault(path) {
        true => Ok(Address::from(read_vault(path).map_err(yours)?.account().map_err(yours)?)),
        false => Ok(load_key(path)?.address()),
    }
}

pub(super) fn vault(holder: &Holder) -> Result<Vault, Failure> {
    let Holder { key, command, .. } = holder;
    if key.exists() && !is_vault(key) {
        let text = format!("key = {key:?} is no vault yet: `almoner {command} enrol` makes one of it");
        return Err(Failure::you(text));
    }
    read_vault(key).map_err(yours)
}

/// What a vault would be opened with, by what lies there for it.
pub(super) fn unlock(holder: &Holder) -> Result<Option<(Unlock, Source)>, Failure> {
    Sources::of_process(holder.unlock.clone()).find().map_err(yours)
}

/// As [`unlock`], for whoever may be about to make the file that the settings name.
pub(super) fn unlock_if_there(holder: &Holder) -> Result<Option<(Unlock, Source)>, Failure> {
    let file = holder.unlock.clone().filter(|path| path.exists());
    Sources::of_process(file).find().map_err(yours)
}

/// A password that is typed, where nothing else is there.
pub(super) fn typed(question: &str) -> Result<Password, Failure> {
    if !terminal::is_attended() {
        return Err(Failure::you(NOTHING_OPENS_IT));
    }
    Ok(Password::new(terminal::ask(question)?))
}

/// What the agent needs of its key before it waits for anybody: a mistake is told at once.
pub(super) fn look_at(holder: &Holder) -> Result<(), Failure> {
    account_of(&holder.key)?;
    if is_vault(&holder.key) && unlock(holder)?.is_none() && !terminal::is_attended() {
        return Err(Failure::you(NOTHING_OPENS_IT));
    }
    Ok(())
}

/// Opens the vault, if it is one. A password needs the coordinator, who may be away.
pub(super) async fn open_key(holder: &Holder, patience: Patience) -> Result<OpenKey, Failure> {
    if !is_vault(&holder.key) {
        return Ok(OpenKey { key: load_key(&holder.key)?, seal: None });
    }
    let vault = vault(holder)?;
    let unlock = unlock(holder)?.map_or_else(|| typed_unlock(&vault), Ok)?;
    opened(&open(holder, &vault, unlock, patience).await?)
}

/// What somebody types where nothing lies there.
pub(super) fn typed_unlock(vault: &Vault) -> Result<(Unlock, Source), Failure> {
    Ok((Unlock::Password(typed(&password_of(vault)?)?), Source::Terminal))
}

/// What is asked for.
pub(super) fn password_of(vault: &Vault) -> Result<String, Failure> {
    Ok(format!("password of {}", Address::from(vault.account().map_err(yours)?)))
}

pub(super) fn opened(open: &OpenVault) -> Result<OpenKey, Failure> {
    let key = SigningKey::from_bytes(open.evm_key()).blame(Kind::You, "the key in the vault")?;
    Ok(OpenKey { key, seal: Some(open.state_key()) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Somebody is waiting for an answer.
    None,
    Endless,
}

pub(super) async fn open(
    holder: &Holder,
    vault: &Vault,
    (unlock, from): (Unlock, Source),
    patience: Patience,
) -> Result<OpenVault, Failure> {
    match unlock {
        Unlock::Secret(secret) => vault.open(&Opener::Unlock(&secret)).map_err(yours),
        Unlock::Password(password) => {
            let account = Address::from(vault.account().map_err(yours)?);
            let mut dialog = dialog(holder)?;
            let mut away = Outage::default();
            let export = loop {
                match dialog.login(account, password.clone()).await {
                    Err(error) if patience == Patience::Endless && matches!(error.kind(), ErrorKind::NotNow(_)) => {
                        let pause =
                            channel::patience(&mut away, "coordinator", &format_args!("to open the vault: {error}"));
                        // The coordinator may have said when.
                        tokio::time::sleep(error.kind().retry_after().unwrap_or_default().max(pause)).await;
                    }
                    Err(SiteError::Identity(IdentityError::WrongPassword)) => {
                        return Err(wrong_password(holder, account, &from));
                    }
                    done => break done.map_err(theirs)?,
                }
            };
            vault.open(&Opener::Password(&export)).map_err(yours)
        }
    }
}

fn wrong_password(holder: &Holder, account: Address, from: &Source) -> Failure {
    let Holder { key, command, .. } = holder;
    Failure::you(format!(
        "wrong password for {account} (key = {key:?}), {from}: try again; if it is lost, `almoner {command} recover` sets \
         a new one by the recovery code"
    ))
}

/// To the coordinator's desk, which takes an invitation or a password for a certificate.
pub(super) fn dialog(holder: &Holder) -> Result<Dialog, Failure> {
    let tls = client(holder.tls.unnamed())?;
    Dialog::new(dial_lazily(&tls, &holder.coordinator)?, tls, Stretch::STANDARD).map_err(theirs)
}

/// For the operator to mend.
pub(super) fn yours(error: almoner_identity::IdentityError) -> Failure {
    Failure::new(Kind::You, error)
}

/// What the coordinator does not do now is not for the operator to mend, and no error of ours.
pub(super) fn theirs(error: SiteError) -> Failure {
    let kind = match error.kind() {
        ErrorKind::NotNow(_) => Kind::Peer,
        kind => Kind::of(kind.blame()),
    };
    // The message of whoever refuses is in the error's own; told as its cause it would be said twice.
    Failure::new(kind, anyhow::anyhow!("{error}"))
}
