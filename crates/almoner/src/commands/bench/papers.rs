//! Certificates for a measured federation: an authority of its own, and what each role shows. Or none, in the clear.

use std::path::{Path, PathBuf};

use almoner_chain::SigningKey;
use almoner_protocol::Address;
use almoner_tls::{Authority, Client as Tls, ClientFiles, Handed, Role, TlsError};

use crate::commands::channel::{client, failure, introduce};
use crate::commands::key::fresh_key;
use crate::failure::Failure;

/// Longer than any measurement.
const DAYS: u32 = 2;

/// Who everybody is.
pub(super) struct Papers {
    dir: PathBuf,
    authority: Option<Authority>,
}

fn ours(error: TlsError) -> Failure {
    failure(&error)
}

impl Papers {
    /// Where everything goes in the clear.
    pub(super) fn none(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), authority: None }
    }

    pub(super) fn made(dir: &Path) -> Result<Self, Failure> {
        let authority = Authority::create(&dir.join("authority")).map_err(ours)?;
        Ok(Self { dir: dir.to_owned(), authority: Some(authority) })
    }

    /// What the coordinator's settings end with.
    pub(super) fn of_coordinator(&self, room: &Path) -> Result<String, Failure> {
        let Some(authority) = &self.authority else { return Ok(String::new()) };
        let issued = authority.issue_server(&["127.0.0.1".to_owned()], DAYS).map_err(ours)?;
        authority.hand_out(&room.join("tls"), &issued.certificate, Some(&issued.key)).map_err(ours)?;
        Ok("[tls]\ncertificate = \"tls/certificate.pem\"\nkey = \"tls/certificate.key\"\nclients_ca = \"tls/ca.pem\"\n"
            .to_owned())
    }

    /// What the settings of a role with this account end with.
    pub(super) fn of(&self, room: &Path, role: Role, account: Address) -> Result<String, Failure> {
        if self.handed(&room.join("tls"), role, account)?.is_none() {
            return Ok(String::new());
        }
        Ok("[tls]\nca = \"tls/ca.pem\"\ncertificate = \"tls/certificate.pem\"\nkey = \"tls/certificate.key\"\n"
            .to_owned())
    }

    fn handed(&self, room: &Path, role: Role, account: Address) -> Result<Option<Handed>, Failure> {
        let Some(authority) = &self.authority else { return Ok(None) };
        let issued = authority.issue(role, account, DAYS).map_err(ours)?;
        authority.hand_out(room, &issued.certificate, Some(&issued.key)).map(Some).map_err(ours)
    }

    /// Somebody in this process, with an account and a certificate of its own.
    pub(super) fn client(&self, name: &str, role: Role) -> Result<Tls, Failure> {
        let key: SigningKey = fresh_key()?;
        let Some(Handed { certificate, key: secret, ca }) = self.handed(&self.dir.join(name), role, key.address())?
        else {
            return client(ClientFiles::default());
        };
        let tls = client(ClientFiles { ca: Some(ca), certificate: Some(certificate), key: secret })?;
        introduce(&tls, key);
        Ok(tls)
    }
}
