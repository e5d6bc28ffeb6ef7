//! Registering a password and logging in: lengths are the suite's, what the bytes mean is for `almoner-identity`.

use almoner_protocol::Address;
use bytes::Bytes;

use super::field::{Fields, Signature};
use crate::wire::register_start_request::Admission as WireAdmission;
use crate::{FieldError, wire};

const MAX_CSR: usize = 8 << 10;
const MAX_CERTIFICATE: usize = 64 << 10;
const MAX_ROLE: usize = 32;

/// Why somebody may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The secret of an invitation.
    Invitation([u8; 16]),
    /// An enrolled account's, over its request.
    Signature(Signature),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterStartRequest {
    pub account: Address,
    pub request: [u8; 32],
    pub admission: Admission,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterStartReply {
    pub credential: [u8; 32],
    pub response: [u8; 64],
    /// Empty: a coordinator of before there were others than sites.
    pub role: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterFinishRequest {
    pub credential: [u8; 32],
    pub record: [u8; 192],
    pub signature: Signature,
    pub csr: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterFinishReply {
    pub certificate: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginStartRequest {
    pub account: Address,
    pub request: [u8; 96],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginStartReply {
    pub login: [u8; 16],
    pub response: [u8; 320],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginFinishRequest {
    pub login: [u8; 16],
    pub proof: [u8; 64],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewRequest {
    pub csr: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewReply {
    pub certificate: String,
}

fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

impl TryFrom<wire::RegisterStartRequest> for RegisterStartRequest {
    type Error = FieldError;

    fn try_from(wire: wire::RegisterStartRequest) -> Result<Self, FieldError> {
        let fields = Fields("RegisterStartRequest");
        let admission = match wire.admission {
            Some(WireAdmission::Invitation(secret)) => Admission::Invitation(fields.exactly("invitation", &secret)?),
            Some(WireAdmission::Signature(bytes)) => Admission::Signature(fields.signature(&bytes)?),
            None => return Err(fields.error("admission", "missing")),
        };
        Ok(Self {
            account: fields.account("account", &wire.account)?,
            request: fields.exactly("request", &wire.request)?,
            admission,
        })
    }
}

impl From<RegisterStartRequest> for wire::RegisterStartRequest {
    fn from(request: RegisterStartRequest) -> Self {
        let admission = match request.admission {
            Admission::Invitation(secret) => WireAdmission::Invitation(copied(&secret)),
            Admission::Signature(bytes) => WireAdmission::Signature(copied(&bytes)),
        };
        Self {
            account: copied(request.account.as_slice()),
            request: copied(&request.request),
            admission: Some(admission),
        }
    }
}

impl TryFrom<wire::RegisterStartReply> for RegisterStartReply {
    type Error = FieldError;

    fn try_from(wire: wire::RegisterStartReply) -> Result<Self, FieldError> {
        let fields = Fields("RegisterStartReply");
        let credential = fields.exactly("credential", &wire.credential)?;
        let role = fields.text("role", wire.role, MAX_ROLE)?;
        Ok(Self { credential, response: fields.exactly("response", &wire.response)?, role })
    }
}

impl From<RegisterStartReply> for wire::RegisterStartReply {
    fn from(reply: RegisterStartReply) -> Self {
        Self { credential: copied(&reply.credential), response: copied(&reply.response), role: reply.role }
    }
}

impl TryFrom<wire::RegisterFinishRequest> for RegisterFinishRequest {
    type Error = FieldError;

    fn try_from(wire: wire::RegisterFinishRequest) -> Result<Self, FieldError> {
        let fields = Fields("RegisterFinishRequest");
        let csr = fields.text("csr", wire.csr, MAX_CSR)?;
        Ok(Self {
            credential: fields.exactly("credential", &wire.credential)?,
            record: fields.exactly("record", &wire.record)?,
            signature: fields.signature(&wire.signature)?,
            csr: Some(csr).filter(|csr| !csr.is_empty()),
        })
    }
}

impl From<RegisterFinishRequest> for wire::RegisterFinishRequest {
    fn from(request: RegisterFinishRequest) -> Self {
        Self {
            credential: copied(&request.credential),
            record: copied(&request.record),
            signature: copied(&request.signature),
            csr: request.csr.unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::RegisterFinishReply> for RegisterFinishReply {
    type Error = FieldError;

    fn try_from(wire: wire::RegisterFinishReply) -> Result<Self, FieldError> {
        let text = Fields("RegisterFinishReply").text("certificate", wire.certificate, MAX_CERTIFICATE)?;
        Ok(Self { certificate: Some(text).filter(|text| !text.is_empty()) })
    }
}

impl From<RegisterFinishReply> for wire::RegisterFinishReply {
    fn from(reply: RegisterFinishReply) -> Self {
        Self { certificate: reply.certificate.unwrap_or_default() }
    }
}

impl TryFrom<wire::LoginStartRequest> for LoginStartRequest {
    type Error = FieldError;

    fn try_from(wire: wire::LoginStartRequest) -> Result<Self, FieldError> {
        let fields = Fields("LoginStartRequest");
        let account = fields.account("account", &wire.account)?;
        Ok(Self { account, request: fields.exactly("request", &wire.request)? })
    }
}

impl From<LoginStartRequest> for wire::LoginStartRequest {
    fn from(request: LoginStartRequest) -> Self {
        Self { account: copied(request.account.as_slice()), request: copied(&request.request) }
    }
}

impl TryFrom<wire::LoginStartReply> for LoginStartReply {
    type Error = FieldError;

    fn try_from(wire: wire::LoginStartReply) -> Result<Self, FieldError> {
        let fields = Fields("LoginStartReply");
        let login = fields.exactly("login", &wire.login)?;
        Ok(Self { login, response: fields.exactly("response", &wire.response)? })
    }
}

impl From<LoginStartReply> for wire::LoginStartReply {
    fn from(reply: LoginStartReply) -> Self {
        Self { login: copied(&reply.login), response: copied(&reply.response) }
    }
}

impl TryFrom<wire::LoginFinishRequest> for LoginFinishRequest {
    type Error = FieldError;

    fn try_from(wire: wire::LoginFinishRequest) -> Result<Self, FieldError> {
        let fields = Fields("LoginFinishRequest");
        let login = fields.exactly("login", &wire.login)?;
        Ok(Self { login, proof: fields.exactly("proof", &wire.proof)? })
    }
}

impl From<LoginFinishRequest> for wire::LoginFinishRequest {
    fn from(request: LoginFinishRequest) -> Self {
        Self { login: copied(&request.login), proof: copied(&request.proof) }
    }
}

impl TryFrom<wire::RenewRequest> for RenewRequest {
    type Error = FieldError;

    fn try_from(wire: wire::RenewRequest) -> Result<Self, FieldError> {
        Ok(Self { csr: Fields("RenewRequest").text("csr", wire.csr, MAX_CSR)? })
    }
}

impl From<RenewRequest> for wire::RenewRequest {
    fn from(request: RenewRequest) -> Self {
        Self { csr: request.csr }
    }
}

impl TryFrom<wire::RenewReply> for RenewReply {
    type Error = FieldError;

    fn try_from(wire: wire::RenewReply) -> Result<Self, FieldError> {
        Ok(Self { certificate: Fields("RenewReply").text("certificate", wire.certificate, MAX_CERTIFICATE)? })
    }
}

impl From<RenewReply> for wire::RenewReply {
    fn from(reply: RenewReply) -> Self {
        Self { certificate: reply.certificate }
    }
}
