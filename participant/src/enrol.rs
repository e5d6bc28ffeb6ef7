//! Enrolment as sites, researchers and auditors see it: what its vault opens with comes of it. Stretching a password takes a second of
//! computing, off the executor.

use almoner_chain::SigningKey;
use almoner_identity::{
    Account, ExportKey, IdentityError, Invitation, LoggingIn, Password, Registering, Stretch, may_register_again,
    registers,
};
use almoner_proto::wire::enrolment_client::EnrolmentClient;
use almoner_proto::{
    Admission, LoginFinishRequest, LoginStartReply, LoginStartRequest, RegisterFinishReply, RegisterFinishRequest,
    RegisterStartReply, RegisterStartRequest, enrolment_client, wire,
};
use almoner_protocol::{Address, B256};
use almoner_tls::{Client as Tls, Role};
use rand_chacha::ChaCha20Rng;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::{SiteError, system_rng};

/// By what right somebody registers.
#[derive(Debug)]
pub enum Admitted {
    /// As one of these: an invitation to be something else is left unused.
    By { invitation: Invitation, to_be: &'static [Role] },
    /// As an account that is enrolled and changes its password.
    AsEnrolled,
}

impl Admitted {
    /// What the coordinator makes of whoever is admitted so, if that is what was meant.
    fn is_as(&self, said: &str) -> Result<Role, SiteError> {
        // A coordinator of before there were others enrols sites.
        let said = if said.is_empty() { Role::Site.word() } else { said };
        let role = said.parse().ok();
        let meant = |role: &Role| match self {
            Self::By { to_be, .. } => to_be.contains(role),
            Self::AsEnrolled => true,
        };
        role.filter(meant).ok_or_else(|| {
            let command = if role == Some(Role::Site) { "participant" } else { "identity" };
            SiteError::InvitedAs { role: said.to_owned(), command }
        })
    }
}

/// What came of a registration.
#[derive(Debug)]
pub struct Registered {
    /// What a vault opens with.
    pub export: ExportKey,
    pub role: Role,
    /// In PEM, if one was asked for and the coordinator issues some.
    pub certificate: Option<String>,
}

/// A conversation with a coordinator.
#[derive(Debug)]
pub struct Dialog {
    client: EnrolmentClient<Channel>,
    /// What the channel is made by: it knows whom it reached.
    tls: Tls,
    stretch: Stretch,
    rng: ChaCha20Rng,
}

impl Dialog {
    pub fn new(channel: Channel, tls: Tls, stretch: Stretch) -> Result<Self, SiteError> {
        Ok(Self { client: enrolment_client(channel), tls, stretch, rng: system_rng()? })
    }

    /// Registers a password for the account of `key`. The coordinator keeps it only after `before` has kept what opens
    /// with it: otherwise a site that is stopped in between would have a password that opens nothing.
    pub async fn register(
        &mut self,
        key: &SigningKey,
        password: Password,
        admitted: Admitted,
        csr: Option<String>,
        before: impl FnOnce(&ExportKey) -> Result<(), SiteError>,
    ) -> Result<Registered, SiteError> {
        let account = key.address();
        let own: Account = account.into_array();
        let (client, request) = Registering::start(password, &mut self.rng)?;
        let admission = match &admitted {
            Admitted::By { invitation, .. } => Admission::Invitation(*invitation.secret()),
            Admitted::AsEnrolled => Admission::Signature(sign(key, may_register_again(&own, &request))?),
        };
        let request = wire::RegisterStartRequest::from(RegisterStartRequest { account, request, admission });
        let reply = self.client.register_start(request).await.map_err(refused)?.into_inner();
        let RegisterStartReply { credential, response, role } = reply.try_into()?;
        let role = admitted.is_as(&role)?;
        let (stretch, mut rng) = (self.stretch, system_rng()?);
        let (record, export) = stretched(move || client.finish(&own, &response, stretch, &mut rng)).await?;
        before(&export)?;
        let signature = sign(key, registers(&own, &credential, &record))?;
        let request = RegisterFinishRequest { credential, record, signature, csr };
        let reply = self.client.register_finish(wire::RegisterFinishRequest::from(request)).await.map_err(refused)?;
        let RegisterFinishReply { certificate } = reply.into_inner().try_into()?;
        Ok(Registered { export, role, certificate })
    }

    /// Proves the password, and returns what the vault opens with.
    pub async fn login(&mut self, account: Address, password: Password) -> Result<ExportKey, SiteError> {
        let own: Account = account.into_array();
        let (client, request) = LoggingIn::start(password, &mut self.rng)?;
        let request = wire::LoginStartRequest::from(LoginStartRequest { account, request });
        let reply = self.client.login_start(request).await.map_err(refused)?.into_inner();
        let LoginStartReply { login, response } = reply.try_into()?;
        let (stretch, mut rng) = (self.stretch, system_rng()?);
        // Nobody in between who has another certificate can pass this on.
        let line = self.tls.server();
        let finish =
            move || client.finish(&own, line.as_ref().map_or(&[], B256::as_slice), &response, stretch, &mut rng);
        let (proof, export) = stretched(finish).await?;
        let request = wire::LoginFinishRequest::from(LoginFinishRequest { login, proof });
        self.client.login_finish(request).await.map_err(refused)?;
        Ok(export)
    }
}

async fn stretched<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IdentityError> + Send + 'static,
) -> Result<T, SiteError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| SiteError::Stopped)??)
}

fn sign(key: &SigningKey, digest: [u8; 32]) -> Result<[u8; 65], SiteError> {
    Ok(key.sign_hash(B256::from(digest))?)
}

fn refused(status: Status) -> SiteError {
    match status.code() {
        Code::Unimplemented => SiteError::NoEnrolment,
        _ => status.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_to_be_something_else_says_what_it_is_used_with() {
        let admitted = |to_be| Admitted::By { invitation: Invitation::from_secret([1; 16]), to_be };
        let site = admitted(&[Role::Site]);
        assert_eq!((site.is_as("site").unwrap(), site.is_as("").unwrap()), (Role::Site, Role::Site));
        let said = |admitted: &Admitted, role| admitted.is_as(role).unwrap_err().to_string();
        let text = "this invitation enrols as auditor; it is not used up: use it with `almoner identity enrol`";
        assert_eq!(said(&site, "auditor"), text);
        let others = admitted(&[Role::Researcher, Role::Auditor]);
        assert_eq!(others.is_as("researcher").unwrap(), Role::Researcher);
        assert!(said(&others, "site").contains("`almoner participant enrol`"));
        assert!(matches!(others.is_as("king"), Err(SiteError::InvitedAs { role, .. }) if role == "king"));
        assert_eq!(Admitted::AsEnrolled.is_as("auditor").unwrap(), Role::Auditor);
    }
}
