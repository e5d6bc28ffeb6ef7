//! The site's side of enrolment: what its vault opens with comes of it. Stretching a password takes a second of
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
use almoner_tls::Client as Tls;
use rand_chacha::ChaCha20Rng;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::{SiteError, system_rng};

/// By what right somebody registers.
#[derive(Debug)]
pub enum Admitted {
    By(Invitation),
    /// As an account that is enrolled and changes its password.
    AsEnrolled,
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
    ) -> Result<(ExportKey, RegisterFinishReply), SiteError> {
        let account = key.address();
        let own: Account = account.into_array();
        let (client, request) = Registering::start(password, &mut self.rng)?;
        let admission = match &admitted {
            Admitted::By(invitation) => Admission::Invitation(*invitation.secret()),
            Admitted::AsEnrolled => Admission::Signature(sign(key, may_register_again(&own, &request))?),
        };
        let request = wire::RegisterStartRequest::from(RegisterStartRequest { account, request, admission });
        let reply = self.client.register_start(request).await.map_err(refused)?.into_inner();
        let RegisterStartReply { credential, response } = reply.try_into()?;
        let (stretch, mut rng) = (self.stretch, system_rng()?);
        let (record, export) = stretched(move || client.finish(&own, &response, stretch, &mut rng)).await?;
        before(&export)?;
        let signature = sign(key, registers(&own, &credential, &record))?;
        let request = RegisterFinishRequest { credential, record, signature, csr };
        let reply = self.client.register_finish(wire::RegisterFinishRequest::from(request)).await.map_err(refused)?;
        Ok((export, reply.into_inner().try_into()?))
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
