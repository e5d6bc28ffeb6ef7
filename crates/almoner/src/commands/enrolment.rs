//! The coordinator's side of enrolment: its secrets, and invitations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use almoner_coordinator::{Enrolment, Issuer};
use almoner_identity::{Invitation, Server, fingerprint, read_server, write_server};
use almoner_journal::{Invitation as Record, Journal, invite};
use almoner_participant::system_rng;
use almoner_protocol::Address;
use almoner_tls::Authority;
use clap::{Args, ValueEnum};
use rand_core::Rng;
use serde_json::json;

use super::channel::failure;
use super::files::of_journal;
use super::vault::yours;
use crate::failure::Failure;

const DAY_S: u64 = 24 * 3600;

/// What somebody may be once enrolled.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Trains, serves on the committee, validates; enrols with `almoner participant enrol`.
    Site,
    /// Orders rounds; enrols with `almoner identity enrol`.
    Researcher,
    /// Looks on; enrols with `almoner identity enrol`.
    Auditor,
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The coordinator's settings.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// What its holder will be.
    #[arg(long, value_enum, default_value_t = Role::Site)]
    role: Role,
    /// The only account that may use it; whoever holds it may, if none is named.
    #[arg(long)]
    account: Option<Address>,
    /// How long it can be used.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=366))]
    expires_days: u64,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

impl Invite {
    pub(super) fn run(&self, state: &Path, secrets: Option<&Path>) -> Result<(), Failure> {
        if secrets.is_none() {
            return Err(Failure::you(
                "this coordinator enrols nobody: name a file for it, enrolment = \"enrolment.key\"",
            ));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let expires = now + self.expires_days * DAY_S;
        let (role, command) = match self.role {
            Role::Site => ("site", "participant"),
            Role::Researcher => ("researcher", "identity"),
            Role::Auditor => ("auditor", "identity"),
        };
        let invitation = Invitation::draw(&mut system_rng()?);
        let account = self.account.map(Address::into_array);
        let record = Record { role: role.into(), account, expires, used: None };
        invite(state, fingerprint(invitation.secret()), &record).map_err(|error| of_journal(state, error))?;
        let text = invitation.to_text();
        if self.json {
            let text = text.as_str();
            let account = self.account;
            println!(
                "{}",
                json!({ "schema": 1, "invitation": text, "role": role, "account": account, "expires": expires })
            );
        } else {
            println!("{}", text.as_str());
            let whom = self.account.map_or_else(|| "whoever has it".into(), |account| account.to_string());
            println!("for {whom}, once, within {} days; it is shown this once", self.expires_days);
            println!("it enrols as {role}, with almoner {command} enrol");
        }
        Ok(())
    }
}

/// The secrets in this file, or new ones where nobody has enrolled yet.
pub(super) fn open(path: &Path, journal: &Journal, authority: Option<&Path>) -> Result<Enrolment, Failure> {
    let issuer = authority.map(|dir| Authority::open(dir).map_err(|error| failure(&error))).transpose()?;
    let issuer = issuer.map(|authority| Arc::new(ByAuthority(authority)) as Arc<dyn Issuer>);
    let mut rng = system_rng()?;
    let server = match path.exists() {
        true => read_server(path).map_err(yours)?,
        false if journal.has_credentials()? => {
            return Err(Failure::you(format!(
                "enrolment = {path:?}: there is no such file, but sites have enrolled with it: put it back, without it \
                 none of them can log in"
            )));
        }
        false => {
            let server = Server::generate(&mut rng);
            write_server(path, &server).map_err(yours)?;
            server
        }
    };
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    Ok(Enrolment { server, seed, issuer })
}

/// Those who enrol get their certificate with it, and those whose certificate expires soon another one.
#[derive(Debug)]
struct ByAuthority(Authority);

/// How long such a certificate is good. Its site has it renewed in the last third of that.
const CERTIFICATE_DAYS: u32 = 365;

impl Issuer for ByAuthority {
    fn issue(&self, account: Address, role: &str, csr: &str) -> Result<String, String> {
        let issued = self.0.issue_from_csr(csr, role.parse()?, account, CERTIFICATE_DAYS);
        // A copy first: what nobody has cannot be revoked.
        let kept = issued.and_then(|issued| self.0.keep(&issued).map(|()| issued));
        kept.map_err(|error| error.to_string())
    }
}
