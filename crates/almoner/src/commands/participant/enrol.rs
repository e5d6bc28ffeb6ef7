//! `almoner participant enrol`: the site's key goes into a vault, and the vault's password to the coordinator, who never
//! sees it.

use std::path::{Path, PathBuf};

use almoner_identity::{
    Code, IdentityError, Invitation, Opener, Password, RecoveryCode, StateKey, Unlock, Vault, is_vault, write_vault,
};
use almoner_journal::Journal;
use almoner_participant::{Admitted, SiteConfig, seal_secrets, system_rng};
use almoner_store::Url;
use clap::Args;
use serde_json::json;

use super::settings;
use crate::commands::channel::failure;
use crate::commands::files::load_key;
use crate::commands::key::fresh_key;
use crate::commands::vault::{dialog, theirs, typed, unlock_if_there, yours};
use crate::failure::{Blame, Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The site's settings. The file that `key` names becomes the vault; a key in it is kept, else one is made.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The coordinator, if it is not the one in the settings.
    #[arg(long, value_name = "URL")]
    coordinator: Option<Url>,
    /// As `almoner coordinator invite` printed it.
    #[arg(long, value_name = "TOKEN")]
    invitation: String,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let config = settings(&options.config)?;
    let coordinator = options.coordinator.as_ref().map_or(config.coordinator.as_str(), Url::as_str);
    let invitation = Invitation::parse(&options.invitation).blame(Kind::You, "--invitation")?;
    if is_vault(&config.key) {
        return Err(Failure::you(format!(
            "key = {:?} is a vault: this site is enrolled; `almoner participant password` changes its password",
            config.key
        )));
    }
    let key = if config.key.exists() { load_key(&config.key)? } else { fresh_key()? };
    // The agent must not run meanwhile: it has the key and the seeds as they are now.
    let journal = journal(&config)?;
    let password = chosen(&config)?;
    // Until the vault is written the key is where it was. Should this process end in between, the account enrols again,
    // with another invitation.
    let mut dialog = dialog(&config, coordinator)?;
    let request = config.tls.wants_certificate().then(almoner_tls::request).transpose();
    let request = request.map_err(|error| failure(&error))?;
    let csr = request.as_ref().map(|(csr, _)| csr.clone());
    let registered = dialog.register(&key, password, Admitted::By(invitation), csr, |_| Ok(()));
    let (export, reply) = registered.await.map_err(theirs)?;
    let mut rng = system_rng()?;
    let recovery: RecoveryCode = Code::draw(&mut rng);
    let account = key.address();
    let vault = Vault::create(account.into_array(), &key.to_bytes(), &export, &recovery, &mut rng).map_err(yours)?;
    write_vault(&config.key, &vault).map_err(yours)?;
    let open = vault.open(&Opener::Recovery(&recovery)).map_err(yours)?;
    sealed(journal.as_ref(), &open.state_key())?;
    if let (Some((_, secret)), Some(certificate)) = (&request, &reply.certificate) {
        config.tls.keep(certificate, secret).map_err(|error| failure(&error))?;
    }
    let code = recovery.to_text();
    if options.json {
        let (vault, code) = (&config.key, code.as_str());
        let certificate = reply.certificate;
        println!(
            "{}",
            json!({ "schema": 1, "account": account, "vault": vault, "recovery_code": code, "certificate": certificate })
        );
    } else {
        println!("{account} is enrolled; its key is in the vault {}", config.key.display());
        match (&request, &reply.certificate) {
            (Some(_), Some(_)) => println!("certificate:    it is where [tls] names it"),
            (Some(_), None) => println!("certificate:    none is issued here; ask the operator for one"),
            (None, _) => {}
        }
        print_code(&code);
        println!("back up:        {}, which is of no use to a thief", config.key.display());
        println!("destroy:        every copy of the plain key file there may be; whoever has one needs no password");
        println!("next:           almoner participant unlock-file, for a site that starts with nobody there");
    }
    Ok(())
}

/// The one time that it is shown.
pub(super) fn print_code(code: &str) {
    println!("recovery code:  {code}");
    println!(
        "                opens the vault when the password is lost; write it down, keep it somewhere else than this"
    );
    println!("                machine: it is shown this once, and without it and the password nobody can be paid");
}

/// The journal, if there is one yet; refused while the agent has it.
pub(super) fn journal(config: &SiteConfig) -> Result<Option<Journal>, Failure> {
    let open = |path: &Path| Journal::open(path).blame(Kind::You, format!("state = {path:?}"));
    config.state.exists().then(|| open(&config.state)).transpose()
}

/// Seals what lies open in the journal.
pub(super) fn sealed(journal: Option<&Journal>, key: &StateKey) -> Result<usize, Failure> {
    let sealed = journal.map(|journal| seal_secrets(journal, key)).transpose();
    Ok(sealed.map_err(theirs)?.unwrap_or_default())
}

/// A password for a vault that is about to be made: what lies there for it, or what is typed, twice.
fn chosen(config: &SiteConfig) -> Result<Password, Failure> {
    match unlock_if_there(config)? {
        Some(Unlock::Password(password)) => password.chosen().map_err(yours),
        Some(Unlock::Secret(_)) => {
            Err(Failure::you("an unlock secret opens a vault that is there; enrolling needs a password"))
        }
        None => typed_twice("password of the site"),
    }
}

pub(super) fn typed_twice(question: &str) -> Result<Password, Failure> {
    let password = typed(question)?.chosen().map_err(yours)?;
    match typed("once more")? == password {
        true => Ok(password),
        false => Err(yours(IdentityError::PasswordsDiffer)),
    }
}
