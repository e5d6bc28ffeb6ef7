//! A client's half of a registration: a request, then a record under the password.

use std::fmt;

use opaque_ke::{ClientRegistration, ClientRegistrationFinishParameters, RegistrationResponse};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::rng::Older;
use crate::suite::{Suite, array, identifiers, message};
use crate::{Account, ExportKey, IdentityError, Password, REGISTER_FINISH, REGISTER_REPLY, REGISTER_START, Stretch};

/// Waits for the server's answer.
pub struct Registering {
    state: ClientRegistration<Suite>,
    password: Password,
}

impl Registering {
    pub fn start(
        password: Password,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Self, [u8; REGISTER_START]), IdentityError> {
        let started = ClientRegistration::<Suite>::start(&mut Older(rng), password.bytes());
        let started = started.map_err(message("register start"))?;
        let request = array(&started.message.serialize(), "register start")?;
        Ok((Self { state: started.state, password }, request))
    }

    /// The record for the server to keep, and the export key that it never learns. Takes as long as `stretch` says.
    pub fn finish(
        self,
        account: &Account,
        reply: &[u8; REGISTER_REPLY],
        stretch: Stretch,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<([u8; REGISTER_FINISH], ExportKey), IdentityError> {
        let reply = RegistrationResponse::deserialize(reply).map_err(message("register reply"))?;
        let ksf = stretch.argon2()?;
        let params = ClientRegistrationFinishParameters::new(identifiers(account), Some(&ksf));
        let finished = self.state.finish(&mut Older(rng), self.password.bytes(), reply, params);
        let finished = finished.map_err(message("register reply"))?;
        let export = Zeroizing::new(array(&finished.export_key, "export key")?);
        Ok((array(&finished.message.serialize(), "register finish")?, ExportKey(export)))
    }
}

impl fmt::Debug for Registering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registering(redacted)")
    }
}
