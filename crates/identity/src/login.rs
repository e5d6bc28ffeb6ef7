//! A client's half of a login. Whether the password was right shows here first, and only here.

use std::fmt;

use opaque_ke::errors::ProtocolError;
use opaque_ke::{ClientLogin, ClientLoginFinishParameters, CredentialResponse};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::rng::Older;
use crate::suite::{Suite, array, context, identifiers, message};
use crate::{Account, ExportKey, IdentityError, LOGIN_FINISH, LOGIN_REPLY, LOGIN_START, Password, Stretch};

/// Waits for the server's answer.
pub struct LoggingIn {
    state: ClientLogin<Suite>,
    password: Password,
}

impl LoggingIn {
    pub fn start(
        password: Password,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Self, [u8; LOGIN_START]), IdentityError> {
        let started = ClientLogin::<Suite>::start(&mut Older(rng), password.bytes());
        let started = started.map_err(message("login start"))?;
        let request = array(&started.message.serialize(), "login start")?;
        Ok((Self { state: started.state, password }, request))
    }

    /// What proves the password to the server, and the export key. Takes as long as `stretch` says. `channel` is what the
    /// line to the server is known by, as the server knows it.
    pub fn finish(
        self,
        account: &Account,
        channel: &[u8],
        reply: &[u8; LOGIN_REPLY],
        stretch: Stretch,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<([u8; LOGIN_FINISH], ExportKey), IdentityError> {
        let reply = CredentialResponse::deserialize(reply).map_err(message("login reply"))?;
        let ksf = stretch.argon2()?;
        let context = context(channel);
        let params = ClientLoginFinishParameters::new(Some(&context), identifiers(account), Some(&ksf));
        let finished = self.state.finish(&mut Older(rng), self.password.bytes(), reply, params);
        let finished = finished.map_err(|error| match error {
            ProtocolError::InvalidLoginError => IdentityError::WrongPassword,
            other => message("login reply")(other),
        })?;
        let export = Zeroizing::new(array(&finished.export_key, "export key")?);
        Ok((array(&finished.message.serialize(), "login finish")?, ExportKey(export)))
    }
}

impl fmt::Debug for LoggingIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoggingIn(redacted)")
    }
}
