//! Who a site is when it is not signing: enrolment and login by OPAQUE (RFC 9807), and the vault that its key lies in.
//! The only crate that names opaque-ke.
//!
//! The coordinator never sees a password, nor anything a password can be guessed from by whoever has its database
//! alone. What a site derives from its password with the coordinator's help (the export key) opens its vault, and the
//! vault's secret opens its EVM key and what its journal must not show.
//!
//! | attack | what answers it |
//! |---|---|
//! | a stolen laptop disk | the vault opens with the password *and* the coordinator's help, or the recovery code; guesses are counted |
//! | a stolen coordinator database | records are useless without the server's secrets, which are a file of their own |
//! | both of them, or database and secrets together | **not protected**: the password can then be guessed offline, at Argon2id's price |
//! | asking who is enrolled | unknown accounts are answered with the same shapes, and counted at the same places |
//! | registering to try passwords | every registration has a fresh credential identifier, so its answer says nothing of another |
//! | a machine that is running | **not protected**: the agent holds the key in memory, and an unlock file opens the vault |
//!
//! The exchanges are plain state machines; randomness comes in as an argument. Files and the environment are read in
//! `file` and `unlock` and nowhere else.

mod attempts;
mod code;
mod error;
mod file;
mod login;
mod password;
mod possession;
mod registration;
mod rng;
mod seal;
mod server;
mod suite;
mod unlock;
mod vault;

pub use attempts::{Attempts, LockedOut};
pub use code::{Code, Invitation, RecoveryCode, UnlockSecret, fingerprint};
pub use error::IdentityError;
pub use file::{
    Prepared, is_vault, prepare_vault, read_secret, read_server, read_vault, write_private, write_server, write_vault,
};
pub use login::LoggingIn;
pub use password::{LEAST_PASSWORD, Password};
pub use possession::{may_register_again, registers};
pub use registration::Registering;
pub use seal::StateKey;
pub use server::{LoginState, Server};
pub use suite::{
    Account, CREDENTIAL, Credential, ExportKey, LOGIN_FINISH, LOGIN_REPLY, LOGIN_START, REGISTER_FINISH,
    REGISTER_REPLY, REGISTER_START, Stretch,
};
pub use unlock::{Source, Sources, Unlock};
pub use vault::{OpenVault, Opener, Vault};
