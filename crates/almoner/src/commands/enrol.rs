//! Enrolling, for a site as for a researcher or an auditor: the account's key goes into a vault, the vault's password to
//! the coordinator, who never sees it, and a certificate comes back where one is asked for.

use std::path::Path;

use almoner_identity::{
    Code, ExportKey, IdentityError, Invitation, Opener, Password, RecoveryCode, StateKey, Unlock, Vault, is_vault,
    prepare_vault,
};
use almoner_journal::Journal;
use almoner_participant::{Admitted, Registered, SiteError, seal_secrets, system_rng};
use almoner_protocol::Address;
use almoner_tls::Role;
use serde_json::{Value, json};

use super::channel::failure;
use super::files::load_key;
use super::key::fresh_key;
use super::password::{current, register_again};
use super::vault::{self, Holder, Patience, dialog, theirs, typed, unlock_if_there, yours};
use crate::failure::{Blame, Failure, Kind};

/// What came of it.
pub(super) struct Enrolled {
    account: Address,
    role: Role,
    recovery: RecoveryCode,
    /// Whether there was a vault already, and this is about the certificate that it lacked.
    again: bool,
    /// Whether a certificate was asked for.
    asked: bool,
    certificate: Option<String>,
}

/// By what right somebody enrols, and the request for a certificate.
struct Application {
    admitted: Admitted,
    csr: Option<String>,
}

/// Enrols the account whose key lies where the vault will be, or a new one where there is none, by an invitation to be
/// one of `to_be`; one that has a vault and lacks its certificate is given that. What can fail on this machine is tried
/// before the invitation is used up, and `say` is told once the vault is there: nobody else knows its recovery code.
pub(super) async fn enrol(
    holder: &Holder,
    invitation: &str,
    to_be: &'static [Role],
    say: impl FnOnce(&Enrolled),
) -> Result<Enrolled, Failure> {
    let invitation = Invitation::parse(invitation).blame(Kind::You, "--invitation")?;
    not_yet(holder)?;
    // The agent must not run meanwhile: it has the key and the seeds as they are now.
    let journal = journal(holder)?;
    let csr = holder.tls.request().map_err(|error| failure(&error))?;
    let application = Application { admitted: Admitted::By { invitation, to_be }, csr };
    let (enrolled, key) = match is_vault(&holder.key) {
        false => newly(holder, application).await?,
        true => once_more(holder, application).await?,
    };
    almoner_failpoint::reached(|| "enrol:vault".into());
    say(&enrolled);
    if let Some(certificate) = &enrolled.certificate {
        let kept = holder.tls.keep(certificate).map_err(|error| failure(&error));
        kept.map_err(|failure| without_certificate(failure, holder))?;
        almoner_failpoint::reached(|| "enrol:certificate".into());
    }
    sealed(journal.as_ref(), &key).map_err(|failure| unsealed(failure, holder))?;
    almoner_failpoint::reached(|| "enrol:sealed".into());
    Ok(enrolled)
}

async fn newly(holder: &Holder, application: Application) -> Result<(Enrolled, StateKey), Failure> {
    let path = &holder.key;
    let key = if path.exists() { load_key(path)? } else { fresh_key()? };
    let account = key.address();
    let password = chosen(holder, account)?;
    let mut rng = system_rng()?;
    let recovery: RecoveryCode = Code::draw(&mut rng);
    let mut ready = None;
    let beside = |export: &ExportKey| {
        let vault = Vault::create(account.into_array(), &key.to_bytes(), export, &recovery, &mut rng)?;
        ready = Some((prepare_vault(path, &vault)?, vault));
        Ok(())
    };
    // Until the vault is in its place the key is where it was. Should this process end in between, the account enrols
    // again, with another invitation.
    let Application { admitted, csr } = application;
    let asked = csr.is_some();
    let registered = dialog(holder)?.register(&key, password, admitted, csr, beside).await.map_err(theirs)?;
    almoner_failpoint::reached(|| "enrol:registered".into());
    let Some((prepared, vault)) = ready else { return Err(theirs(SiteError::Stopped)) };
    prepared.put().map_err(yours)?;
    let open = vault.open(&Opener::Recovery(&recovery)).map_err(yours)?;
    let Registered { role, certificate, .. } = registered;
    Ok((Enrolled { account, role, recovery, again: false, asked, certificate }, open.state_key()))
}

/// For whoever was stopped between the vault and the certificate. The same password is registered anew, because that is
/// what a certificate comes with.
async fn once_more(holder: &Holder, application: Application) -> Result<(Enrolled, StateKey), Failure> {
    let vault = vault::vault(holder)?;
    let (password, from) = current(holder, &vault)?;
    let open = vault::open(holder, &vault, (Unlock::Password(password.clone()), from), Patience::None).await?;
    let Application { admitted, csr } = application;
    let asked = csr.is_some();
    let (registered, recovery) = register_again(holder, vault, &open, password, admitted, csr).await?;
    let account = Address::from(*open.account());
    let Registered { role, certificate, .. } = registered;
    Ok((Enrolled { account, role, recovery, again: true, asked, certificate }, open.state_key()))
}

/// What goes wrong after the vault is written is said with what is left to do.
fn without_certificate(failure: Failure, holder: &Holder) -> Failure {
    let left = format!(
        "the account is enrolled and its key in the vault, but the certificate is not kept: mend that and run `almoner {} \
         enrol` again, with another invitation",
        holder.command
    );
    Failure { error: failure.error.context(left), ..failure }
}

fn unsealed(failure: Failure, holder: &Holder) -> Failure {
    let left = format!(
        "the account is enrolled and its key in the vault, but its journal is not sealed: mend that and run `almoner {} \
         login`",
        holder.command
    );
    Failure { error: failure.error.context(left), ..failure }
}

/// Refuses whoever has a vault already, and lacks nothing.
pub(super) fn not_yet(holder: &Holder) -> Result<(), Failure> {
    let Holder { key, command, .. } = holder;
    if !is_vault(key) || holder.tls.wants_certificate() {
        return Ok(());
    }
    let whose = if *command == "participant" { "this site" } else { "this account" };
    Err(Failure::you(format!(
        "key = {key:?} is a vault: {whose} is enrolled; `almoner {command} password` changes its password",
    )))
}

impl Enrolled {
    pub(super) fn say(&self, holder: &Holder, json: bool) {
        if json { println!("{}", self.document(holder)) } else { self.print(holder) }
    }

    fn document(&self, holder: &Holder) -> Value {
        let code = self.recovery.to_text();
        // Where it will be in a moment.
        let certificate = self.certificate.as_ref().and(holder.tls.certificate.as_ref());
        json!({
            "schema": 1, "account": self.account, "role": self.role.word(), "vault_file": holder.key,
            "recovery_code": code.as_str(), "certificate_file": certificate,
        })
    }

    /// All but the certificate and what to do next.
    fn print(&self, holder: &Holder) {
        let vault = holder.key.display();
        println!("{} is enrolled as {}; its key is in the vault {vault}", self.account, self.role);
        print_code(&self.recovery.to_text());
        if self.again {
            println!("                an earlier one opens nothing any more");
        }
        println!("back up:        {vault}, which is of no use to a thief");
        println!("destroy:        every copy of the plain key file there may be; whoever has one needs no password");
    }

    pub(super) fn print_certificate(&self, place: &str) {
        match (self.asked, &self.certificate) {
            (true, Some(_)) => println!("certificate:    it is {place}"),
            (true, None) => println!("certificate:    none is issued here; ask the operator for one"),
            (false, _) => {}
        }
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
        Some((Unlock::Password(password), _)) => password.chosen().map_err(yours),
        Some((Unlock::Secret(_), _)) => {
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
