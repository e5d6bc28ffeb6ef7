//! Enrolling, for a site as for a researcher or an auditor: the account's key goes into a vault, the vault's password to
//! the coordinator, who never sees it, and a certificate comes back where one is asked for.

use std::path::Path;

use almoner_identity::{
    Code, IdentityError, Invitation, Opener, Password, RecoveryCode, StateKey, Unlock, Vault, is_vault, write_vault,
};
use almoner_journal::Journal;
use almoner_participant::{Admitted, Registered, seal_secrets, system_rng};
use almoner_protocol::Address;
use almoner_tls::Role;
use serde_json::{Value, json};

use super::channel::failure;
use super::files::load_key;
use super::key::fresh_key;
use super::vault::{Holder, dialog, theirs, typed, unlock_if_there, yours};
use crate::failure::{Blame, Failure, Kind};

/// What came of it.
pub(super) struct Enrolled {
    account: Address,
    role: Role,
    recovery: RecoveryCode,
    /// Whether a certificate was asked for.
    asked: bool,
    certificate: Option<String>,
}

/// Enrols the account whose key lies where the vault will be, or a new one where there is none, by an invitation to be
/// one of `to_be`.
pub(super) async fn enrol(
    holder: &Holder,
    coordinator: &str,
    invitation: &str,
    to_be: &'static [Role],
) -> Result<Enrolled, Failure> {
    let invitation = Invitation::parse(invitation).blame(Kind::You, "--invitation")?;
    not_yet(holder)?;
    let path = &holder.key;
    let key = if path.exists() { load_key(path)? } else { fresh_key()? };
    // The agent must not run meanwhile: it has the key and the seeds as they are now.
    let journal = journal(holder)?;
    let account = key.address();
    let password = chosen(holder, account)?;
    // Until the vault is written the key is where it was. Should this process end in between, the account enrols again,
    // with another invitation.
    let mut dialog = dialog(holder, coordinator)?;
    let request = holder.tls.wants_certificate().then(almoner_tls::request).transpose();
    let request = request.map_err(|error| failure(&error))?;
    let csr = request.as_ref().map(|(csr, _)| csr.clone());
    let registered = dialog.register(&key, password, Admitted::By { invitation, to_be }, csr, |_| Ok(()));
    let Registered { export, role, certificate } = registered.await.map_err(theirs)?;
    let mut rng = system_rng()?;
    let recovery: RecoveryCode = Code::draw(&mut rng);
    let vault = Vault::create(account.into_array(), &key.to_bytes(), &export, &recovery, &mut rng).map_err(yours)?;
    write_vault(path, &vault).map_err(yours)?;
    let open = vault.open(&Opener::Recovery(&recovery)).map_err(yours)?;
    sealed(journal.as_ref(), &open.state_key())?;
    if let (Some((_, secret)), Some(certificate)) = (&request, &certificate) {
        holder.tls.keep(certificate, secret).map_err(|error| failure(&error))?;
    }
    Ok(Enrolled { account, role, recovery, asked: request.is_some(), certificate })
}

/// Refuses whoever has a vault already.
pub(super) fn not_yet(holder: &Holder) -> Result<(), Failure> {
    let Holder { key, command, .. } = holder;
    if !is_vault(key) {
        return Ok(());
    }
    let whose = if *command == "participant" { "this site" } else { "this account" };
    Err(Failure::you(format!(
        "key = {key:?} is a vault: {whose} is enrolled; `almoner {command} password` changes its password",
    )))
}

impl Enrolled {
    pub(super) fn document(&self, holder: &Holder) -> Value {
        let code = self.recovery.to_text();
        json!({
            "schema": 1, "account": self.account, "role": self.role.word(), "vault": holder.key,
            "recovery_code": code.as_str(), "certificate": self.certificate,
        })
    }

    /// All but what to do next.
    pub(super) fn print(&self, holder: &Holder, certificate: &str) {
        let vault = holder.key.display();
        println!("{} is enrolled as {}; its key is in the vault {vault}", self.account, self.role);
        match (self.asked, &self.certificate) {
            (true, Some(_)) => println!("certificate:    it is {certificate}"),
            (true, None) => println!("certificate:    none is issued here; ask the operator for one"),
            (false, _) => {}
        }
        print_code(&self.recovery.to_text());
        println!("back up:        {vault}, which is of no use to a thief");
        println!("destroy:        every copy of the plain key file there may be; whoever has one needs no password");
    }
}

/// The one time that it is shown.
pub(super) fn print_code(code: &str) {
    println!("recovery code:  {code}");
    println!(
        "                opens the vault when the password is lost; write it down, keep it somewhere else than this"
    );
    println!("                machine: it is shown this once, and without it and the password nobody can be paid");
}

/// A site's journal, if there is one yet; refused while the agent has it.
pub(super) fn journal(holder: &Holder) -> Result<Option<Journal>, Failure> {
    let open = |path: &Path| Journal::open(path).blame(Kind::You, format!("state = {path:?}"));
    holder.state.as_deref().filter(|path| path.exists()).map(open).transpose()
}

/// Seals what lies open in the journal.
pub(super) fn sealed(journal: Option<&Journal>, key: &StateKey) -> Result<usize, Failure> {
    let sealed = journal.map(|journal| seal_secrets(journal, key)).transpose();
    Ok(sealed.map_err(theirs)?.unwrap_or_default())
}

/// A password for a vault that is about to be made: what lies there for it, or what is typed, twice.
fn chosen(holder: &Holder, account: Address) -> Result<Password, Failure> {
    match unlock_if_there(holder)? {
        Some(Unlock::Password(password)) => password.chosen().map_err(yours),
        Some(Unlock::Secret(_)) => {
            Err(Failure::you("an unlock secret opens a vault that is there; enrolling needs a password"))
        }
        None => typed_twice(&format!("password for {account}")),
    }
}

pub(super) fn typed_twice(question: &str) -> Result<Password, Failure> {
    let password = typed(question)?.chosen().map_err(yours)?;
    match typed("once more")? == password {
        true => Ok(password),
        false => Err(yours(IdentityError::PasswordsDiffer)),
    }
}
