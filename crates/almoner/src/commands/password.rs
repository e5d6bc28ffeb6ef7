//! What is done with a vault that is there, a site's or another's: trying its password, changing it, replacing one that
//! is lost, and writing what opens it with nobody there.

use std::path::{Path, PathBuf};

use almoner_identity::{
    Code, OpenVault, Opener, Password, RecoveryCode, Source, Sources, Unlock, UnlockSecret, Vault, read_secret,
    write_private, write_vault,
};
use almoner_participant::{Admitted, Registered, system_rng};
use almoner_protocol::Address;
use clap::Args;
use serde_json::json;

use super::enrol::{journal, print_code, sealed, typed_twice};
use super::vault::{
    self, Holder, Patience, dialog, opened, password_of, theirs, typed, typed_unlock, unlock_if_there, yours,
};
use crate::failure::Failure;
use crate::terminal;

/// What a command line names whose vault it is by.
pub(crate) trait Whose: Args {
    fn holder(&self) -> Result<Holder, Failure>;
}

#[derive(Debug, Args)]
pub(crate) struct LoginOptions<W: Whose> {
    #[command(flatten)]
    whose: W,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeOptions<W: Whose> {
    #[command(flatten)]
    whose: W,
    /// A file with the new password, for its owner's eyes only; else it is asked for.
    #[arg(long, value_name = "FILE")]
    new: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverOptions<W: Whose> {
    #[command(flatten)]
    whose: W,
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
pub(crate) struct UnlockFileOptions<W: Whose> {
    #[command(flatten)]
    whose: W,
    /// The file to write; it must not exist yet. Whoever has it and the vault has the key.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn login<W: Whose>(options: LoginOptions<W>) -> Result<(), Failure> {
    let holder = options.whose.holder()?;
    let vault = vault::vault(&holder)?;
    let journal = journal(&holder)?;
    let (password, from) = current(&holder, &vault)?;
    let open = vault::open(&holder, &vault, (Unlock::Password(password), from), Patience::None).await?;
    let sealed = sealed(journal.as_ref(), &open.state_key())?;
    let account = Address::from(*open.account());
    if options.json {
        println!("{}", json!({ "schema": 1, "account": account, "vault_file": holder.key, "sealed": sealed }));
    } else {
        println!("the password is right, and the vault {} opens: {account}", holder.key.display());
        if let (1.., Some(state)) = (sealed, &holder.state) {
            println!("{sealed} values that lay open in {} are sealed now", state.display());
        }
    }
    Ok(())
}

pub(crate) async fn change<W: Whose>(options: ChangeOptions<W>) -> Result<(), Failure> {
    let holder = options.whose.holder()?;
    let vault = vault::vault(&holder)?;
    let (password, from) = current(&holder, &vault)?;
    let open = vault::open(&holder, &vault, (Unlock::Password(password), from), Patience::None).await?;
    renew(&holder, vault, &open, options.new.as_deref(), options.json).await
}

pub(crate) async fn recover<W: Whose>(options: RecoverOptions<W>) -> Result<(), Failure> {
    let holder = options.whose.holder()?;
    let vault = vault::vault(&holder)?;
    let text = match &options.code {
        Some(path) => read_secret(path).map_err(yours)?,
        None if terminal::is_attended() => terminal::ask("recovery code")?,
        None => return Err(Failure::you("nobody is there to type the recovery code: --code FILE")),
    };
    let code = RecoveryCode::parse(&text).map_err(yours)?;
    let open = vault.open(&Opener::Recovery(&code)).map_err(yours)?;
    renew(&holder, vault, &open, options.new.as_deref(), options.json).await
}

async fn renew(holder: &Holder, vault: Vault, open: &OpenVault, new: Option<&Path>, json: bool) -> Result<(), Failure> {
    let password = match new {
        Some(path) => Password::new(read_secret(path).map_err(yours)?).chosen().map_err(yours)?,
        None => typed_twice(&format!("new {}", password_of(&vault)?))?,
    };
    let (_, recovery) = register_again(holder, vault, open, password, Admitted::AsEnrolled, None).await?;
    let (account, path, code) = (Address::from(*open.account()), &holder.key, recovery.to_text());
    if json {
        let code = code.as_str();
        println!("{}", json!({ "schema": 1, "account": account, "vault_file": path, "recovery_code": code }));
    } else {
        println!("the password of {account} is changed; older copies of the vault do not open with it");
        print_code(&code);
        if let Ok(Some((Unlock::Password(_), _))) = Sources::of_process(holder.unlock.clone()).find() {
            println!("change:         what the password is read from when nobody is there");
        }
    }
    Ok(())
}

/// Registers a password for an open vault, which has another recovery code then. The vault opens with the old and the
/// new password until the coordinator has the new one, so that this can be stopped anywhere.
pub(super) async fn register_again(
    holder: &Holder,
    vault: Vault,
    open: &OpenVault,
    password: Password,
    admitted: Admitted,
    csr: Option<String>,
) -> Result<(Registered, RecoveryCode), Failure> {
    let (key, path) = (opened(open)?.key, &holder.key);
    let both = |export: &_| {
        let both = vault.clone().and_password(open, export, &mut system_rng()?)?;
        write_vault(path, &both)?;
        almoner_failpoint::reached(|| "vault:both".into());
        Ok(())
    };
    let registered = dialog(holder)?.register(&key, password, admitted, csr, both).await.map_err(theirs)?;
    let mut rng = system_rng()?;
    let recovery: RecoveryCode = Code::draw(&mut rng);
    let renewed = vault.with_password(open, &registered.export, &recovery, &mut rng).map_err(yours)?;
    write_vault(path, &renewed).map_err(yours)?;
    Ok((registered, recovery))
}

pub(crate) async fn unlock_file<W: Whose>(options: UnlockFileOptions<W>) -> Result<(), Failure> {
    let holder = options.whose.holder()?;
    let vault = vault::vault(&holder)?;
    let out = &options.out;
    if out.exists() {
        return Err(Failure::you(format!("--out {}: exists; choose another name", out.display())));
    }
    let unlock = unlock_if_there(&holder)?;
    let unlock = unlock.map_or_else(|| typed_unlock(&vault), Ok)?;
    let open = vault::open(&holder, &vault, unlock, Patience::None).await?;
    let mut rng = system_rng()?;
    let secret: UnlockSecret = Code::draw(&mut rng);
    let text = secret.to_text();
    write_private(out, text.as_bytes()).map_err(yours)?;
    write_vault(&holder.key, &vault.with_unlock(&open, &secret, &mut rng).map_err(yours)?).map_err(yours)?;
    if options.json {
        let account = Address::from(*open.account());
        println!("{}", json!({ "schema": 1, "account": account, "vault_file": holder.key, "unlock_file": out }));
    } else {
        println!("{} opens the vault {} with nobody there", out.display(), holder.key.display());
        // From wherever the settings are read.
        let out = std::path::absolute(out)?;
        println!("keep it apart:  whoever has both has the key; an earlier unlock file opens nothing any more");
        println!("next:           unlock = {out:?} in the settings, or give it to the service manager");
    }
    Ok(())
}

/// The password as it is now.
pub(super) fn current(holder: &Holder, vault: &Vault) -> Result<(Password, Source), Failure> {
    match unlock_if_there(holder)? {
        Some((Unlock::Password(password), from)) => Ok((password, from)),
        _ => Ok((typed(&password_of(vault)?)?, Source::Terminal)),
    }
}
