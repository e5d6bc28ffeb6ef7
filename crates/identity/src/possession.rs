//! What an account signs about its own registration. Its password record is worth what its key is: nobody can put one
//! under somebody else's account, invitation or not.

use sha2::{Digest, Sha256};

use crate::{Account, Credential, REGISTER_FINISH, REGISTER_START};

const REGISTERS: &[u8] = b"almoner/registers/v0";
const AGAIN: &[u8] = b"almoner/registers-again/v0";

/// The digest that an account signs to have this record kept. The credential is drawn by the coordinator for this one
/// registration, so that a signature is of no use a second time.
pub fn registers(account: &Account, credential: &Credential, record: &[u8; REGISTER_FINISH]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(REGISTERS).chain_update(account);
    hash.chain_update(credential).chain_update(record).finalize().into()
}

/// The digest that an account signs to register once more: it needs no invitation. Heard by somebody else it starts
/// another registration, which only the account can finish.
pub fn may_register_again(account: &Account, request: &[u8; REGISTER_START]) -> [u8; 32] {
    Sha256::new().chain_update(AGAIN).chain_update(account).chain_update(request).finalize().into()
}
