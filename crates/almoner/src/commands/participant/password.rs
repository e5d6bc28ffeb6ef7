//! What is done with a vault that is there: trying its password, changing it, replacing one that is lost, and writing
//! what opens it with nobody there.

use std::path::{Path, PathBuf};

use almoner_identity::{
    Code, OpenVault, Opener, Password, RecoveryCode, Sources, Unlock, UnlockSecret, Vault, read_secret, write_private,
    write_vault,
};
use almoner_participant::{Admitted, SiteConfig, system_rng};
use almoner_protocol::Address;
use clap::Args;
use serde_json::json;

use super::enrol::{journal, print_code, sealed, typed_twice};
use super::settings;
use crate::commands::vault::{self, Patience, dialog, opened, theirs, typed, unlock_if_there, yours};
use crate::failure::Failure;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct LoginOptions {
    /// The site's settings. The agent must not run: what its journal still shows is sealed.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeOptions {
    /// The site's settings. The agent may run; it needs the password at its next start.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A file with the new password, for its owner's eyes only; else it is asked for.
    #[arg(long, value_name = "FILE")]
    new: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverOptions {
    /// The site's settings.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A file with the recovery code, for its owner's eyes only; else it is asked for.
    #[arg(long, value_name = "FILE")]
    code: Option<PathBuf>,
    /// A file with the new password, for its owner's eyes only; else it is asked for.
    #[arg(long, value_name = "FILE")]
    new: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnlockFileOptions {
    /// The site's settings.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file to write; it must not exist yet. Whoever has it and the vault has the key.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn login(options: LoginOptions) -> Result<(), Failure> {
    let config = settings(&options.config)?;
    let vault = vault::vault(&config.key)?;
    let journal = journal(&config)?;
    let open = vault::open(&config, &vault, Unlock::Password(current(&config)?), Patience::None).await?;
    let sealed = sealed(journal.as_ref(), &open.state_key())?;
    let account = Address::from(*open.account());
    if options.json {
        println!("{}", json!({ "schema": 1, "account": account, "vault": config.key, "sealed": sealed }));
    } else {
        println!("the password is right, and the vault {} opens: {account}", config.key.display());
        if sealed > 0 {
            println!("{sealed} values that lay open in {} are sealed now", config.state.display());
        }
    }
    Ok(())
}

pub(crate) async fn change(options: ChangeOptions) -> Result<(), Failure> {
    let config = settings(&options.config)?;
    let vault = vault::vault(&config.key)?;
    let open = vault::open(&config, &vault, Unlock::Password(current(&config)?), Patience::None).await?;
    renew(&config, vault, &open, options.new.as_deref(), options.json).await
}

pub(crate) async fn recover(options: RecoverOptions) -> Result<(), Failure> {
    let config = settings(&options.config)?;
    let vault = vault::vault(&config.key)?;
    let text = match &options.code {
        Some(path) => read_secret(path).map_err(yours)?,
        None if terminal::is_attended() => terminal::ask("recovery code")?,
        None => return Err(Failure::you("nobody is there to type the recovery code: --code FILE")),
    };
    let code = RecoveryCode::parse(&text).map_err(yours)?;
    let open = vault.open(&Opener::Recovery(&code)).map_err(yours)?;
    renew(&config, vault, &open, options.new.as_deref(), options.json).await
}

/// Registers a new password for an open vault. The vault opens with the old and the new one until the coordinator has
/// the new one, so that this can be stopped anywhere.
async fn renew(
    config: &SiteConfig,
    vault: Vault,
    open: &OpenVault,
    new: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let password = match new {
        Some(path) => Password::new(read_secret(path).map_err(yours)?).chosen().map_err(yours)?,
        None => typed_twice("new password of the site")?,
    };
    let key = opened(open)?.key;
    let path = &config.key;
    let both = |export: &_| {
        let both = vault.clone().and_password(open, export, &mut system_rng()?)?;
        write_vault(path, &both)?;
        almoner_failpoint::reached(|| "vault:both".into());
        Ok(())
    };
    let mut dialog = dialog(config, &config.coordinator)?;
    let registered = dialog.register(&key, password, Admitted::AsEnrolled, None, both);
    let (export, _) = registered.await.map_err(theirs)?;
    let mut rng = system_rng()?;
    let recovery: RecoveryCode = Code::draw(&mut rng);
    let code = recovery.to_text();
    let renewed = vault.with_password(open, &export, &recovery, &mut rng).map_err(yours)?;
    write_vault(path, &renewed).map_err(yours)?;
    if json {
        let (account, code) = (key.address(), code.as_str());
        println!("{}", json!({ "schema": 1, "account": account, "vault": path, "recovery_code": code }));
    } else {
        println!("the password of {} is changed; older copies of the vault do not open with it", key.address());
        print_code(&code);
        if let Ok(Some(Unlock::Password(_))) = Sources::of_process(config.unlock.clone()).find() {
            println!("change:         what the site reads the password from at its start");
        }
    }
    Ok(())
}

pub(crate) async fn unlock_file(options: UnlockFileOptions) -> Result<(), Failure> {
    let config = settings(&options.config)?;
    let vault = vault::vault(&config.key)?;
    let out = &options.out;
    if out.exists() {
        return Err(Failure::you(format!("--out {}: exists; choose another name", out.display())));
    }
    let unlock = unlock_if_there(&config)?.map_or_else(|| typed("password of the site").map(Unlock::Password), Ok)?;
    let open = vault::open(&config, &vault, unlock, Patience::None).await?;
    let mut rng = system_rng()?;
    let secret: UnlockSecret = Code::draw(&mut rng);
    let text = secret.to_text();
    write_private(out, text.as_bytes()).map_err(yours)?;
    write_vault(&config.key, &vault.with_unlock(&open, &secret, &mut rng).map_err(yours)?).map_err(yours)?;
    if options.json {
        let account = Address::from(*open.account());
        println!("{}", json!({ "schema": 1, "account": account, "vault": config.key, "unlock": out }));
    } else {
        println!("{} opens the vault {} with nobody there", out.display(), config.key.display());
        println!("keep it apart:  whoever has both has the key; an earlier unlock file opens nothing any more");
        println!("next:           unlock = {:?} in the settings, or give it to the service manager", out.display());
    }
    Ok(())
}

/// The password as it is now.
fn current(config: &SiteConfig) -> Result<Password, Failure> {
    match unlock_if_there(config)? {
        Some(Unlock::Password(password)) => Ok(password),
        _ => typed("password of the site"),
    }
}
