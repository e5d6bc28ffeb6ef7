//! A site's key, wherever it lies: in a plain file, or in a vault with something to open it.

use std::path::Path;

use almoner_chain::SigningKey;
use almoner_identity::{OpenVault, Opener, Password, Sources, StateKey, Stretch, Unlock, Vault, is_vault, read_vault};
use almoner_participant::{Dialog, SiteConfig, SiteError};
use almoner_proto::{ErrorKind, Kinded, Outage};
use almoner_protocol::Address;

use super::channel::{self, client, dial_lazily};
use super::files::load_key;
use crate::failure::{Blame, Failure, Kind};
use crate::terminal;

const NOTHING_OPENS_IT: &str = "nobody is there to type the vault's password: unlock = FILE, or ALMONER_UNLOCK, or the \
                                service manager's credential almoner-unlock";

/// What a site signs with, and what its journal is sealed with where there is a vault.
pub(super) struct SiteKey {
    pub(super) key: SigningKey,
    pub(super) seal: Option<StateKey>,
}

/// Whose key it is; a vault says so without being opened.
pub(super) fn account_of(path: &Path) -> Result<Address, Failure> {
    match is_vault(path) {
        true => Ok(Address::from(vault(path)?.account().map_err(yours)?)),
        false => Ok(load_key(path)?.address()),
    }
}

pub(super) fn vault(path: &Path) -> Result<Vault, Failure> {
    if path.exists() && !is_vault(path) {
        let text = format!("key = {path:?} is no vault yet: `almoner participant enrol` makes one of it");
        return Err(Failure::you(text));
    }
    read_vault(path).map_err(yours)
}

/// What a vault would be opened with, by what lies there for it.
pub(super) fn unlock(config: &SiteConfig) -> Result<Option<Unlock>, Failure> {
    Sources::of_process(config.unlock.clone()).find().map_err(yours)
}

/// As [`unlock`], for whoever may be about to make the file that the settings name.
pub(super) fn unlock_if_there(config: &SiteConfig) -> Result<Option<Unlock>, Failure> {
    let file = config.unlock.clone().filter(|path| path.exists());
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
pub(super) fn look_at(config: &SiteConfig) -> Result<(), Failure> {
    account_of(&config.key)?;
    if is_vault(&config.key) && unlock(config)?.is_none() && !terminal::is_attended() {
        return Err(Failure::you(NOTHING_OPENS_IT));
    }
    Ok(())
}

/// Opens the vault, if it is one. A password needs the coordinator, who may be away: it is waited for.
pub(super) async fn site_key(config: &SiteConfig) -> Result<SiteKey, Failure> {
    if !is_vault(&config.key) {
        return Ok(SiteKey { key: load_key(&config.key)?, seal: None });
    }
    let vault = vault(&config.key)?;
    let unlock = unlock(config)?.map_or_else(|| typed("password of the site").map(Unlock::Password), Ok)?;
    opened(&open(config, &vault, unlock, Patience::Endless).await?)
}

pub(super) fn opened(open: &OpenVault) -> Result<SiteKey, Failure> {
    let key = SigningKey::from_bytes(open.evm_key()).blame(Kind::You, "the key in the vault")?;
    Ok(SiteKey { key, seal: Some(open.state_key()) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Somebody is waiting for an answer.
    None,
    Endless,
}

pub(super) async fn open(
    config: &SiteConfig,
    vault: &Vault,
    unlock: Unlock,
    patience: Patience,
) -> Result<OpenVault, Failure> {
    match unlock {
        Unlock::Secret(secret) => vault.open(&Opener::Unlock(&secret)).map_err(yours),
        Unlock::Password(password) => {
            let account = Address::from(vault.account().map_err(yours)?);
            let mut dialog = dialog(config, &config.coordinator)?;
            let mut away = Outage::default();
            let export = loop {
                match dialog.login(account, password.clone()).await {
                    Err(error) if patience == Patience::Endless && matches!(error.kind(), ErrorKind::NotNow(_)) => {
                        let pause = channel::patience(&mut away, &format_args!("to open the vault: {error}"));
                        // The coordinator may have said when.
                        tokio::time::sleep(error.kind().retry_after().unwrap_or_default().max(pause)).await;
                    }
                    done => break done.map_err(theirs)?,
                }
            };
            vault.open(&Opener::Password(&export)).map_err(yours)
        }
    }
}

/// To the coordinator's desk, which takes an invitation or a password for a certificate.
pub(super) fn dialog(config: &SiteConfig, coordinator: &str) -> Result<Dialog, Failure> {
    let tls = client(config.tls.unnamed())?;
    Dialog::new(dial_lazily(&tls, coordinator)?, tls, Stretch::STANDARD).map_err(theirs)
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
