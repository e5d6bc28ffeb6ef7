//! Names that appear outside one round.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Rounds that share one public matrix.
pub const EPOCH_ROUNDS: u64 = 100;

/// Epoch of a round; `None` for a round number no federation reaches.
pub fn epoch_of(round: u64) -> Option<u32> {
    u32::try_from(round / EPOCH_ROUNDS).ok()
}

/// A federation's full name, `chainid:Federations address:number`; other addresses come from view calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FederationId {
    pub chain_id: u64,
    pub federations: Address,
    pub number: u64,
}

impl fmt::Display for FederationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.chain_id, self.federations, self.number)
    }
}

impl FromStr for FederationId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::FederationName(text.chars().take(80).collect());
        let mut parts = text.split(':');
        let (Some(chain), Some(contract), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refused());
        };
        Ok(Self {
            chain_id: chain.parse().map_err(|_| refused())?,
            federations: contract.parse().map_err(|_| refused())?,
            number: number.parse().map_err(|_| refused())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let id = FederationId { chain_id: 31337, federations: Address::repeat_byte(0xab), number: 7 };
        assert_eq!(id.to_string().parse::<FederationId>().unwrap(), id);
        for bad in ["", "1:2", "1:0x12:3", "x:0xabababababababababababababababababababab:1", "1:2:3:4"] {
            assert!(bad.parse::<FederationId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn epochs() {
        assert_eq!(epoch_of(0), Some(0));
        assert_eq!(epoch_of(99), Some(0));
        assert_eq!(epoch_of(100), Some(1));
        assert_eq!(epoch_of(u64::MAX), None);
    }
}
