//! `almoner coordinator authority`, `issue`, `revoke`: who a federation's callers are, by certificates.

use std::path::{Path, PathBuf};

use almoner_protocol::Address;
use almoner_tls::{Authority, Handed, Role, TlsError};
use clap::Args;
use serde_json::json;

use super::channel::failure;
use crate::failure::{Blame, Failure, Kind};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The folder to make it in; keep it off the coordinator's machine if you can.
    #[arg(long)]
    dir: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// The folder of the authority.
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    #[command(flatten)]
    to: To,
    /// The holder's account on chain; a site may speak for no other.
    #[arg(long, requires = "role", required_unless_present = "server")]
    account: Option<Address>,
    /// A request for a certificate (PKCS #10, PEM); only its key is taken from it. Without it a key is made.
    #[arg(long, value_name = "FILE", requires = "role")]
    csr: Option<PathBuf>,
    /// How long it is valid.
    #[arg(long, value_name = "N", default_value_t = 90)]
    days: u32,
    /// The folder to write to; nothing in it is overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// What the holder is: operator, researcher, site or auditor.
    #[arg(long)]
    role: Option<Role>,
    /// A name or address that the coordinator is reached at, for its own certificate; may be repeated.
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The folder of the authority.
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// The certificate to take back.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

/// What goes wrong here is the operator's to mend.
fn mend(error: TlsError) -> Failure {
    failure(&error)
}

/// Whoever names none is told how one is made.
fn opened(dir: &Path) -> Result<Authority, Failure> {
    if super::files::is_absent(dir) {
        let dir = dir.display();
        let text =
            format!("--authority {dir}: there is no such folder; almoner coordinator authority --dir {dir} makes one");
        return Err(Failure::you(text));
    }
    Authority::open(dir).map_err(mend)
}

impl Create {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let authority = Authority::create(&self.dir).map_err(mend)?;
        let [ca, key, revoked] = [authority.certificate_file(), authority.key_file(), authority.revoked_file()];
        if self.json {
            println!("{}", json!({ "schema": 1, "ca_file": ca, "key_file": key, "revoked_file": revoked }));
            return Ok(());
        }
        let dir = self.dir.display();
        println!("{:<30} for everybody: it is what they hold each other's certificates against", ca.display());
        println!("{:<30} back it up and show it to nobody: whoever has it can be anybody", key.display());
        println!("{:<30} for the coordinator: what was revoked, empty so far", revoked.display());
        println!("next: almoner coordinator issue --authority {dir} --server NAME --out DIR, then one per --role");
        Ok(())
    }
}

impl Issue {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let authority = opened(&self.authority)?;
        let (certificate, key) = self.made(&authority)?;
        let files = authority.hand_out(&self.out, &certificate, key.as_ref().map(|key| key.as_str())).map_err(mend)?;
        if self.json {
            println!("{}", self.document(&files));
        } else {
            self.print(&files);
        }
        Ok(())
    }

    fn made(&self, authority: &Authority) -> Result<(String, Option<almoner_tls::Secret>), Failure> {
        let issued = match (self.to.role, self.account, &self.csr) {
            (Some(role), Some(account), Some(csr)) => {
                let text = super::files::read_text(csr)?;
                let certificate = authority.issue_from_csr(&text, role, account, self.days);
                return Ok((certificate.blame(Kind::You, csr.display().to_string())?, None));
            }
            (Some(role), Some(account), None) => authority.issue(role, account, self.days),
            // The parser asks for an account beside a role.
            _ => authority.issue_server(&self.to.server, self.days),
        };
        let issued = issued.map_err(mend)?;
        Ok((issued.certificate, Some(issued.key)))
    }

    fn document(&self, files: &Handed) -> serde_json::Value {
        json!({
            "schema": 1,
            "role": self.to.role.map(Role::word),
            "account": self.account,
            "server": self.to.server,
            "days": self.days,
            "certificate_file": files.certificate,
            "key_file": files.key,
            "ca_file": files.ca,
        })
    }

    fn print(&self, files: &Handed) {
        let whose = match (self.to.role, self.account) {
            (Some(role), Some(account)) => format!("{role} {account}"),
            _ => format!("the coordinator at {}", self.to.server.join(", ")),
        };
        println!("{}: {whose}, for {} days", files.certificate.display(), self.days);
        if let Some(key) = &files.key {
            println!("{}: its key, for its holder only", key.display());
        }
        println!("{}: what the other side is held against", files.ca.display());
    }
}

impl Revoke {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let authority = opened(&self.authority)?;
        let revoked = authority.revoke(&self.certificate).map_err(mend)?;
        let list = authority.revoked_file();
        let (role, account) = revoked.peer.named.unzip();
        if self.json {
            println!(
                "{}",
                json!({
                    "schema": 1, "role": role.map(Role::word), "account": account,
                    "fingerprint": revoked.peer.fingerprint, "revoked_file": list, "listed": revoked.listed,
                })
            );
            return Ok(());
        }
        let whose = role.zip(account).map_or_else(String::new, |(role, account)| format!(", {role} {account},"));
        println!("{}{whose} is revoked", self.certificate.display());
        println!("{}: {} on the list; put it where the coordinator's `revoked` says", list.display(), revoked.listed);
        Ok(())
    }
}
